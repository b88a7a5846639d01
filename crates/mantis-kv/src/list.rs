//! Lists of keys: ranges in both directions, from one snapshot, page by page.

use std::ops::Bound;

use bytes::Bytes;
use mantis_engine::{Direction, Engine, Snapshot};
use mantis_types::{Limits, OwnerId, ValueKind, prefix_end, split_key};

use crate::KvError;
use crate::answer::{ListItem, ListPage};
use crate::keyspace::Keyspace;
use crate::kv::entry_of;
use crate::request::List;

/// One list call at one snapshot.
pub(crate) struct Lister<'a> {
    pub(crate) engine: &'a dyn Engine,
    pub(crate) limits: &'a Limits,
    pub(crate) snapshot: Snapshot,
    pub(crate) generation: OwnerId,
    pub(crate) now_ms: u64,
}

/// Encoded bounds: at or above the first, below the second.
type Span = (Vec<u8>, Vec<u8>);

impl Lister<'_> {
    pub(crate) fn page(&self, list: &List) -> Result<ListPage, KvError> {
        let mut page = ListPage {
            snapshot: self.snapshot.seq(),
            ..ListPage::default()
        };
        let whole = self.span(list)?;
        if list.total {
            page.total = self.count(&whole)?;
        }
        let span = self.after_cursor(whole, list)?;
        let limit = list.limit.min(self.limits.list_limit_max);
        let direction = if list.reverse {
            Direction::Backward
        } else {
            Direction::Forward
        };
        let mut to_skip = list.offset;
        let mut bytes = 0;
        if limit == 0 || span.0 >= span.1 {
            return Ok(page);
        }
        let bounds = (
            Bound::Included(span.0.as_slice()),
            Bound::Excluded(span.1.as_slice()),
        );
        for found in self.engine.scan(&self.snapshot, bounds, direction)? {
            let (encoded, record) = found?;
            let view = record.view();
            if view.expired(self.now_ms) {
                continue;
            }
            if to_skip > 0 {
                to_skip -= 1;
                continue;
            }
            if page.items.len() == limit || bytes >= self.limits.answer_bytes_max {
                page.next_cursor = page.items.last().map(|item| item.key.clone());
                break;
            }
            let (_, _, _, user_key) = split_key(encoded.as_ref())?;
            let key = Bytes::copy_from_slice(user_key);
            let plain = matches!(view.kind(), ValueKind::Bytes | ValueKind::Chunked);
            let entry = if list.values && plain {
                entry_of(
                    self.engine,
                    &self.snapshot,
                    key.clone(),
                    &record,
                    self.now_ms,
                )?
            } else {
                None
            };
            bytes += entry.as_ref().map_or(0, |e| e.value.len() as u64);
            page.items.push(ListItem {
                key,
                version: view.seq(),
                entry,
            });
        }
        Ok(page)
    }

    /// How many live keys stand in the span; `None` for more than the limit.
    pub(crate) fn count(&self, span: &Span) -> Result<Option<u64>, KvError> {
        if span.0 >= span.1 {
            return Ok(Some(0));
        }
        let bounds = (
            Bound::Included(span.0.as_slice()),
            Bound::Excluded(span.1.as_slice()),
        );
        let mut count = 0;
        for found in self
            .engine
            .scan(&self.snapshot, bounds, Direction::Forward)?
        {
            let (_, record) = found?;
            count += u64::from(!record.view().expired(self.now_ms));
            if count > self.limits.count_scan_max {
                return Ok(None);
            }
        }
        Ok(Some(count))
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
