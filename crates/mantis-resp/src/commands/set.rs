//! SET and its relatives.

use bytes::Bytes;
use mantis_session::{Condition, Entry, Expiry, Put};

use super::expiry::{Clock, until};
use super::{Client, Fate, integer, is_word, same};
use crate::failure::{Failure, Outcome};
use crate::reply::Reply;

/// What stands behind key and value.
#[derive(Debug, Default)]
struct Options {
    expiry: Expiry,
    condition: Condition,
    answers_old: bool,
    /// The time that was given has passed.
    is_over: bool,
}

impl Options {
    fn parse(client: &Client, options: &[Bytes]) -> Result<Self, Failure> {
        let mut parsed = Self::default();
        let (mut has_expiry, mut has_condition) = (false, false);
        let mut rest = options.iter();
        while let Some(option) = rest.next() {
            if let Some(clock) = clock_of(option) {
                let time = rest.next().ok_or_else(Failure::syntax)?;
                let expiry = expiry(client, "set", clock, time)?;
                parsed.is_over = expiry.is_none();
                parsed.expiry = expiry.unwrap_or_default();
                once(&mut has_expiry)?;
            } else if is_word(option, "keepttl") {
                parsed.expiry = Expiry::Keep;
                once(&mut has_expiry)?;
            } else if is_word(option, "nx") {
                parsed.condition = Condition::IfAbsent;
                once(&mut has_condition)?;
            } else if is_word(option, "xx") {
                parsed.condition = Condition::IfPresent;
                once(&mut has_condition)?;
            } else if is_word(option, "get") {
                parsed.answers_old = true;
            } else {
                return Err(Failure::syntax());
            }
        }
        Ok(parsed)
    }
}

fn once(given: &mut bool) -> Result<(), Failure> {
    if std::mem::replace(given, true) {
        return Err(Failure::syntax());
    }
    Ok(())
}

fn clock_of(option: &Bytes) -> Option<Clock> {
    let clocks = [
        ("ex", Clock::SECONDS),
        ("px", Clock::MILLIS),
        ("exat", Clock::AT_SECONDS),
        ("pxat", Clock::AT_MILLIS),
    ];
    let found = clocks.into_iter().find(|(word, _)| is_word(option, word));
    found.map(|(_, clock)| clock)
}

/// How long a value is to live; `None` when its time has passed.
fn expiry(
    client: &Client,
    command: &str,
    clock: Clock,
    time: &Bytes,
) -> Result<Option<Expiry>, Failure> {
    let time = integer(time)?;
    let now_ms = client.env().clock().now_ms();
    let moment = clock.moment(time, now_ms).filter(|_| time > 0);
    let moment = moment.ok_or_else(|| Failure::expire_time(command))?;
    Ok(until(moment, now_ms))
}

pub(crate) fn set(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let [key, value, options @ ..] = arguments else {
        return Err(Failure::syntax());
    };
    let options = Options::parse(client, options)?;
    if options.answers_old || options.is_over {
        return look_and_set(client, key, value, &options);
    }
    let put = Put {
        expiry: options.expiry,
        condition: options.condition,
        ..Put::new(key.clone(), value.clone())
    };
    Ok(match client.put(put)? {
        true => Reply::OK,
        false => Reply::Null,
    })
}

fn look_and_set(client: &Client, key: &Bytes, value: &Bytes, options: &Options) -> Outcome {
    client.update(key, |entry| {
        let holds = match options.condition {
            Condition::IfAbsent => entry.is_none(),
            Condition::IfPresent => entry.is_some(),
            _ => true,
        };
        let fate = match (holds, options.is_over) {
            (false, _) => Fate::Stays,
            (true, true) => Fate::Goes,
            (true, false) => Fate::Holds(Put {
                expiry: options.expiry,
                ..Put::new(key.clone(), value.clone())
            }),
        };
        let reply = match (options.answers_old, holds) {
            (true, _) => old(entry),
            (false, true) => Reply::OK,
            (false, false) => Reply::Null,
        };
        Ok((fate, reply))
    })
}

fn old(entry: Option<&Entry>) -> Reply {
    entry.map_or(Reply::Null, |entry| Reply::Bulk(entry.value.clone()))
}

pub(crate) fn setnx(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let [key, value] = arguments else {
        return Err(Failure::syntax());
    };
    let put = Put {
        condition: Condition::IfAbsent,
        ..Put::new(key.clone(), value.clone())
    };
    Ok(Reply::whether(client.put(put)?))
}

pub(crate) fn setex(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    set_for(client, "setex", Clock::SECONDS, arguments)
}

pub(crate) fn psetex(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    set_for(client, "psetex", Clock::MILLIS, arguments)
}

fn set_for(client: &Client, name: &str, clock: Clock, arguments: &[Bytes]) -> Outcome {
    let [key, time, value] = arguments else {
        return Err(Failure::syntax());
    };
    let expiry = expiry(client, name, clock, time)?;
    let put = Put {
        expiry: expiry.ok_or_else(|| Failure::expire_time(name))?,
        ..Put::new(key.clone(), value.clone())
    };
    client.put(put)?;
    Ok(Reply::OK)
}

pub(crate) fn getset(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let [key, value] = arguments else {
        return Err(Failure::syntax());
    };
    let options = Options {
        answers_old: true,
        ..Options::default()
    };
    look_and_set(client, key, value, &options)
}

pub(crate) fn getex(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let (key, wish) = match arguments {
        [key] => (key, None),
        [key, persist] if is_word(persist, "persist") => (key, Some(Some(Expiry::Never))),
        [key, option, time] => {
            let clock = clock_of(option).ok_or_else(Failure::syntax)?;
            (key, Some(expiry(client, "getex", clock, time)?))
        }
        _ => return Err(Failure::syntax()),
    };
    let Some(wish) = wish else {
        return super::strings::get(client, std::slice::from_ref(key));
    };
    client.update(key, |entry| {
        let Some(entry) = entry else {
            return Ok((Fate::Stays, Reply::Null));
        };
        let fate = match wish {
            Some(expiry) => Fate::Holds(Put {
                expiry,
                ..same(entry)
            }),
            None => Fate::Goes,
        };
        Ok((fate, Reply::Bulk(entry.value.clone())))
    })
}
