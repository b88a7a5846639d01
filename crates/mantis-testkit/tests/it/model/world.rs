//! The stores that the model is compared with.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mantis_engine::{MemoryEngine, MemoryOptions};
use mantis_env::Env;
use mantis_log::{Log, LogOptions};
use mantis_session::{Command, Database, KvError, Principal, Reply, SessionError};
use mantis_txn::{DurableHook, Store};
use mantis_types::{Access, Code, Limits};

use super::act::Ending;

/// A store, and the machine around it.
pub(crate) trait World {
    fn execute(&self, command: Command) -> Result<Reply, Code>;
    fn now_ms(&self) -> u64;
    /// Lets time pass, with background tasks; false when this world's time cannot be moved.
    fn pass(&mut self, span: Duration) -> bool;
    fn flush(&self) {}
    fn compact(&self) {}
    fn reopen(&mut self, ending: Ending);
}

/// Log and memory engine on a simulated machine.
pub(crate) struct SimWorld {
    env: Env,
    opened: Option<(Store, mantis_kv::Kv)>,
}

impl SimWorld {
    pub(crate) fn new(seed: u64) -> Self {
        let mut world = Self {
            env: Env::simulated(seed),
            opened: None,
        };
        world.env.fs().create_dir(Path::new("/store")).unwrap();
        world.open();
        world
    }

    fn open(&mut self) {
        self.opened = Some(open_simulated(&self.env));
    }

    fn kv(&self) -> &mantis_kv::Kv {
        &self.opened.as_ref().expect("opened at all times").1
    }
}

/// Opens log, memory engine, pipeline and key-value model on a simulated machine.
pub(crate) fn open_simulated(env: &Env) -> (Store, mantis_kv::Kv) {
    let hook = DurableHook::default();
    let log_options = LogOptions {
        segment_bytes: 64 << 10,
        on_durable: Some(hook.callback()),
        ..LogOptions::default()
    };
    let log = Log::open(env, Path::new("/store/log"), log_options)
        .expect("the log opens")
        .log;
    let engine = Arc::new(MemoryEngine::new(env, MemoryOptions::default()));
    let limits = Limits {
        chunk_bytes: 4 << 10,
        ..Limits::default()
    };
    let store = Store::open(env, engine, Some(log), &hook, limits).expect("the log replays");
    let kv = mantis_kv::Kv::open(store.clone(), 0).expect("the model opens");
    (store, kv)
}

/// What a session does with a command, for a store that was put together by hand.
pub(crate) fn execute(kv: &mantis_kv::Kv, command: Command) -> Result<Reply, KvError> {
    let access = Access::grant();
    Ok(match command {
        Command::KvGet { key } => Reply::KvGet(kv.get(access, key)?),
        Command::KvPut { put, durability } => Reply::KvPut(kv.put(access, put, durability)?),
        Command::KvDelete {
            key,
            condition,
            durability,
        } => Reply::KvDelete(kv.delete(access, key, condition, durability)?),
        Command::KvIncrement {
            key,
            by,
            initial,
            durability,
        } => Reply::KvIncrement(kv.increment(access, key, by, initial, durability)?),
        Command::KvList(list) => Reply::KvList(kv.list(access, &list)?),
        Command::KvBatch(batch) => Reply::KvBatch(kv.batch(access, &batch, None)?),
        other => panic!("a command that this test does not know: {other:?}"),
    })
}

impl World for SimWorld {
    fn execute(&self, command: Command) -> Result<Reply, Code> {
        execute(self.kv(), command).map_err(|error| error.code())
    }

    fn now_ms(&self) -> u64 {
        self.env.clock().now_ms()
    }

    fn pass(&mut self, span: Duration) -> bool {
        // The sweep wakes up often; a bound keeps a long span short.
        self.env
            .simulation()
            .expect("simulated")
            .advance(span, 2000);
        true
    }

    fn reopen(&mut self, ending: Ending) {
        let simulation = self.env.simulation().expect("simulated").clone();
        if ending == Ending::Clean {
            let opened = self.opened.as_ref().expect("opened at all times");
            opened.0.close().expect("it closes");
        }
        match ending {
            Ending::Clean => {}
            Ending::Kill => simulation.kill(),
            Ending::Crash => simulation.crash(),
        }
        self.opened = None;
        self.open();
    }
}

/// The whole store on the disk, with small buffers.
pub(crate) struct DiskWorld {
    dir: tempfile::TempDir,
    database: Option<Database>,
}

impl DiskWorld {
    pub(crate) fn new() -> Self {
        let mut world = Self {
            dir: crate::setting::dir(),
            database: None,
        };
        world.open();
        world
    }

    fn open(&mut self) {
        let fs = Arc::clone(Env::real().fs());
        let opened = crate::setting::open(&self.dir.path().join("store"), &fs);
        self.database = Some(opened.expect("the store opens"));
    }

    fn database(&self) -> &Database {
        self.database.as_ref().expect("opened at all times")
    }
}

impl World for DiskWorld {
    fn execute(&self, command: Command) -> Result<Reply, Code> {
        let session = self.database().session(Principal::Owner);
        session
            .execute(command)
            .map_err(|error: SessionError| error.code())
    }

    fn now_ms(&self) -> u64 {
        self.database().env().clock().now_ms()
    }

    fn pass(&mut self, _: Duration) -> bool {
        false
    }

    fn flush(&self) {
        self.database().flush().expect("it flushes");
    }

    fn compact(&self) {
        self.database().compact().expect("it compacts");
    }

    fn reopen(&mut self, ending: Ending) {
        if ending == Ending::Clean {
            self.database().close().expect("it closes");
        }
        self.database = None;
        self.open();
    }
}

/// The control: a simulated world that loses a key at every reopening.
pub(crate) struct Forgetful(SimWorld);

impl Forgetful {
    pub(crate) fn new() -> Self {
        Self(SimWorld::new(7))
    }
}

impl World for Forgetful {
    fn execute(&self, command: Command) -> Result<Reply, Code> {
        self.0.execute(command)
    }

    fn now_ms(&self) -> u64 {
        self.0.now_ms()
    }

    fn pass(&mut self, span: Duration) -> bool {
        self.0.pass(span)
    }

    fn reopen(&mut self, ending: Ending) {
        self.0.reopen(ending);
        let key = super::act::key_bytes(1).into();
        let condition = mantis_kv::Condition::Always;
        let durability = mantis_types::Durability::Sync;
        self.0
            .execute(Command::KvDelete {
                key,
                condition,
                durability,
            })
            .expect("it deletes");
    }
}
