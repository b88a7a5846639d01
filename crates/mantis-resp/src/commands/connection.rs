//! The connection itself.

use bytes::Bytes;

use super::{Client, integer, is_word, text};
use crate::failure::{Failure, Outcome};
use crate::reply::{Protocol, Reply};

pub(crate) fn ping(_: &mut Client, arguments: &[Bytes]) -> Outcome {
    match arguments {
        [] => Ok(Reply::Status("PONG")),
        [argument] => Ok(Reply::Bulk(argument.clone())),
        _ => Err(Failure::wrong_count("ping")),
    }
}

pub(crate) fn echo(_: &mut Client, arguments: &[Bytes]) -> Outcome {
    Ok(arguments.first().cloned().map_or(Reply::Null, Reply::Bulk))
}

pub(crate) fn hello(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let mut rest = arguments.iter();
    let protocol = match rest.next() {
        None => client.protocol,
        Some(version) => match version.as_ref() {
            b"2" => Protocol::Resp2,
            b"3" => Protocol::Resp3,
            _ => return Err(Failure::new("NOPROTO unsupported protocol version")),
        },
    };
    let mut name = None;
    while let Some(option) = rest.next() {
        if is_word(option, "auth") {
            let (Some(user), Some(password)) = (rest.next(), rest.next()) else {
                return Err(hello_option(option));
            };
            sign_in(client, Some(text(user)?), password)?;
        } else if is_word(option, "setname") {
            let given = rest.next().ok_or_else(|| hello_option(option))?;
            name = Some(checked_name(given)?);
        } else {
            return Err(hello_option(option));
        }
    }
    if client.is_stranger() {
        return Err(Failure::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
             <proto> AUTH <user> <pass> option can be used to authenticate the client and select the \
             RESP protocol version at the same time",
        ));
    }
    client.protocol = protocol;
    if let Some(name) = name {
        client.name = name;
    }
    let number = match protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    let pairs = [
        ("server", Reply::text("redis")),
        ("version", Reply::text(super::server::REDIS_VERSION)),
        ("proto", Reply::Integer(number)),
        (
            "id",
            Reply::Integer(i64::try_from(client.id).unwrap_or(i64::MAX)),
        ),
        ("mode", Reply::text("standalone")),
        ("role", Reply::text("master")),
        ("modules", Reply::Array(Vec::new())),
    ];
    let pairs = pairs.map(|(name, value)| (Reply::text(name), value));
    Ok(Reply::Map(pairs.into()))
}

fn hello_option(option: &Bytes) -> Failure {
    let option = String::from_utf8_lossy(option);
    Failure::new(format!("ERR Syntax error in HELLO option '{option}'"))
}

pub(crate) fn auth(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    match arguments {
        [password] => sign_in(client, None, password)?,
        [user, password] => sign_in(client, Some(text(user)?), password)?,
        _ => return Err(Failure::syntax()),
    }
    Ok(Reply::OK)
}

fn sign_in(client: &mut Client, user: Option<&str>, password: &Bytes) -> Result<(), Failure> {
    let wrong = || Failure::new("WRONGPASS invalid username-password pair or user is disabled.");
    let password = std::str::from_utf8(password).map_err(|_| wrong())?;
    let principal = client.shared.rules.verify(user, password);
    client.session = client.shared.session(principal.ok_or_else(wrong)?);
    Ok(())
}

/// Database 0 is the keyspace of all front ends.
pub(crate) fn select(_: &mut Client, arguments: &[Bytes]) -> Outcome {
    let number = match arguments {
        [number] => integer(number)?,
        _ => return Err(Failure::syntax()),
    };
    match number {
        0 => Ok(Reply::OK),
        1..=15 => Err(Failure::new("ERR databases 1 to 15 are not supported yet")),
        _ => Err(Failure::new("ERR DB index is out of range")),
    }
}

pub(crate) fn quit(client: &mut Client, _: &[Bytes]) -> Outcome {
    client.is_leaving = true;
    Ok(Reply::OK)
}

pub(crate) fn reset(client: &mut Client, _: &[Bytes]) -> Outcome {
    let stranger = client.shared.rules.stranger(client.peer);
    client.session = client.shared.session(stranger);
    client.protocol = Protocol::Resp2;
    client.name = Bytes::new();
    Ok(Reply::Status("RESET"))
}

pub(crate) fn client(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let Some((verb, rest)) = arguments.split_first() else {
        return Err(Failure::syntax());
    };
    match (verb.to_ascii_lowercase().as_slice(), rest) {
        (b"id", []) => Ok(Reply::Integer(i64::try_from(client.id).unwrap_or(i64::MAX))),
        (b"getname", []) if client.name.is_empty() => Ok(Reply::Null),
        (b"getname", []) => Ok(Reply::Bulk(client.name.clone())),
        (b"setname", [name]) => {
            client.name = checked_name(name)?;
            Ok(Reply::OK)
        }
        (b"setinfo", [what, value]) if is_word(what, "lib-name") || is_word(what, "lib-ver") => {
            checked_name(value)?;
            Ok(Reply::OK)
        }
        _ => {
            let verb = String::from_utf8_lossy(verb);
            Err(Failure::new(format!(
                "ERR CLIENT {verb} is not supported yet, or was called with wrong arguments"
            )))
        }
    }
}

fn checked_name(name: &Bytes) -> Result<Bytes, Failure> {
    let is_plain = name.iter().all(|byte| (b'!'..=b'~').contains(byte));
    is_plain.then(|| name.clone()).ok_or_else(|| {
        Failure::new("ERR Client names cannot contain spaces, newlines or special characters.")
    })
}
