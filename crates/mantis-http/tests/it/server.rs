//! A server on a free port, with a store in memory or in a directory of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mantis_env::Env;
use mantis_http::{
    Anonymous, ConfigApplied, ConfigError, ConfigReport, ConfigStore, Credentials, HttpConfig,
    HttpSettings, Server, ServerHandle,
};
use mantis_session::{Database, DatabaseOptions};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::Client;

pub(crate) const ADMIN: &str = "Bearer admin-token";
pub(crate) const KEY: &str = "Bearer data-key";

/// A running server; dropping it shuts it down.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) handle: ServerHandle,
    pub(crate) database: Database,
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<bool>>,
    dir: Option<tempfile::TempDir>,
}

/// How to start it.
pub(crate) struct Setup {
    pub(crate) config: HttpConfig,
    pub(crate) settings: HttpSettings,
    pub(crate) on_disk: bool,
    /// Changes how a store on disk is opened.
    pub(crate) opening: Box<dyn FnOnce(DatabaseOptions) -> DatabaseOptions>,
}

impl Default for Setup {
    /// The development profile, with a short grace.
    fn default() -> Self {
        let config = HttpConfig {
            port: 0,
            shutdown_grace: Duration::from_secs(5),
            ..HttpConfig::default()
        };
        let credentials = Credentials {
            admin_token: Some("admin-token".into()),
            api_keys: vec!["data-key".into()],
            anonymous: Anonymous::OwnerOnLoopback,
        };
        let settings = HttpSettings {
            credentials,
            ..HttpSettings::default()
        };
        Self {
            config,
            settings,
            on_disk: false,
            opening: Box::new(|options| options),
        }
    }
}

impl Setup {
    /// The same over a store in a directory.
    pub(crate) fn on_disk() -> Self {
        Self {
            on_disk: true,
            ..Self::default()
        }
    }

    pub(crate) fn start(self) -> TestServer {
        let env = Env::real();
        let dir = self.on_disk.then(|| tempfile::tempdir().unwrap());
        let mut config = self.config;
        let database = match &dir {
            Some(dir) => {
                config.data_dir = Some(dir.path().to_owned());
                let options = DatabaseOptions::new(env, dir.path().join("store"));
                Database::open((self.opening)(options)).unwrap()
            }
            None => Database::open_in_memory(&env).unwrap(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let store = Arc::new(TestConfig::default());
        let bound = Server::bind(config, self.settings, database.clone(), store);
        let server = runtime.block_on(bound).unwrap();
        let (address, handle) = (server.local_addr(), server.handle());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = runtime.spawn(server.run(async move {
            drop(stopped.await);
        }));
        TestServer {
            address,
            handle,
            database,
            runtime: Some(runtime),
            stop: Some(stop),
            running: Some(running),
            dir,
        }
    }
}

impl TestServer {
    pub(crate) fn new() -> Self {
        Setup::default().start()
    }

    /// A caller without credentials.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// A caller with the admin token.
    pub(crate) fn admin(&self) -> Client {
        Client::new(self.address).with("Authorization", ADMIN)
    }

    /// The directory of a store on disk.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.as_ref().unwrap().path()
    }

    /// Bytes of the log's files that hold commits.
    pub(crate) fn live_log_bytes(&self) -> u64 {
        let log = self.dir().join("store/store/log");
        let files = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap());
        files
            .filter(|file| file.path().extension().is_some_and(|end| end == "seg"))
            .map(|file| file.metadata().unwrap().len())
            .sum()
    }

    /// Begins the shutdown.
    pub(crate) fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Shuts down; answers whether everything ended by itself.
    pub(crate) fn stop(&mut self) -> bool {
        self.begin_stop();
        match (self.running.take(), &self.runtime) {
            (Some(running), Some(runtime)) => runtime.block_on(running).unwrap(),
            _ => true,
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A configuration in memory: `security.rate_limit` takes effect, `server.port` needs a restart.
#[derive(Debug)]
pub(crate) struct TestConfig(Mutex<Value>);

impl Default for TestConfig {
    fn default() -> Self {
        Self(Mutex::new(json!({
            "server": {"port": 8080},
            "security": {"admin_token": "***", "rate_limit": 0},
        })))
    }
}

impl ConfigStore for TestConfig {
    fn show(&self) -> Value {
        self.0.lock().clone()
    }

    fn validate(&self, change: &Value) -> ConfigReport {
        let known = |(section, key, value): &(&str, &str, &Value)| {
            matches!(
                (*section, *key),
                ("server", "port") | ("security", "rate_limit")
            ) && value.is_u64()
        };
        let wrong = settings(change).filter(|setting| !known(setting));
        let errors =
            wrong.map(|(section, key, _)| format!("{section}.{key} is unknown or no number"));
        ConfigReport {
            errors: errors.collect(),
            warnings: Vec::new(),
        }
    }

    fn apply(&self, change: &Value) -> Result<ConfigApplied, ConfigError> {
        let report = self.validate(change);
        if !report.errors.is_empty() {
            return Err(ConfigError::Invalid(report));
        }
        let mut done = ConfigApplied::default();
        for (section, key, value) in settings(change) {
            self.0.lock()[section][key] = value.clone();
            let at_once = section == "security";
            let list = if at_once {
                &mut done.applied
            } else {
                &mut done.restart_required
            };
            list.push(format!("{section}.{key}"));
        }
        Ok(done)
    }
}

/// Section, key and value of everything in a change.
fn settings(change: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    change
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(section, keys)| {
            let keys = keys.as_object().into_iter().flatten();
            keys.map(move |(key, value)| (section.as_str(), key.as_str(), value))
        })
}
