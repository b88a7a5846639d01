//! Counters: integers that are added to without conflicts, and numbers with a fraction.

use bytes::Bytes;
use mantis_session::{Command, Expiry, Put, Reply as Done};

use super::{Client, Fate, integer, same, strange};
use crate::failure::{Failure, Outcome};
use crate::number;
use crate::reply::Reply;

pub(crate) fn incr(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    add(client, arguments.first(), 1)
}

pub(crate) fn decr(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    add(client, arguments.first(), -1)
}

pub(crate) fn incrby(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let by = integer(arguments.get(1).ok_or_else(Failure::syntax)?)?;
    add(client, arguments.first(), by)
}

pub(crate) fn decrby(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let by = integer(arguments.get(1).ok_or_else(Failure::syntax)?)?;
    let by = by
        .checked_neg()
        .ok_or_else(|| Failure::new("ERR decrement would overflow"))?;
    add(client, arguments.first(), by)
}

fn add(client: &Client, key: Option<&Bytes>, by: i64) -> Outcome {
    let key = key.ok_or_else(Failure::syntax)?.clone();
    let command = Command::KvIncrement {
        key,
        by,
        initial: None,
        durability: client.durability(),
    };
    match client.session.execute(command)? {
        Done::KvIncrement(done) => Ok(Reply::Integer(done.value)),
        _ => Err(strange()),
    }
}

pub(crate) fn incrbyfloat(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let [key, by] = arguments else {
        return Err(Failure::syntax());
    };
    let by = number::float(by).ok_or_else(Failure::no_float)?;
    client.update(key, |entry| {
        let base = match entry {
            Some(entry) => number::float(&entry.value).ok_or_else(Failure::no_float)?,
            None => 0.0,
        };
        let sum = base + by;
        if !sum.is_finite() {
            return Err(Failure::new("ERR increment would produce NaN or Infinity"));
        }
        let value = Bytes::from(number::written(sum));
        let put = match entry {
            Some(entry) => Put {
                value: value.clone(),
                ..same(entry)
            },
            None => Put {
                expiry: Expiry::Never,
                ..Put::new(key.clone(), value.clone())
            },
        };
        Ok((Fate::Holds(put), Reply::Bulk(value)))
    })
}
