//! The table of settings: every key, its default, its other names, and when a change takes effect.
//!
//! The table makes both the typed [`Settings`] that the program reads and the list [`KEYS`] that
//! files, environment, flags and `config show` go through, so neither can know a key alone.

use std::path::PathBuf;
use std::time::Duration;

use mantis_http::Network;
use mantis_types::{Durability, Isolation};
use serde_json::Value;

use super::setting::{
    AnonymousRole, Bytes, Level, LogFormat, LogOutput, Port, PortOrOff, Secret, Setting,
};
use super::values::Values;

/// When a changed value takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// At once.
    Live,
    /// At the next start.
    Restart,
}

/// What is known about one key.
#[derive(Debug)]
pub(crate) struct Key {
    /// `section.name`.
    pub(crate) path: &'static str,
    /// The part before the point.
    pub(crate) section: &'static str,
    /// The part after it.
    pub(crate) name: &'static str,
    /// What it is, in a phrase.
    pub(crate) about: &'static str,
    /// The built-in value; empty is "unset".
    pub(crate) default: &'static str,
    /// The short environment name without `MANTIS_`.
    pub(crate) short_env: Option<&'static str>,
    /// What a valid value looks like.
    pub(crate) form: &'static str,
    /// When a change takes effect.
    pub(crate) change: Change,
    /// Whether the value is masked wherever it is shown.
    pub(crate) secret: bool,
    /// Reads a value, and shows it as JSON.
    pub(crate) json: fn(&str) -> Result<Value, String>,
}

fn json_of<T: Setting>(text: &str) -> Result<Value, String> {
    T::parse(text).map(|value| value.json())
}

macro_rules! settings {
    ($( $(#[doc = $section_doc:literal])+ $section:ident: $Section:ident { $(
        #[doc = $about:literal]
        $name:ident: $kind:ty = $default:literal, $change:ident $(, env $env:literal)?;
    )+ } )+) => {
        /// Every key, in the order in which they are shown.
        pub(crate) const KEYS: &[Key] = &[ $( $( Key {
            path: concat!(stringify!($section), ".", stringify!($name)),
            section: stringify!($section),
            name: stringify!($name),
            about: $about.trim_ascii_start(),
            default: $default,
            short_env: settings!(@env $($env)?),
            form: <$kind as Setting>::FORM,
            change: Change::$change,
            secret: <$kind as Setting>::SECRET,
            json: json_of::<$kind>,
        }, )+ )+ ];

        /// The effective settings, section by section.
        #[derive(Clone, Debug)]
        pub(crate) struct Settings { $(
            $(#[doc = $section_doc])+
            pub(crate) $section: $Section,
        )+ }

        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, Debug)]
            pub(crate) struct $Section { $(
                #[doc = $about]
                pub(crate) $name: $kind,
            )+ }
        )+

        impl Settings {
            /// Reads every value.
            ///
            /// # Errors
            /// The first value that has not the form of its key.
            pub(crate) fn read(values: &Values) -> Result<Self, String> {
                Ok(Self { $( $section: $Section { $(
                    $name: values.parse(concat!(stringify!($section), ".", stringify!($name)))?,
                )+ }, )+ })
            }
        }
    };
    (@env) => { None };
    (@env $env:literal) => { Some($env) };
}

settings! {
    /// The listener.
    server: ServerSettings {
        /// address to listen on; other machines are let in only with a token and TLS
        host: String = "127.0.0.1", Restart, env "HOST";
        /// port of the HTTP listener
        port: Port = "8080", Restart, env "PORT";
        /// port of the Redis listener, or off
        resp_port: PortOrOff = "off", Restart, env "RESP_PORT";
        /// file with the certificate chain (PEM)
        tls_cert: Option<PathBuf> = "", Restart, env "TLS_CERT";
        /// file with the private key (PEM)
        tls_key: Option<PathBuf> = "", Restart, env "TLS_KEY";
        /// allow plain text on an address that other machines reach
        insecure: bool = "false", Restart;
        /// largest body of a request, unpacked
        max_body_size: Bytes = "10MB", Live;
        /// longest time of one request
        request_timeout: Duration = "30s", Live;
        /// most client connections at once
        max_connections: usize = "10000", Restart;
        /// how long requests under way may go on once shutdown has begun
        shutdown_grace: Duration = "30s", Restart;
    }
    /// The store.
    database: DatabaseSettings {
        /// directory of the store
        data_dir: PathBuf = "./data", Restart, env "DATA_DIR";
        /// memory for cached rows, blocks, filters and indexes
        cache_size: Bytes = "256MB", Restart, env "CACHE_SIZE";
        /// memory for writes that are not in tables yet
        buffer_size: Bytes = "64MB", Restart, env "BUFFER_SIZE";
        /// what cache_size and buffer_size together may not exceed
        memory_limit: Option<Bytes> = "", Restart;
        /// false is the older word for durability interval
        sync_writes: Option<bool> = "", Live, env "SYNC_WRITES";
        /// what a write has survived when it is answered, unless it says otherwise
        durability: Option<Durability> = "", Live;
        /// longest time that a write of class interval stays off the disk
        sync_interval: Duration = "100ms", Restart;
        /// size of a file of the commit log
        log_segment_size: Bytes = "64MB", Restart;
        /// free disk space below which writes are refused
        min_free_space: Bytes = "64MB", Restart;
        /// level of a transaction that asks for none
        default_isolation: Isolation = "snapshot", Live;
    }
    /// Transactions that are open under an id.
    transactions: TransactionSettings {
        /// time after which one that nobody uses is rolled back
        idle_timeout: Duration = "30s", Live;
        /// longest life of one that begins from now on
        max_duration: Duration = "300s", Live;
    }
    /// What is written to the log of the program.
    logging: LoggingSettings {
        /// least severe lines that are written
        level: Level = "info", Live, env "LOG_LEVEL";
        /// how a line looks
        format: LogFormat = "text", Restart, env "LOG_FORMAT";
        /// where lines go
        output: LogOutput = "stderr", Restart, env "LOG_OUTPUT";
        /// the file for output "file"
        file_path: Option<PathBuf> = "", Restart, env "LOG_FILE";
        /// size at which the file is put aside and a new one begun
        max_size: Bytes = "100MB", Restart;
        /// how many files are kept aside
        max_backups: usize = "5", Restart;
        /// age at which a file that was put aside is removed; 0 is never
        max_age: Duration = "30d", Restart;
        /// requests that take longer are logged as slow; 0 is never
        slow_query_threshold: Duration = "500ms", Live, env "SLOW_QUERY_THRESHOLD";
    }
    /// Who may call.
    security: SecuritySettings {
        /// token that may do everything; made at the first start when unset in development
        admin_token: Option<Secret> = "", Live, env "ADMIN_TOKEN";
        /// tokens that may read and write data
        api_keys: Vec<Secret> = "", Live;
        /// what callers without a token are, outside development
        anonymous_role: Option<AnonymousRole> = "", Live;
        /// requests a second for one caller on one class of routes; 0 is no limit
        rate_limit: u32 = "0", Live, env "RATE_LIMIT";
        /// answer browsers from the origins of cors_origins
        enable_cors: bool = "false", Live;
        /// origins that browsers may call from
        cors_origins: Vec<String> = "", Live, env "CORS_ORIGINS";
        /// addresses or blocks of proxies whose X-Forwarded-For is believed
        trusted_proxies: Vec<Network> = "", Live;
    }
    /// What the store refuses to exceed.
    limits: LimitSettings {
        /// longest key in bytes
        key_bytes_max: usize = "32768", Restart;
        /// largest value; at most half of database.buffer_size, which it follows when that is small
        max_value_size: Bytes = "32MB", Restart;
        /// values above this are stored in pieces of this size
        chunk_bytes: Bytes = "256KB", Restart;
        /// most operations in a batch
        batch_ops_max: usize = "10000", Restart;
        /// most bytes of one commit; at most three quarters of database.buffer_size, as above
        batch_bytes_max: Bytes = "40MB", Restart;
        /// keys on a page of a list that asks for no number
        list_limit_default: usize = "100", Restart;
        /// most keys on a page of a list
        list_limit_max: usize = "1000", Restart;
        /// most keys that a list counts for its total
        count_scan_max: u64 = "1000000", Restart;
        /// most bytes of values in one answer; a longer page goes on with its cursor
        answer_bytes_max: Bytes = "64MB", Restart;
        /// deepest JSON that is taken
        json_depth_max: usize = "128", Restart;
        /// most tags on a value
        tags_max: usize = "64", Restart;
        /// longest tag in bytes
        tag_bytes_max: usize = "256", Restart;
        /// longest time to live
        ttl_seconds_max: u64 = "3162240000", Restart;
        /// most keys, and most ranges, that one transaction remembers as read one by one
        txn_reads_max: usize = "100000", Restart;
        /// most savepoints open in one transaction
        txn_savepoints_max: usize = "1000", Restart;
        /// most keys that are noted for the conflicts of live transactions
        conflict_keys_max: usize = "1000000", Restart;
        /// most rows that one transaction locks
        row_locks_max: usize = "100000", Restart;
        /// most that wait for one row lock
        lock_waiters_max: usize = "10000", Restart;
        /// most transactions open under an id
        transactions_max: usize = "10000", Restart;
        /// most ended transactions whose outcome is remembered, for five minutes
        transactions_ended_max: usize = "100000", Restart;
        /// most requests that wait for their turn in one transaction
        transaction_queue_max: usize = "128", Restart;
        /// most keys and ranges that are watched for commits which touch them
        watched_max: usize = "4000000", Restart;
        /// most that follow the commits at once
        feeds_max: usize = "1000", Restart;
        /// how long the answer of a request with an idempotency key is kept
        idempotency_ttl: Duration = "24h", Restart;
        /// memory for the last commits, for those who follow them
        feed_memory: Bytes = "8MB", Restart;
        /// log that is kept for them beyond what the next start needs
        feed_retention: Bytes = "0B", Restart;
        /// age at which it goes all the same
        feed_retention_age: Duration = "1d", Restart;
    }
}

/// Keys that are understood and do nothing, and why; they warn.
pub(crate) const WITHOUT_EFFECT: &[(&str, &str)] = &[
    (
        "memory.eviction_policy",
        "the caches of the engine have one policy of their own",
    ),
    (
        "memory.cache_limit",
        "database.cache_size bounds the caches",
    ),
    ("memory.gc_percent", "there is no garbage collector"),
    ("database.use_cgo", "there is one engine"),
    ("health.enabled", "/health always answers"),
    ("health.check_interval", "/health looks when it is asked"),
    ("health.timeout", "/health has bounds of its own"),
    (
        "metrics.enabled",
        "/metrics always answers, with credentials",
    ),
    (
        "server.enable_cli",
        "the command line is a client and needs no switch",
    ),
];

/// Keys of parts that this build does not have: a section or a whole path, and the part. Ports may
/// be said to be `off`, and switches `true`, since that is what they are; all else is refused.
pub(crate) const ABSENT: &[(&str, &str)] = &[
    ("server.pg_port", "the PostgreSQL listener"),
    (
        "server.admin_port",
        "a listener of its own for the admin API",
    ),
    (
        "server.enable_api",
        "switches for parts of the HTTP listener",
    ),
    (
        "server.enable_admin",
        "switches for parts of the HTTP listener",
    ),
    ("metrics.port", "a listener of its own for metrics"),
    (
        "database.wal_dir",
        "a commit log apart from the data directory",
    ),
    ("database.max_connections", "the connection pool"),
    ("database.query_timeout", "SQL"),
    ("database.implicit_tables", "tables"),
    ("logging.otlp_endpoint", "OTLP export"),
    ("security.jwt_secret", "users and JWT"),
    ("security.jwks_url", "users and JWT"),
    ("security.jwt_audience", "users and JWT"),
    ("security.session_timeout", "users and JWT"),
    ("security.password_min_length", "users and JWT"),
    ("pool", "the connection pool"),
    ("cache", "the application cache"),
    ("rest", "the PostgREST dialect"),
    ("backup", "backups"),
];

/// Short environment names of [`WITHOUT_EFFECT`] and [`ABSENT`] keys.
pub(crate) const OTHER_SHORT_ENV: &[(&str, &str)] = &[
    ("EVICTION_POLICY", "memory.eviction_policy"),
    ("PG_PORT", "server.pg_port"),
    ("ADMIN_PORT", "server.admin_port"),
    ("METRICS_PORT", "metrics.port"),
    ("WAL_DIR", "database.wal_dir"),
    ("MAX_CONNECTIONS", "database.max_connections"),
    ("QUERY_TIMEOUT", "database.query_timeout"),
    ("POOL_SIZE", "pool.max_connections"),
    ("JWT_SECRET", "security.jwt_secret"),
];

/// The key with this path.
pub(crate) fn key(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The part that a path belongs to, when this build does not have it.
pub(crate) fn absent_part(path: &str) -> Option<&'static str> {
    let section = path.split('.').next().unwrap_or(path);
    let found = ABSENT
        .iter()
        .find(|(known, _)| *known == path || *known == section);
    found.map(|(_, part)| *part)
}

/// Why a key has no effect, when it is one of those.
pub(crate) fn no_effect(path: &str) -> Option<&'static str> {
    WITHOUT_EFFECT
        .iter()
        .find(|(known, _)| *known == path)
        .map(|(_, why)| *why)
}
