//! Lists of keys: ranges in both directions, from one snapshot, page by page.

use std::ops::ControlFlow;

use bytes::Bytes;
use mantis_engine::{Direction, Record};
use mantis_types::{Limits, OwnerId, Seq, ValueKind, prefix_end, split_key};

use crate::KvError;
use crate::answer::{ListItem, ListPage};
use crate::chunks::Chunked;
use crate::keyspace::Keyspace;
use crate::kv::version_of;
use crate::request::List;
use crate::source::{Source, Span};

/// One list call on one source.
pub(crate) struct Lister<'a, S> {
    pub(crate) source: S,
    pub(crate) limits: &'a Limits,
    /// What the answer calls its snapshot.
    pub(crate) seq: Seq,
    pub(crate) generation: OwnerId,
}

impl<S: Source> Lister<'_, S> {
    pub(crate) fn page(&mut self, list: &List) -> Result<ListPage, KvError> {
        let mut page = ListPage {
            snapshot: self.seq,
            ..ListPage::default()
        };
        let whole = self.span(list)?;
        if list.total {
            page.total = self.count(&whole)?;
        }
        let span = self.after_cursor(whole, list)?;
        let limit = list.limit.min(self.limits.list_limit_max);
        if limit == 0 {
            return Ok(page);
        }
        let (rows, more) = self.rows(&span, list, limit)?;
        for (key, record) in rows {
            page.items.push(self.item(key, &record, list.values)?);
        }
        if more {
            page.next_cursor = page.items.last().map(|item| item.key.clone());
        }
        Ok(page)
    }

    /// The live rows of a page, and whether there are more.
    fn rows(
        &mut self,
        span: &Span,
        list: &List,
        limit: usize,
    ) -> Result<(Vec<(Bytes, Record)>, bool), KvError> {
        let direction = if list.reverse {
            Direction::Backward
        } else {
            Direction::Forward
        };
        let (now_ms, bytes_max) = (self.source.now_ms(), self.limits.answer_bytes_max);
        let mut to_skip = list.offset;
        let mut bytes = 0;
        let mut rows = Vec::new();
        let mut more = false;
        self.source.rows(span, direction, &mut |encoded, record| {
            if record.view().expired(now_ms) {
                return Ok(ControlFlow::Continue(()));
            }
            if to_skip > 0 {
                to_skip -= 1;
                return Ok(ControlFlow::Continue(()));
            }
            if rows.len() == limit || bytes >= bytes_max {
                more = true;
                return Ok(ControlFlow::Break(()));
            }
            if list.values {
                bytes += value_bytes(&record)?;
            }
            let (_, _, _, user_key) = split_key(encoded.as_bytes())?;
            rows.push((Bytes::copy_from_slice(user_key), record));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((rows, more))
    }

    fn item(&mut self, key: Bytes, record: &Record, values: bool) -> Result<ListItem, KvError> {
        let plain = matches!(record.view().kind(), ValueKind::Bytes | ValueKind::Chunked);
        let entry = if values && plain {
            self.source.entry(key.clone(), record)?
        } else {
            None
        };
        Ok(ListItem {
            key,
            version: version_of(record),
            entry,
        })
    }

    /// How many live keys stand in the span; `None` for more than the limit.
    pub(crate) fn count(&mut self, span: &Span) -> Result<Option<u64>, KvError> {
        let (now_ms, max) = (self.source.now_ms(), self.limits.count_scan_max);
        let mut count = 0;
        self.source
            .rows(span, Direction::Forward, &mut |_, record| {
                count += u64::from(!record.view().expired(now_ms));
                Ok(if count > max {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            })?;
        Ok((count <= max).then_some(count))
    }

    pub(crate) fn span(&self, list: &List) -> Result<Span, KvError> {
        let mut lower = Keyspace::key(self.generation, &list.prefix)?.into_bytes();
        let mut upper = prefix_end(&lower).unwrap_or_default();
        if let Some(start) = &list.start {
            lower = lower.max(Keyspace::key(self.generation, start)?.into_bytes());
        }
        if let Some(end) = &list.end {
            upper = upper.min(Keyspace::key(self.generation, end)?.into_bytes());
        }
        Ok((lower, upper))
    }

    fn after_cursor(&self, span: Span, list: &List) -> Result<Span, KvError> {
        let Some(cursor) = &list.cursor else {
            return Ok(span);
        };
        let mut at = Keyspace::key(self.generation, cursor)?.into_bytes();
        if list.reverse {
            Ok((span.0, span.1.min(at)))
        } else {
            at.push(0);
            Ok((span.0.max(at), span.1))
        }
    }
}

/// Bytes of the value behind a record.
fn value_bytes(record: &Record) -> Result<u64, KvError> {
    let view = record.view();
    Ok(match view.kind() {
        ValueKind::Bytes => view.payload().len() as u64,
        ValueKind::Chunked => Chunked::parse(view.payload())?.len,
        _ => 0,
    })
}
