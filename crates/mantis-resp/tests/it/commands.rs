//! What commands answer.

use bytes::Bytes;
use mantis_session::{ChangeFilter, Command, FeedFrom, Principal, Put};
use mantis_types::{Durability, Origin};

use crate::rig::{Client, Served};

/// Lines of a session: what is sent, and what is answered.
fn play(client: &mut Client, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        assert_eq!(client.call(line), *expected, "{line}");
    }
}

#[test]
fn strings_are_written_read_and_changed() {
    let served = Served::open();
    play(
        &mut served.client(),
        &[
            ("GET a", "nil"),
            ("SET a 1", "+OK"),
            ("get a", "1"),
            ("SET a 2 NX", "nil"),
            ("SET b 2 XX", "nil"),
            ("SET a 2 XX GET", "1"),
            ("SET b 3 NX GET", "nil"),
            ("SET b 4 NX GET", "3"),
            ("GET b", "3"),
            ("SETNX a 9", ":0"),
            ("SETNX c 9", ":1"),
            ("GETSET c 8", "9"),
            ("GETDEL c", "8"),
            ("GETDEL c", "nil"),
            ("MSET a x b y", "+OK"),
            ("MGET a b c", "[x y nil]"),
            ("MSETNX c 1 a 2", ":0"),
            ("MSETNX c 1 d 2 c 3", ":1"),
            ("GET c", "3"),
            ("APPEND a yz", ":3"),
            ("APPEND new 1", ":1"),
            ("STRLEN a", ":3"),
            ("STRLEN nobody", ":0"),
            ("GETRANGE a 1 -1", "yz"),
            ("SUBSTR a 0 0", "x"),
            ("SETRANGE a 5 !", ":6"),
            ("GET a", "xyz\0\0!"),
            ("SETRANGE nobody 3 x", ":4"),
        ],
    );
}

#[test]
fn counters_count_and_refuse_what_is_no_number() {
    let served = Served::open();
    play(
        &mut served.client(),
        &[
            ("INCR n", ":1"),
            ("INCRBY n 10", ":11"),
            ("DECR n", ":10"),
            ("DECRBY n 3", ":7"),
            ("INCRBYFLOAT n 0.5", "7.5"),
            ("INCR n", "-ERR value is not an integer or out of range"),
            ("SET max 9223372036854775807", "+OK"),
            ("INCR max", "-ERR increment or decrement would overflow"),
            (
                "DECRBY max -9223372036854775808",
                "-ERR decrement would overflow",
            ),
            (
                "INCRBY max 1.5",
                "-ERR value is not an integer or out of range",
            ),
            ("INCRBYFLOAT max x", "-ERR value is not a valid float"),
            ("INCRBYFLOAT f 3.0e3", "3000"),
        ],
    );
}

#[test]
fn keys_go_and_expire() {
    let served = Served::open();
    let mut client = served.client();
    play(
        &mut client,
        &[
            ("MSET a 1 b 2 c 3", "+OK"),
            ("EXISTS a a nobody", ":2"),
            ("DEL a nobody", ":1"),
            ("UNLINK b", ":1"),
            ("TYPE c", "+string"),
            ("TYPE a", "+none"),
            ("TTL a", ":-2"),
            ("TTL c", ":-1"),
            ("EXPIRE c 100", ":1"),
            ("EXPIRE c 50 GT", ":0"),
            ("EXPIRE c 200 GT", ":1"),
            ("EXPIRE c 300 LT", ":0"),
            ("EXPIRE c 300 NX", ":0"),
            ("EXPIRE c 300 XX LT", ":0"),
            (
                "EXPIRE c 1 NX GT",
                "-ERR NX and XX, GT or LT options at the same time are not compatible",
            ),
            ("EXPIRE c 1 SOON", "-ERR Unsupported option SOON"),
            ("PERSIST c", ":1"),
            ("PERSIST c", ":0"),
            ("EXPIREAT c 4102444800", ":1"),
            ("EXPIRETIME c", ":4102444800"),
            ("PEXPIRETIME c", ":4102444800000"),
            ("SET c 1 KEEPTTL", "+OK"),
            ("EXPIRETIME c", ":4102444800"),
            ("APPEND c 2", ":2"),
            ("EXPIRETIME c", ":4102444800"),
            ("SET c 1", "+OK"),
            ("TTL c", ":-1"),
            ("GETEX c EXAT 4102444800", "1"),
            ("EXPIRETIME c", ":4102444800"),
            ("GETEX c PERSIST", "1"),
            ("TTL c", ":-1"),
            ("EXPIRE c -1", ":1"),
            ("EXISTS c", ":0"),
            ("SETEX d 0 x", "-ERR invalid expire time in 'setex' command"),
            ("SET d x EX 0", "-ERR invalid expire time in 'set' command"),
            ("SET d x EX 10 PX 10", "-ERR syntax error"),
            (
                "SET d x EX 9223372036854775807",
                "-ERR invalid expire time in 'set' command",
            ),
            ("SET d x PXAT 4102444800123", "+OK"),
            ("PEXPIRETIME d", ":4102444800123"),
            ("PSETEX d 100000 x", "+OK"),
            ("DBSIZE", ":1"),
        ],
    );
}

#[test]
fn what_is_missing_is_named_and_what_is_unknown_too() {
    let served = Served::open();
    play(
        &mut served.client(),
        &[
            ("ZADD z 1 a", "-ERR command 'ZADD' is not supported yet"),
            ("NOSUCH a", "-ERR unknown command 'NOSUCH'"),
            ("GET", "-ERR wrong number of arguments for 'get' command"),
            (
                "GET a b",
                "-ERR wrong number of arguments for 'get' command",
            ),
            (
                "MSET a",
                "-ERR wrong number of arguments for 'mset' command",
            ),
            ("SELECT 0", "+OK"),
            ("SELECT 1", "-ERR databases 1 to 15 are not supported yet"),
            ("SELECT 16", "-ERR DB index is out of range"),
            ("PING", "+PONG"),
        ],
    );
}

#[test]
fn values_of_one_door_are_those_of_the_others() {
    let served = Served::open();
    let session = served.database.session(Principal::Owner);
    let mut feed = session
        .changes(FeedFrom::Now, ChangeFilter::default())
        .unwrap();
    let mut client = served.client();
    assert_eq!(
        client.call_with(&[b"SET", b"k\x00\xff", b"\r\n\x00"]),
        "+OK"
    );
    let key = Bytes::from_static(b"k\x00\xff");
    let read = session.execute(Command::KvGet { key }).unwrap();
    let mantis_session::Reply::KvGet(Some(entry)) = read else {
        panic!("{read:?}");
    };
    assert_eq!(entry.value, &b"\r\n\x00"[..]);
    let set = feed.next(std::time::Duration::from_secs(20)).unwrap();
    assert_eq!(set.unwrap().origin, Some(Origin::Resp));
    let put = Put::new("other", "1");
    let durability = Durability::None;
    session.execute(Command::KvPut { put, durability }).unwrap();
    assert_eq!(client.call("INCR other"), ":2");
}

#[test]
fn no_change_of_many_clients_is_lost() {
    const CLIENTS: usize = 8;
    const CHANGES: usize = 60;
    let served = Served::open();
    let change = || {
        let mut client = served.client();
        for _ in 0..CHANGES {
            client.call("INCR n");
            client.call("APPEND text x");
            client.call("INCRBYFLOAT f 0.5");
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(change);
        }
    });
    let all = CLIENTS * CHANGES;
    let mut client = served.client();
    assert_eq!(client.call("GET n"), all.to_string());
    assert_eq!(client.call("STRLEN text"), format!(":{all}"));
    assert_eq!(client.call("GET f"), (all / 2).to_string());
}
