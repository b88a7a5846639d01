//! When keys expire.

use bytes::Bytes;
use mantis_session::{Entry, Expiry, Put};

use super::{Client, Fate, integer, is_word, same};
use crate::failure::{Failure, Outcome};
use crate::reply::Reply;

/// In which unit a time is given, and from when on it counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) unit_ms: i64,
    pub(crate) is_absolute: bool,
}

impl Clock {
    pub(crate) const SECONDS: Self = Self::new(1000, false);
    pub(crate) const MILLIS: Self = Self::new(1, false);
    pub(crate) const AT_SECONDS: Self = Self::new(1000, true);
    pub(crate) const AT_MILLIS: Self = Self::new(1, true);

    const fn new(unit_ms: i64, is_absolute: bool) -> Self {
        Self {
            unit_ms,
            is_absolute,
        }
    }

    /// The moment in Unix milliseconds; `None` beyond what a time can be.
    pub(crate) fn moment(self, time: i64, now_ms: u64) -> Option<i64> {
        let time = time.checked_mul(self.unit_ms)?;
        let now = i64::try_from(now_ms).ok()?;
        let base = if self.is_absolute { 0 } else { now };
        time.checked_add(base)
    }
}

/// The expiry at `moment`; `None` when that has passed.
pub(crate) fn until(moment: i64, now_ms: u64) -> Option<Expiry> {
    let moment = u64::try_from(moment).ok()?;
    (moment > now_ms).then_some(Expiry::AtMs(moment))
}

pub(crate) fn expire(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    change(client, "expire", Clock::SECONDS, arguments)
}

pub(crate) fn pexpire(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    change(client, "pexpire", Clock::MILLIS, arguments)
}

pub(crate) fn expireat(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    change(client, "expireat", Clock::AT_SECONDS, arguments)
}

pub(crate) fn pexpireat(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    change(client, "pexpireat", Clock::AT_MILLIS, arguments)
}

/// Which present expiry may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Only {
    Absent,
    Present,
    Later,
    Sooner,
}

impl Only {
    fn parse(options: &[Bytes]) -> Result<Vec<Self>, Failure> {
        let words = [
            ("nx", Self::Absent),
            ("xx", Self::Present),
            ("gt", Self::Later),
            ("lt", Self::Sooner),
        ];
        let parse = |option: &Bytes| {
            let found = words.iter().find(|(word, _)| is_word(option, word));
            found.map(|(_, only)| *only).ok_or_else(|| {
                let option = String::from_utf8_lossy(option);
                Failure::new(format!("ERR Unsupported option {option}"))
            })
        };
        let all: Vec<Self> = options.iter().map(parse).collect::<Result<_, _>>()?;
        if all.contains(&Self::Absent) && all.iter().any(|only| *only != Self::Absent) {
            let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
            return Err(Failure::new(text));
        }
        if all.contains(&Self::Later) && all.contains(&Self::Sooner) {
            let text = "ERR GT and LT options at the same time are not compatible";
            return Err(Failure::new(text));
        }
        Ok(all)
    }

    /// For ever is later than any time.
    fn allows(self, present: Option<u64>, moment: i64) -> bool {
        let present = present.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        match self {
            Self::Absent => present.is_none(),
            Self::Present => present.is_some(),
            Self::Later => present.is_some_and(|present| moment > present),
            Self::Sooner => present.is_none_or(|present| moment < present),
        }
    }
}

fn change(client: &Client, name: &str, clock: Clock, arguments: &[Bytes]) -> Outcome {
    let [key, time, options @ ..] = arguments else {
        return Err(Failure::syntax());
    };
    let time = integer(time)?;
    let only = Only::parse(options)?;
    let now_ms = client.env().clock().now_ms();
    let moment = clock
        .moment(time, now_ms)
        .ok_or_else(|| Failure::expire_time(name))?;
    client.update(key, |entry| {
        let allows = |entry: &&Entry| {
            let mut only = only.iter();
            only.all(|only| only.allows(entry.expires_ms, moment))
        };
        let Some(entry) = entry.filter(allows) else {
            return Ok((Fate::Stays, Reply::Integer(0)));
        };
        let fate = match until(moment, now_ms) {
            Some(expiry) => Fate::Holds(Put {
                expiry,
                ..same(entry)
            }),
            None => Fate::Goes,
        };
        Ok((fate, Reply::Integer(1)))
    })
}

pub(crate) fn persist(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let key = arguments.first().ok_or_else(Failure::syntax)?;
    client.update(key, |entry| {
        let Some(entry) = entry.filter(|entry| entry.expires_ms.is_some()) else {
            return Ok((Fate::Stays, Reply::Integer(0)));
        };
        let put = Put {
            expiry: Expiry::Never,
            ..same(entry)
        };
        Ok((Fate::Holds(put), Reply::Integer(1)))
    })
}

pub(crate) fn ttl(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    // Rounded as Redis does: a key that lives shows no zero before its last half second.
    look(client, arguments, |entry| {
        entry.ttl_ms.map(|ms| (ms + 500) / 1000)
    })
}

pub(crate) fn pttl(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    look(client, arguments, |entry| entry.ttl_ms)
}

pub(crate) fn expiretime(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    look(client, arguments, |entry| {
        entry.expires_ms.map(|ms| (ms + 500) / 1000)
    })
}

pub(crate) fn pexpiretime(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    look(client, arguments, |entry| entry.expires_ms)
}

/// -2 without the key, -1 without an expiry.
fn look(client: &Client, arguments: &[Bytes], time: fn(&Entry) -> Option<u64>) -> Outcome {
    let key = arguments.first().ok_or_else(Failure::syntax)?;
    let Some(entry) = client.get(key)? else {
        return Ok(Reply::Integer(-2));
    };
    let time = time(&entry).map(|time| i64::try_from(time).unwrap_or(i64::MAX));
    Ok(Reply::Integer(time.unwrap_or(-1)))
}
