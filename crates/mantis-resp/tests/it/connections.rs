//! Connections: who may, in which order, and how they end.

use mantis_session::Principal;

use crate::rig::{Client, PASSWORD, Served, encode};

#[test]
fn replies_come_in_the_order_of_their_requests_in_any_pieces() {
    let served = Served::open();
    let mut client = served.client();
    let requests = 2000;
    let mut bytes = Vec::new();
    for number in 0..requests {
        let text = number.to_string();
        bytes.extend(encode(&[b"SET", b"k", text.as_bytes()]));
        bytes.extend(encode(&[b"GET", b"k"]));
    }
    let mut writer = client.stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut pieces = bytes.chunks(777);
            pieces.try_for_each(|piece| std::io::Write::write_all(&mut writer, piece))
        });
        for number in 0..requests {
            assert_eq!(client.reply(), "+OK");
            assert_eq!(client.reply(), number.to_string());
        }
    });
}

#[test]
fn strangers_may_do_nothing_before_they_sign_in() {
    let served = Served::closed();
    let mut client = served.client();
    for line in ["GET a", "SET a 1", "DBSIZE", "INFO", "HELLO 3"] {
        assert!(client.call(line).starts_with("-NOAUTH"), "{line}");
    }
    assert!(client.call("AUTH wrong").starts_with("-WRONGPASS"));
    assert!(client.call("AUTH root secret").starts_with("-WRONGPASS"));
    assert_eq!(client.call(&format!("AUTH {PASSWORD}")), "+OK");
    assert_eq!(client.call("SET a 1"), "+OK");
    assert_eq!(client.call("RESET"), "+RESET");
    assert!(client.call("GET a").starts_with("-NOAUTH"));
    // In one go: what follows AUTH is done as whom it makes.
    client.send(&encode(&[b"AUTH", b"default", PASSWORD.as_bytes()]));
    client.send(&encode(&[b"GET", b"a"]));
    assert_eq!((client.reply(), client.reply()), ("+OK".into(), "1".into()));
}

#[test]
fn a_stranger_cannot_send_much() {
    let served = Served::closed();
    let mut client = served.client();
    client.send(b"*1\r\n$100000\r\n");
    assert_eq!(
        client.reply(),
        "-ERR Protocol error: unauthenticated bulk length"
    );
    assert_eq!(client.reply(), "closed");
}

#[test]
fn hello_changes_the_protocol() {
    let served = Served::closed();
    let mut client = served.client();
    let hello = client.call(&format!("HELLO 3 AUTH default {PASSWORD} SETNAME me"));
    assert!(
        hello.contains("proto :3") && hello.contains("version 7.2.4"),
        "{hello}"
    );
    client.send(&encode(&[b"GET", b"nobody"]));
    let mut raw = [0; 3];
    std::io::Read::read_exact(&mut client.stream, &mut raw).unwrap();
    assert_eq!(&raw, b"_\r\n");
    assert_eq!(client.call("CLIENT GETNAME"), "me");
    assert_eq!(client.call("CLIENT SETINFO LIB-NAME test"), "+OK");
    assert!(client.call("CLIENT ID").starts_with(':'));
    assert!(client.call("HELLO 4").starts_with("-NOPROTO"));
    assert!(client.call("HELLO 2").contains("proto :2"));
}

#[test]
fn people_may_type() {
    let served = Served::open();
    let mut client = served.client();
    client.send(b"set greeting \"hello\\x21 you\"\r\nget greeting\r\n");
    assert_eq!(client.reply(), "+OK");
    assert_eq!(client.reply(), "hello! you");
}

#[test]
fn broken_requests_end_the_connection_behind_the_replies_before() {
    let served = Served::open();
    let mut client = served.client();
    client.send(b"*1\r\n$4\r\nPING\r\n*x\r\n");
    assert_eq!(client.reply(), "+PONG");
    assert_eq!(
        client.reply(),
        "-ERR Protocol error: invalid multibulk length"
    );
    assert_eq!(client.reply(), "closed");
    let mut client = served.client();
    client.send(b"*1\r\n$4\r\nQUIT\r\n*1\r\n$4\r\nPING\r\n");
    assert_eq!(
        (client.reply(), client.reply()),
        ("+OK".into(), "closed".into())
    );
}

#[test]
fn who_finds_no_room_is_told() {
    let served = Served::start(Principal::Owner, 1);
    let mut first = served.client();
    assert_eq!(first.call("PING"), "+PONG");
    let mut second = served.client();
    assert_eq!(second.reply(), "-ERR max number of clients reached");
    assert_eq!(second.reply(), "closed");
    assert_eq!(first.call("QUIT"), "+OK");
    assert_eq!(first.reply(), "closed");
    // The place is free a moment after the last byte.
    let answered = |_| {
        let mut next = served.client();
        next.call_quietly("PING")
    };
    assert!((0..1000).any(answered));
}

impl Client {
    /// Whether it is answered at all.
    fn call_quietly(&mut self, line: &str) -> bool {
        use std::io::Write;
        let sent = self.stream.write_all(format!("{line}\r\n").as_bytes());
        sent.is_ok() && self.reply() == "+PONG"
    }
}

#[test]
fn a_server_that_stops_ends_its_connections() {
    let mut served = Served::open();
    let mut client = served.client();
    assert_eq!(client.call("SET a 1"), "+OK");
    assert!(served.stop());
    assert_eq!(client.reply(), "closed");
}

#[test]
fn the_server_says_what_it_has_done() {
    let served = Served::open();
    let mut client = served.client();
    client.call("SET a 1");
    client.call("GET a");
    client.call("GET nobody");
    client.call("NOSUCH");
    let info = client.call("INFO");
    for line in [
        "redis_version:7.2.4",
        "connected_clients:1",
        "total_commands_processed:5",
        "total_error_replies:1",
        "keyspace_hits:1",
        "keyspace_misses:1",
        "db0:keys=1",
    ] {
        assert!(info.contains(line), "{line} is not in {info}");
    }
    let clients = client.call("INFO clients");
    assert!(clients.contains("connected_clients:1") && !clients.contains("redis_version"));
    assert_eq!(client.call("COMMAND COUNT"), ":47");
    assert!(
        client
            .call("COMMAND INFO get")
            .starts_with("[[get :2 [+readonly +fast] :1 :1 :1")
    );
    assert!(client.call("COMMAND DOCS get").contains("reads a value"));
}
