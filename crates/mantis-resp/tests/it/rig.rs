//! A server over memory on a free port, and a blunt client.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use mantis_env::Env;
use mantis_resp::{RequestLimits, RespConfig, Rules, Server};
use mantis_session::{Database, Principal};
use mantis_types::Durability;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const PASSWORD: &str = "secret";

#[derive(Debug)]
struct OnePassword {
    strangers: Principal,
}

impl Rules for OnePassword {
    fn verify(&self, user: Option<&str>, password: &str) -> Option<Principal> {
        let knows = user.is_none_or(|user| user == "default") && password == PASSWORD;
        knows.then_some(Principal::Owner)
    }

    fn stranger(&self, _: IpAddr) -> Principal {
        self.strangers
    }

    fn durability(&self) -> Durability {
        Durability::None
    }
}

/// A running server; dropping it shuts it down.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) database: Database,
    runtime: Runtime,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<bool>>,
}

impl Served {
    /// Everybody may do everything.
    pub(crate) fn open() -> Self {
        Self::start(Principal::Owner, 100)
    }

    /// Only who knows the password.
    pub(crate) fn closed() -> Self {
        Self::start(Principal::Anonymous, 100)
    }

    pub(crate) fn start(strangers: Principal, connections_max: usize) -> Self {
        let database = Database::open_in_memory(&Env::real()).unwrap();
        let config = RespConfig {
            address: "127.0.0.1:0".parse().unwrap(),
            connections_max,
            limits: RequestLimits::TRUSTED,
            shutdown_grace: PATIENCE,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let rules = Arc::new(OnePassword { strangers });
        let bound = Server::bind(config, database.clone(), rules);
        let server = runtime.block_on(bound).unwrap();
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = runtime.spawn(server.run(async move {
            drop(stopped.await);
        }));
        Self {
            address,
            database,
            runtime,
            stop: Some(stop),
            running: Some(running),
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Stops it; answers whether all connections ended by themselves.
    pub(crate) fn stop(&mut self) -> bool {
        drop(self.stop.take());
        let running = self.running.take().expect("it is stopped once");
        self.runtime.block_on(running).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.stop();
        }
    }
}

/// A connection that sends what it is told, and shows replies as redis-cli would.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Words in one line; a reply in one line.
    pub(crate) fn call(&mut self, line: &str) -> String {
        self.call_with(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    }

    pub(crate) fn call_with(&mut self, args: &[&[u8]]) -> String {
        self.send(&encode(args));
        self.reply()
    }

    /// The next reply; `closed` at the end.
    pub(crate) fn reply(&mut self) -> String {
        let Some(line) = self.line() else {
            return "closed".to_owned();
        };
        let (kind, rest) = line.split_at(1);
        match kind {
            "+" | "-" | ":" | "," => line,
            "_" => "nil".to_owned(),
            "$" | "=" if rest == "-1" => "nil".to_owned(),
            "*" if rest == "-1" => "nil".to_owned(),
            "$" | "=" => {
                let len: usize = rest.parse().unwrap();
                let bytes = self.bytes(len + 2);
                String::from_utf8_lossy(&bytes[..len]).into_owned()
            }
            "*" | "%" => {
                let len: usize = rest.parse().unwrap();
                let len = if kind == "%" { len * 2 } else { len };
                let parts: Vec<String> = (0..len).map(|_| self.reply()).collect();
                format!("[{}]", parts.join(" "))
            }
            _ => panic!("no reply: {line}"),
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=at).collect();
                let line = String::from_utf8(line).unwrap();
                return Some(line.trim_end().to_owned());
            }
            if !self.more() {
                return None;
            }
        }
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(self.more(), "it ends within a reply");
        }
        self.read.drain(..count).collect()
    }

    fn more(&mut self) -> bool {
        let mut room = [0; 4096];
        let count = self.stream.read(&mut room).unwrap_or(0);
        self.read.extend_from_slice(&room[..count]);
        count > 0
    }
}

pub(crate) fn encode(args: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend(format!("${}\r\n", arg.len()).into_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}
