//! Values that are bytes.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use mantis_session::{BatchOp, Condition, Entry, Expiry, OpDone, Put, SessionError};
use mantis_types::Code;

use super::keys::together;
use super::{Client, Fate, integer, same, strange};
use crate::failure::{Failure, Outcome};
use crate::reply::Reply;

pub(crate) fn get(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let key = arguments.first().ok_or_else(Failure::syntax)?;
    Ok(value(client.get(key)?))
}

fn value(entry: Option<Entry>) -> Reply {
    entry.map_or(Reply::Null, |entry| Reply::Bulk(entry.value))
}

pub(crate) fn mget(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let get = |key: &Bytes| BatchOp::Get { key: key.clone() };
    let done = together(client, arguments.iter().map(get).collect())?;
    let values = done.into_iter().map(|done| match done {
        OpDone::Got(entry) => Ok(value(entry)),
        _ => Err(strange()),
    });
    Ok(Reply::Array(values.collect::<Result<_, _>>()?))
}

pub(crate) fn mset(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    together(client, puts("mset", arguments)?)?;
    Ok(Reply::OK)
}

pub(crate) fn msetnx(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    // A key that stands twice is absent for the first of its puts only.
    let mut ops = puts("msetnx", arguments)?;
    let mut seen = std::collections::HashSet::new();
    for op in &mut ops {
        if let BatchOp::Set(put) = op
            && seen.insert(put.key.clone())
        {
            put.condition = Condition::IfAbsent;
        }
    }
    match together(client, ops) {
        Ok(_) => Ok(Reply::Integer(1)),
        Err(Failure::Session(error)) if is_unmet(&error) => Ok(Reply::Integer(0)),
        Err(failure) => Err(failure),
    }
}

/// Whether a condition of a batch does not hold.
fn is_unmet(error: &SessionError) -> bool {
    [Code::BatchAborted, Code::PreconditionFailed].contains(&error.code())
}

fn puts(name: &str, pairs: &[Bytes]) -> Result<Vec<BatchOp>, Failure> {
    let (pairs, rest) = pairs.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Failure::wrong_count(name));
    }
    let put = |[key, value]: &[Bytes; 2]| BatchOp::Set(Put::new(key.clone(), value.clone()));
    Ok(pairs.iter().map(put).collect())
}

pub(crate) fn getdel(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let key = arguments.first().ok_or_else(Failure::syntax)?;
    client.update(key, |entry| {
        Ok(match entry {
            Some(entry) => (Fate::Goes, Reply::Bulk(entry.value.clone())),
            None => (Fate::Stays, Reply::Null),
        })
    })
}

pub(crate) fn strlen(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let key = arguments.first().ok_or_else(Failure::syntax)?;
    let entry = client.get(key)?;
    Ok(Reply::count(entry.map_or(0, |entry| entry.value.len())))
}

pub(crate) fn append(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let [key, more] = arguments else {
        return Err(Failure::syntax());
    };
    client.update(key, |entry| {
        let old = entry.map(|entry| entry.value.clone()).unwrap_or_default();
        let mut value = BytesMut::with_capacity(old.len() + more.len());
        value.extend_from_slice(&old);
        value.extend_from_slice(more);
        let len = value.len();
        let put = changed(key, entry, value.freeze());
        Ok((Fate::Holds(put), Reply::count(len)))
    })
}

/// A new value that keeps what belongs to the old one.
fn changed(key: &Bytes, entry: Option<&Entry>, value: Bytes) -> Put {
    match entry {
        Some(entry) => Put {
            value,
            ..same(entry)
        },
        None => Put {
            expiry: Expiry::Never,
            ..Put::new(key.clone(), value)
        },
    }
}

pub(crate) fn setrange(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let [key, offset, part] = arguments else {
        return Err(Failure::syntax());
    };
    let offset = usize::try_from(integer(offset)?)
        .map_err(|_| Failure::new("ERR offset is out of range"))?;
    let max = client.shared.database.limits().value_bytes_max;
    let end = offset.checked_add(part.len());
    let fits = |end: &usize| u64::try_from(*end).is_ok_and(|end| end <= max);
    let end = end.filter(fits).ok_or_else(|| {
        Failure::new("ERR string exceeds maximum allowed size (limits.value_bytes_max)")
    })?;
    client.update(key, |entry| {
        let old = entry.map(|entry| entry.value.clone()).unwrap_or_default();
        if part.is_empty() {
            return Ok((Fate::Stays, Reply::count(old.len())));
        }
        let mut value = BytesMut::zeroed(end.max(old.len()));
        copy(&mut value, 0..old.len(), &old);
        copy(&mut value, offset..end, part);
        let len = value.len();
        let put = changed(key, entry, value.freeze());
        Ok((Fate::Holds(put), Reply::count(len)))
    })
}

fn copy(value: &mut BytesMut, place: Range<usize>, part: &[u8]) {
    if let Some(place) = value.get_mut(place) {
        place.copy_from_slice(part);
    }
}

pub(crate) fn getrange(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let [key, from, to] = arguments else {
        return Err(Failure::syntax());
    };
    let (from, to) = (integer(from)?, integer(to)?);
    let Some(entry) = client.get(key)? else {
        return Ok(Reply::Bulk(Bytes::new()));
    };
    let range = part(from, to, entry.value.len());
    Ok(Reply::Bulk(entry.value.slice(range)))
}

/// The bytes from `from` to `to`, included, both from the end when negative.
fn part(from: i64, to: i64, len: usize) -> Range<usize> {
    let all = i64::try_from(len).unwrap_or(i64::MAX);
    if from < 0 && to < 0 && from > to {
        return 0..0;
    }
    let place = |at: i64| if at < 0 { (all + at).max(0) } else { at };
    let (from, to) = (place(from), place(to).min(all - 1));
    if all == 0 || from > to {
        return 0..0;
    }
    let at = |at: i64| usize::try_from(at).unwrap_or(len).min(len);
    at(from)..at(to + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_count_from_both_ends() {
        for (from, to, expected) in [
            (0, 3, 0..4),
            (-3, -1, 8..11),
            (0, -1, 0..11),
            (10, 100, 10..11),
            (0, -12, 0..1),
            (-100, 2, 0..3),
            (5, 4, 0..0),
            (-1, -5, 0..0),
            (11, 20, 0..0),
        ] {
            assert_eq!(part(from, to, 11), expected, "{from} {to}");
        }
        assert_eq!(part(0, -1, 0), 0..0);
    }
}
