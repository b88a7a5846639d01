//! The table of all commands: what is built, how it is called, and what the documentation says.

use crate::commands::{self, Act};

/// A command.
#[derive(Clone, Copy, Debug)]
pub struct CommandInfo {
    /// In small letters.
    pub name: &'static str,
    /// Arguments, the name included; at least so many when negative.
    pub arity: i32,
    /// Words of COMMAND INFO.
    pub flags: &'static [&'static str],
    /// The first key, the last one (from the end when negative) and the step; zeros for none.
    pub keys: [i32; 3],
    /// Its chapter.
    pub group: Group,
    /// One line for people.
    pub summary: &'static str,
    pub(crate) act: Act,
}

/// A chapter of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The connection and the server.
    Connection,
    /// Values that are bytes.
    Strings,
    /// Keys of any type, and their expiry.
    Keys,
}

impl Group {
    /// As COMMAND DOCS says it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Strings => "string",
            Self::Keys => "generic",
        }
    }
}

const READ: &[&str] = &["readonly", "fast"];
const WRITE: &[&str] = &["write", "denyoom"];
const FREE: &[&str] = &["fast", "loading", "stale", "no_auth"];
const QUICK: &[&str] = &["fast"];
const ADMIN: &[&str] = &["loading", "stale"];
const NO_KEYS: [i32; 3] = [0, 0, 0];
const ONE_KEY: [i32; 3] = [1, 1, 1];
const ALL_KEYS: [i32; 3] = [1, -1, 1];
const PAIRS: [i32; 3] = [1, -1, 2];

macro_rules! commands {
    ($($group:ident { $($name:ident $arity:literal $flags:ident $keys:ident $module:ident::$act:ident: $summary:literal;)* })*) => {
        /// Every command that is built, in the order of the documentation.
        pub const COMMANDS: &[CommandInfo] = &[$($(CommandInfo {
            name: stringify!($name),
            arity: $arity,
            flags: $flags,
            keys: $keys,
            group: Group::$group,
            summary: $summary,
            act: commands::$module::$act,
        },)*)*];
    };
}

commands! {
    Connection {
        ping -1 FREE NO_KEYS connection::ping: "answers PONG, or its argument";
        echo 2 QUICK NO_KEYS connection::echo: "answers its argument";
        hello -1 FREE NO_KEYS connection::hello: "chooses the protocol, signs in, names the client";
        auth -2 FREE NO_KEYS connection::auth: "signs in";
        select 2 QUICK NO_KEYS connection::select: "chooses database 0, the only one so far";
        quit -1 FREE NO_KEYS connection::quit: "ends the connection";
        reset 1 FREE NO_KEYS connection::reset: "makes the connection as new";
        client -2 ADMIN NO_KEYS connection::client: "ID, GETNAME, SETNAME, SETINFO";
        command -1 ADMIN NO_KEYS server::command: "COUNT, LIST, INFO, DOCS";
        time 1 QUICK NO_KEYS server::time: "the server's clock";
        dbsize 1 READ NO_KEYS server::dbsize: "how many keys there are; it counts them";
        info -1 ADMIN NO_KEYS server::info: "sections server, clients, stats, keyspace";
    }
    Strings {
        get 2 READ ONE_KEY strings::get: "reads a value";
        set -3 WRITE ONE_KEY set::set: "writes a value: EX, PX, EXAT, PXAT, KEEPTTL, NX, XX, GET";
        setnx 3 WRITE ONE_KEY set::setnx: "writes a value if there is none";
        setex 4 WRITE ONE_KEY set::setex: "writes a value for some seconds";
        psetex 4 WRITE ONE_KEY set::psetex: "writes a value for some milliseconds";
        getset 3 WRITE ONE_KEY set::getset: "writes a value, answers the old one";
        getdel 2 WRITE ONE_KEY strings::getdel: "removes a key, answers its value";
        getex -2 WRITE ONE_KEY set::getex: "reads a value and changes its expiry: EX, PX, EXAT, PXAT, PERSIST";
        mget -2 READ ALL_KEYS strings::mget: "reads several values";
        mset -3 WRITE PAIRS strings::mset: "writes several values in one commit";
        msetnx -3 WRITE PAIRS strings::msetnx: "the same if none of the keys is there";
        append 3 WRITE ONE_KEY strings::append: "writes behind a value";
        strlen 2 READ ONE_KEY strings::strlen: "the length of a value";
        getrange 4 READ ONE_KEY strings::getrange: "a part of a value";
        substr 4 READ ONE_KEY strings::getrange: "the older name of GETRANGE";
        setrange 4 WRITE ONE_KEY strings::setrange: "writes into a value";
        incr 2 WRITE ONE_KEY counters::incr: "adds 1";
        decr 2 WRITE ONE_KEY counters::decr: "subtracts 1";
        incrby 3 WRITE ONE_KEY counters::incrby: "adds an integer";
        decrby 3 WRITE ONE_KEY counters::decrby: "subtracts an integer";
        incrbyfloat 3 WRITE ONE_KEY counters::incrbyfloat: "adds a number with a fraction";
    }
    Keys {
        del -2 WRITE ALL_KEYS keys::del: "removes keys in one commit";
        unlink -2 WRITE ALL_KEYS keys::del: "the same as DEL, which does not wait either";
        exists -2 READ ALL_KEYS keys::exists: "how many of the keys are there";
        touch -2 READ ALL_KEYS keys::exists: "how many of the keys are there";
        type 2 READ ONE_KEY keys::kind: "the type of a value";
        expire -3 WRITE ONE_KEY expiry::expire: "lets a key expire after seconds: NX, XX, GT, LT";
        pexpire -3 WRITE ONE_KEY expiry::pexpire: "the same with milliseconds";
        expireat -3 WRITE ONE_KEY expiry::expireat: "lets a key expire at a time in seconds: NX, XX, GT, LT";
        pexpireat -3 WRITE ONE_KEY expiry::pexpireat: "the same with milliseconds";
        persist 2 WRITE ONE_KEY expiry::persist: "lets a key live for ever";
        ttl 2 READ ONE_KEY expiry::ttl: "seconds that are left";
        pttl 2 READ ONE_KEY expiry::pttl: "milliseconds that are left";
        expiretime 2 READ ONE_KEY expiry::expiretime: "when a key expires, in seconds";
        pexpiretime 2 READ ONE_KEY expiry::pexpiretime: "the same in milliseconds";
    }
}

/// Commands that Redis has and this server has not yet: they are refused by name.
pub(crate) const MISSING: &[&str] = &[
    "bitcount",
    "bitfield",
    "bitop",
    "bitpos",
    "blmove",
    "blmpop",
    "blpop",
    "brpop",
    "brpoplpush",
    "bzmpop",
    "bzpopmax",
    "bzpopmin",
    "config",
    "copy",
    "discard",
    "dump",
    "eval",
    "evalsha",
    "exec",
    "fcall",
    "flushall",
    "flushdb",
    "function",
    "geoadd",
    "getbit",
    "hdel",
    "hexists",
    "hget",
    "hgetall",
    "hincrby",
    "hincrbyfloat",
    "hkeys",
    "hlen",
    "hmget",
    "hmset",
    "hrandfield",
    "hscan",
    "hset",
    "hsetnx",
    "hstrlen",
    "hvals",
    "keys",
    "latency",
    "lcs",
    "lindex",
    "linsert",
    "llen",
    "lmove",
    "lmpop",
    "lolwut",
    "lpop",
    "lpos",
    "lpush",
    "lpushx",
    "lrange",
    "lrem",
    "lset",
    "ltrim",
    "memory",
    "monitor",
    "move",
    "multi",
    "object",
    "pfadd",
    "pfcount",
    "pfmerge",
    "psubscribe",
    "publish",
    "pubsub",
    "punsubscribe",
    "randomkey",
    "rename",
    "renamenx",
    "restore",
    "rpop",
    "rpoplpush",
    "rpush",
    "rpushx",
    "sadd",
    "scan",
    "scard",
    "script",
    "sdiff",
    "sdiffstore",
    "setbit",
    "sinter",
    "sintercard",
    "sinterstore",
    "sismember",
    "slowlog",
    "smembers",
    "smismember",
    "smove",
    "sort",
    "sort_ro",
    "spop",
    "spublish",
    "srandmember",
    "srem",
    "sscan",
    "ssubscribe",
    "subscribe",
    "sunion",
    "sunionstore",
    "sunsubscribe",
    "swapdb",
    "unsubscribe",
    "unwatch",
    "wait",
    "waitaof",
    "watch",
    "xadd",
    "xlen",
    "xrange",
    "xread",
    "zadd",
    "zcard",
    "zcount",
    "zdiff",
    "zdiffstore",
    "zincrby",
    "zinter",
    "zintercard",
    "zinterstore",
    "zlexcount",
    "zmpop",
    "zmscore",
    "zpopmax",
    "zpopmin",
    "zrandmember",
    "zrange",
    "zrangebylex",
    "zrangebyscore",
    "zrangestore",
    "zrank",
    "zrem",
    "zremrangebylex",
    "zremrangebyrank",
    "zremrangebyscore",
    "zrevrange",
    "zrevrangebylex",
    "zrevrangebyscore",
    "zrevrank",
    "zscan",
    "zscore",
    "zunion",
    "zunionstore",
];

/// The command of that name, in any case.
pub(crate) fn find(name: &[u8]) -> Option<&'static CommandInfo> {
    let is_it = |command: &&CommandInfo| name.eq_ignore_ascii_case(command.name.as_bytes());
    COMMANDS.iter().find(is_it)
}

/// Whether Redis has a command of that name.
pub(crate) fn is_missing(name: &[u8]) -> bool {
    let mut missing = MISSING.iter();
    missing.any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

impl CommandInfo {
    /// Whether it may be called with so many arguments, the name included.
    #[must_use]
    pub fn takes(&self, count: usize) -> bool {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        match self.arity {
            exactly @ 0.. => count == exactly,
            at_least => count >= -at_least,
        }
    }
}

/// The table as it stands in the documentation.
#[must_use]
pub fn markdown() -> String {
    let mut text = "| command | group | what it does |\n|---|---|---|\n".to_owned();
    for CommandInfo {
        name,
        group,
        summary,
        ..
    } in COMMANDS
    {
        let name = name.to_ascii_uppercase();
        let line = format!("| {name} | {} | {summary} |\n", group.word());
        text.push_str(&line);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_stands_once_and_is_found_in_any_case() {
        let built = COMMANDS.iter().map(|command| command.name);
        let all: Vec<&str> = built.chain(MISSING.iter().copied()).collect();
        let names: BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(names.len(), all.len());
        assert!(names.iter().all(|name| *name == name.to_ascii_lowercase()));
        assert_eq!(find(b"GeT").map(|command| command.name), Some("get"));
        assert!(is_missing(b"ZADD") && !is_missing(b"get") && find(b"zadd").is_none());
    }

    #[test]
    fn the_arity_counts_the_name() {
        let takes = |name: &[u8], count| find(name).unwrap().takes(count);
        assert!(takes(b"get", 2) && !takes(b"get", 1) && !takes(b"get", 3));
        assert!(takes(b"del", 2) && takes(b"del", 9) && !takes(b"del", 1));
    }
}
