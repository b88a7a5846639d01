//! An increment inside a transaction: decided when the commit has its place in the order.

use std::error::Error;

use mantis_engine::Record;
use mantis_txn::Merge;
use mantis_types::{ContentType, RecordBuilder, ValueKind};

use crate::KvError;
use crate::unit::parse_integer;

/// Bytes of the longest integer and of a record's header.
const BYTES_MAX: u64 = 64;

/// Adds to the integer of a key.
pub(crate) struct Addition {
    pub(crate) by: i64,
    /// What an absent key counts as.
    pub(crate) initial: Option<i64>,
}

impl Addition {
    /// The integer in a record that an addition has made.
    pub(crate) fn value_of(record: &Record) -> Result<i64, KvError> {
        parse_integer(record.view().payload()).ok_or(KvError::NotAnInteger)
    }

    fn sum(&self, newest: Option<&Record>) -> Result<i64, KvError> {
        let base = match newest.map(Record::view) {
            None => self.initial.unwrap_or(0),
            Some(view) if view.kind() == ValueKind::Bytes => {
                parse_integer(view.payload()).ok_or(KvError::NotAnInteger)?
            }
            Some(view) if view.kind() == ValueKind::Chunked => return Err(KvError::NotAnInteger),
            Some(_) => return Err(KvError::WrongType),
        };
        base.checked_add(self.by).ok_or(KvError::Overflow)
    }
}

impl Merge for Addition {
    fn apply(
        &self,
        newest: Option<&Record>,
        now_ms: u64,
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let newest = newest.filter(|record| !record.view().expired(now_ms));
        let value = self.sum(newest)?;
        let view = newest.map(Record::view);
        let tags: Vec<String> = view
            .as_ref()
            .map(|view| view.tags().map(str::to_owned).collect())
            .unwrap_or_default();
        let header = RecordBuilder::new(ValueKind::Bytes)
            .content_type(
                view.as_ref()
                    .map_or(ContentType::Text, |v| v.content_type()),
            )
            .expiry_ms(view.as_ref().and_then(|v| v.expiry_ms()))
            .modified_ms(now_ms)
            .created_ms(view.as_ref().and_then(|v| v.created_ms()))
            .tags(&tags);
        let mut bytes = Vec::with_capacity(64);
        header.write(value.to_string().as_bytes(), &mut bytes)?;
        Ok(bytes)
    }

    fn bytes_max(&self) -> u64 {
        BYTES_MAX
    }
}
