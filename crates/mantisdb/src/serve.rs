//! `mantisdb serve`: opens the store, serves it over HTTP, and shuts both down in order.

mod logging;
mod redis;
mod token;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use mantis_env::Env;
use mantis_http::{
    BuildInfo, ConfigApplied, ConfigError, Event, HttpConfig, HttpSettings, Server, ServerError,
    TlsFiles,
};
use mantis_session::{Database, DatabaseOptions, LogSettings, SessionError};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::{Measure, ServeArgs};
use crate::config::{self, LiveConfig, Loaded, Settings};
use crate::exit::{Failure, Outcome, say};
use crate::{bench, version};

/// Descriptors that the store and the program need beside one for each connection.
const OWN_DESCRIPTORS: u64 = 1000;

/// Longest wait for threads of the runtime after the last connection has ended.
const RUNTIME_GRACE: Duration = Duration::from_secs(5);

/// Runs the server until a signal ends it, or only measures, as the arguments say.
pub(crate) fn run(arguments: &ServeArgs) -> Outcome {
    match arguments.measure() {
        Measure::No => {}
        Measure::ThenServe(stress) => bench::measure(stress, None, &mut std::io::stderr())?,
        Measure::Only(stress) => {
            return bench::measure(stress, arguments.data_dir(), &mut std::io::stdout());
        }
    }
    let inputs = arguments.inputs();
    let loaded = config::load(&inputs)?;
    // Libraries make files as well: nothing that we make is for others.
    umask(Mode::RWXG | Mode::RWXO);
    let env = Env::real();
    let level = logging::start(&env, &loaded.settings.logging)?;
    loaded
        .warnings
        .iter()
        .for_each(|warning| tracing::warn!("{warning}"));
    raise_descriptor_limit(loaded.settings.server.max_connections);
    let database = open(&env, &loaded.settings)?;
    time_transactions(&database, &loaded.settings);
    let kept_token = kept_token(&env, &loaded.settings)?;
    let live = Arc::new(LiveConfig::new(env, inputs, loaded.clone()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("mantis-http")
        .build()
        .context("the threads of the server cannot be started")?;
    let served = runtime.block_on(async {
        let server = bind(&loaded, kept_token.as_deref(), &database, &live).await?;
        let handle = server.handle();
        let publisher = handle.clone();
        let timed = database.clone();
        live.connect(Box::new(move |loaded| {
            level.set(loaded.settings.logging.level);
            time_transactions(&timed, &loaded.settings);
            handle.apply(http_settings(loaded, kept_token.as_deref()));
        }));
        let redis = redis::Redis::bind(&loaded.settings, &database, publisher.clone()).await?;
        let signals = Signals::listen()?;
        say_ready(&server, redis.as_ref().map(redis::Redis::local_addr))?;
        let redis = redis.map(redis::Redis::start);
        let ending = signals.until_end(&live, |event| publisher.publish(event));
        let whole = server
            .run(async {
                ending.await;
                if let Some(redis) = &redis {
                    redis.stop();
                }
            })
            .await;
        let whole = match redis {
            Some(redis) => redis.ended().await && whole,
            None => whole,
        };
        if !whole {
            tracing::warn!("some requests did not end within server.shutdown_grace");
        }
        Ok::<(), Failure>(())
    });
    runtime.shutdown_timeout(RUNTIME_GRACE);
    // Also after a failed start: what recovery has read again need not be read once more.
    let closed = database
        .close()
        .context("the store could not be closed cleanly");
    served?;
    closed?;
    tracing::info!("shut down");
    Ok(())
}

/// Opens the store in the data directory.
fn open(env: &Env, settings: &Settings) -> Result<Database, Failure> {
    let database = &settings.database;
    let opened = Database::open(DatabaseOptions {
        buffer_bytes: database.buffer_size.0,
        cache_bytes: database.cache_size.0,
        log: LogSettings {
            segment_bytes: database.log_segment_size.0,
            interval: database.sync_interval,
            retain_bytes: settings.limits.feed_retention.0,
            retain_age: settings.limits.feed_retention_age,
        },
        min_free_bytes: database.min_free_space.0,
        limits: config::store_limits(settings),
        ..DatabaseOptions::new(env.clone(), &database.data_dir)
    });
    let dir = database.data_dir.display();
    match opened {
        Ok(database) => {
            let status = database.status();
            tracing::info!(%dir, visible_seq = status.visible_seq.get(), "store opened");
            Ok(database)
        }
        Err(error @ SessionError::BadOption { .. }) => {
            Err(Failure::configuration(error.to_string()))
        }
        Err(error) => Err(anyhow::Error::new(error)
            .context(format!("cannot open {dir}"))
            .into()),
    }
}

/// How long transactions under an id may rest and live.
fn time_transactions(database: &Database, settings: &Settings) {
    let transactions = &settings.transactions;
    database.set_transaction_timeouts(transactions.idle_timeout, transactions.max_duration);
}

/// The token that stands in for an admin token that is not set. Shown when it is made, and never
/// through the log, which others may read.
fn kept_token(env: &Env, settings: &Settings) -> anyhow::Result<Option<String>> {
    if settings.security.admin_token.is_some() {
        return Ok(None);
    }
    let kept = token::kept(env, &settings.database.data_dir)?;
    if let Some(path) = kept.made {
        say(&format!(
            "admin token: {} (kept in {}; shown this once)",
            kept.token,
            path.display()
        ));
    }
    Ok(Some(kept.token))
}

async fn bind(
    loaded: &Loaded,
    kept_token: Option<&str>,
    database: &Database,
    live: &Arc<LiveConfig>,
) -> Result<Server, Failure> {
    let settings = &loaded.settings;
    let server = &settings.server;
    let files = server.tls_cert.clone().zip(server.tls_key.clone());
    let fixed = HttpConfig {
        host: config::address(server).map_err(Failure::configuration)?,
        port: server.port.0,
        tls: files.map(|(cert, key)| TlsFiles { cert, key }),
        connections_max: server.max_connections,
        shutdown_grace: server.shutdown_grace,
        data_dir: Some(settings.database.data_dir.clone()),
        build: BuildInfo {
            version: version::VERSION.to_owned(),
            commit: version::COMMIT.map(str::to_owned),
            built_at: version::BUILT_AT.map(str::to_owned),
        },
        ..HttpConfig::default()
    };
    let changing = http_settings(loaded, kept_token);
    let store = Arc::<LiveConfig>::clone(live);
    Server::bind(fixed, changing, database.clone(), store)
        .await
        .map_err(|error| match error {
            ServerError::Tls { .. } => Failure::configuration(error.to_string()),
            other => anyhow::Error::new(other).into(),
        })
}

/// The part of the settings that a running server takes over.
fn http_settings(loaded: &Loaded, kept_token: Option<&str>) -> HttpSettings {
    let Settings {
        server,
        database,
        security,
        logging,
        ..
    } = &loaded.settings;
    let mut credentials = config::credentials(loaded.profile, security);
    credentials.admin_token = credentials
        .admin_token
        .or_else(|| kept_token.map(str::to_owned));
    HttpSettings {
        body_bytes_max: usize::try_from(server.max_body_size.0).unwrap_or(usize::MAX),
        request_timeout: server.request_timeout,
        slow_after: Some(logging.slow_query_threshold).filter(|after| !after.is_zero()),
        durability: config::default_durability(&loaded.settings),
        isolation: database.default_isolation,
        credentials,
        rate_limit: security.rate_limit,
        cors_origins: if security.enable_cors {
            security.cors_origins.clone()
        } else {
            Vec::new()
        },
        trusted_proxies: security.trusted_proxies.clone(),
    }
}

/// The one line that tells other programs where we listen.
fn say_ready(server: &Server, redis: Option<SocketAddr>) -> Outcome {
    let mut out = std::io::stdout();
    let http = server.local_addr();
    let redis = redis.map(|address| format!(" resp={address}"));
    let redis = redis.unwrap_or_default();
    writeln!(out, "ready http={http}{redis}")?;
    out.flush()?;
    tracing::info!(%http, version = version::VERSION, "ready{redis}");
    Ok(())
}

/// What the outside world wants of a running server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be listened to");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Ends at SIGTERM and SIGINT; reads the configuration again at SIGHUP.
    async fn until_end(mut self, live: &Arc<LiveConfig>, publish: impl Fn(Event)) {
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.hang_up.recv() => {
                    reload(live, &publish).await;
                    continue;
                }
            };
            tracing::info!(signal = name, "shutting down");
            return;
        }
    }
}

async fn reload(live: &Arc<LiveConfig>, publish: &impl Fn(Event)) {
    let live = Arc::clone(live);
    match tokio::task::spawn_blocking(move || live.reload()).await {
        Ok(Ok((
            ConfigApplied {
                applied,
                restart_required,
            },
            warnings,
        ))) => {
            warnings
                .iter()
                .for_each(|warning| tracing::warn!("{warning}"));
            tracing::info!(?applied, ?restart_required, "configuration reloaded");
            publish(Event::Config {
                applied,
                restart_required,
            });
        }
        Ok(Err(ConfigError::Invalid(report))) => {
            for error in report.errors {
                tracing::error!(%error, "the configuration was not reloaded");
            }
        }
        Ok(Err(error)) => tracing::error!(%error, "the configuration was not reloaded"),
        Err(error) => tracing::error!(%error, "the configuration was not reloaded"),
    }
}

/// Lets the process have as many descriptors as the system allows it.
fn raise_descriptor_limit(connections_max: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(connections_max)
        .unwrap_or(u64::MAX)
        .saturating_add(OWN_DESCRIPTORS);
    if current.is_none_or(|current| current >= wanted) {
        return;
    }
    let allowed = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(allowed),
            maximum,
        },
    );
    if raised.is_err() || allowed < wanted {
        tracing::warn!(
            allowed,
            wanted,
            "the system allows too few open files for server.max_connections; raise its limit (ulimit -n)"
        );
    }
}
