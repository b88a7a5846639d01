//! Rules over several settings together: what must not be started with.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use mantis_http::{Anonymous, Credentials, check_exposure};
use mantis_types::{Durability, Limits};

use super::keys::{self, SecuritySettings, ServerSettings, Settings};
use super::layers::Problem;
use super::setting::{AnonymousRole, Bytes, LogOutput, Profile};
use super::values::{Source, Values};

/// Shortest admin token in production, and the fewest different characters in it.
const TOKEN_LEN_MIN: usize = 16;
const TOKEN_DIFFERENT_MIN: usize = 6;

/// What the rules found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Stop the start.
    pub(crate) problems: Vec<Problem>,
    /// Are said and no more.
    pub(crate) warnings: Vec<String>,
}

impl Found {
    fn refuse(&mut self, text: impl Into<String>) {
        self.problems.push(Problem::new(text));
    }
}

/// Applies every rule.
pub(crate) fn check(profile: Profile, settings: &Settings) -> Found {
    let mut found = Found::default();
    tls(&mut found, &settings.server);
    listener(&mut found, profile, settings);
    secrets(&mut found, profile, settings);
    memory(&mut found, settings);
    transactions(&mut found, settings);
    durability_words(&mut found, settings);
    logging(&mut found, settings);
    cors(&mut found, settings);
    found
}

/// The class of a write that asks for none.
pub(crate) fn default_durability(settings: &Settings) -> Durability {
    let older = settings.database.sync_writes.map(|sync| match sync {
        true => Durability::Sync,
        false => Durability::Interval,
    });
    settings.database.durability.or(older).unwrap_or_default()
}

/// The address that `server.host` names; of several the first of version 4, else the first.
///
/// # Errors
/// When the name is not known.
pub(crate) fn address(server: &ServerSettings) -> Result<IpAddr, String> {
    if let Ok(address) = server.host.parse::<IpAddr>() {
        return Ok(address);
    }
    let found = (server.host.as_str(), server.port.0).to_socket_addrs();
    let found: Vec<_> = found
        .map_err(|error| format!("server.host {} is not known: {error}", server.host))?
        .collect();
    let chosen = found
        .iter()
        .find(|address| address.is_ipv4())
        .or_else(|| found.first());
    chosen
        .map(SocketAddr::ip)
        .ok_or_else(|| format!("server.host {} has no address", server.host))
}

/// Who may call.
pub(crate) fn credentials(profile: Profile, security: &SecuritySettings) -> Credentials {
    Credentials {
        admin_token: security
            .admin_token
            .as_ref()
            .map(|token| token.expose().to_owned()),
        api_keys: security
            .api_keys
            .iter()
            .map(|key| key.expose().to_owned())
            .collect(),
        anonymous: match (security.anonymous_role, profile) {
            (Some(AnonymousRole::Owner), _) => Anonymous::Owner,
            (None, Profile::Development) => Anonymous::OwnerOnLoopback,
            (None, Profile::Staging | Profile::Production) => Anonymous::Refused,
        },
    }
}

/// The limits as the store takes them.
pub(crate) fn store_limits(settings: &Settings) -> Limits {
    let limits = &settings.limits;
    Limits {
        key_bytes_max: limits.key_bytes_max,
        value_bytes_max: limits.max_value_size.0,
        chunk_bytes: usize::try_from(limits.chunk_bytes.0).unwrap_or(usize::MAX),
        batch_ops_max: limits.batch_ops_max,
        batch_bytes_max: limits.batch_bytes_max.0,
        list_limit_default: limits.list_limit_default,
        list_limit_max: limits.list_limit_max,
        count_scan_max: limits.count_scan_max,
        answer_bytes_max: limits.answer_bytes_max.0,
        json_depth_max: limits.json_depth_max,
        tags_max: limits.tags_max,
        tag_bytes_max: limits.tag_bytes_max,
        ttl_seconds_max: limits.ttl_seconds_max,
        txn_reads_max: limits.txn_reads_max,
        txn_savepoints_max: limits.txn_savepoints_max,
        conflict_keys_max: limits.conflict_keys_max,
        row_locks_max: limits.row_locks_max,
        lock_waiters_max: limits.lock_waiters_max,
        transactions_max: limits.transactions_max,
        transactions_ended_max: limits.transactions_ended_max,
        transaction_queue_max: limits.transaction_queue_max,
        watched_max: limits.watched_max,
        feeds_max: limits.feeds_max,
        idempotency_ttl: limits.idempotency_ttl,
        feed_memory: limits.feed_memory.0,
    }
}

/// A small buffer takes smaller values and commits: limits that nobody has set follow it, as with
/// [`DatabaseOptions::sized`](mantis_session::DatabaseOptions::sized). What somebody has set is
/// refused by name instead.
pub(crate) fn follow_buffer(values: &mut Values) {
    const BUFFER: &str = "database.buffer_size";
    let Ok(Bytes(buffer)) = values.parse(BUFFER) else {
        return;
    };
    for (path, largest) in [
        ("limits.max_value_size", buffer / 2),
        ("limits.batch_bytes_max", buffer / 4 * 3),
    ] {
        let too_large = values.parse::<Bytes>(path).is_ok_and(|now| now.0 > largest);
        if let Some(key) = keys::key(path)
            && too_large
            && *values.source(path) == Source::BuiltIn
        {
            values.set(key, Bytes(largest).text(), Source::Follows(BUFFER));
        }
    }
}

fn tls(found: &mut Found, server: &ServerSettings) {
    if server.tls_cert.is_some() != server.tls_key.is_some() {
        found.refuse("server.tls_cert and server.tls_key belong together: set both or none");
    }
}

fn listener(found: &mut Found, profile: Profile, settings: &Settings) {
    let server = &settings.server;
    let host = match address(server) {
        Ok(host) => host,
        Err(why) => return found.refuse(why),
    };
    let credentials = credentials(profile, &settings.security);
    if let Err(error) = check_exposure(
        host,
        &credentials,
        server.tls_cert.is_some(),
        server.insecure,
    ) {
        found.refuse(format!(
            "server.host: {error} (MANTIS_ADMIN_TOKEN_FILE names a file that holds the token)"
        ));
    }
    if server.resp_port.0.is_some() && !host.is_loopback() && !server.insecure {
        found.refuse(
            "server.resp_port: the Redis listener has no TLS yet: set it off, listen on 127.0.0.1, or \
             say --insecure",
        );
    }
}

fn secrets(found: &mut Found, profile: Profile, settings: &Settings) {
    if profile == Profile::Development {
        return;
    }
    let Some(token) = &settings.security.admin_token else {
        let profile = profile.as_str();
        return found.refuse(format!(
            "the {profile} profile needs security.admin_token: set MANTIS_ADMIN_TOKEN, or \
             MANTIS_ADMIN_TOKEN_FILE for a file that holds it"
        ));
    };
    let token = token.expose();
    let different: BTreeSet<char> = token.chars().collect();
    let weak = token.len() < TOKEN_LEN_MIN || different.len() < TOKEN_DIFFERENT_MIN;
    if profile == Profile::Production && weak {
        found.refuse(format!(
            "security.admin_token is weak: production wants at least {TOKEN_LEN_MIN} characters, \
             {TOKEN_DIFFERENT_MIN} of them different"
        ));
    }
}

fn memory(found: &mut Found, settings: &Settings) {
    let database = &settings.database;
    let limits = &settings.limits;
    let budget = database.cache_size.0.saturating_add(database.buffer_size.0);
    if database.memory_limit.is_some_and(|limit| budget > limit.0) {
        found.refuse("database.cache_size and database.buffer_size exceed database.memory_limit");
    }
    if database.buffer_size.0 < 1 << 20 {
        found.refuse("database.buffer_size must be at least 1MB");
    }
    if limits.max_value_size.0 > database.buffer_size.0 / 2 {
        found.refuse("limits.max_value_size must be at most half of database.buffer_size");
    }
    if limits.batch_bytes_max.0 > database.buffer_size.0 / 4 * 3 {
        found.refuse(
            "limits.batch_bytes_max must be at most three quarters of database.buffer_size",
        );
    }
    if limits.batch_bytes_max < limits.max_value_size {
        found.refuse("limits.batch_bytes_max must be at least limits.max_value_size");
    }
    if limits.chunk_bytes.0 == 0 || limits.list_limit_max == 0 {
        found.refuse("limits.chunk_bytes and limits.list_limit_max must be at least 1");
    }
}

fn transactions(found: &mut Found, settings: &Settings) {
    let transactions = &settings.transactions;
    if transactions.idle_timeout.is_zero() || transactions.max_duration.is_zero() {
        found.refuse("transactions.idle_timeout and transactions.max_duration must not be 0");
    }
}

fn durability_words(found: &mut Found, settings: &Settings) {
    let database = &settings.database;
    let (Some(sync), Some(durability)) = (database.sync_writes, database.durability) else {
        return;
    };
    if sync != (durability == Durability::Sync) {
        found.refuse(format!(
            "database.sync_writes {sync} and database.durability {durability} contradict each \
             other: durability is enough"
        ));
    }
}

fn logging(found: &mut Found, settings: &Settings) {
    let logging = &settings.logging;
    match (logging.output, &logging.file_path) {
        (LogOutput::File, None) => found.refuse("logging.output file needs logging.file_path"),
        (LogOutput::Stderr | LogOutput::Stdout, Some(_)) => found
            .warnings
            .push("logging.file_path has no effect while logging.output is not file".to_owned()),
        _ => {}
    }
}

fn cors(found: &mut Found, settings: &Settings) {
    let security = &settings.security;
    for origin in &security.cors_origins {
        let rest = origin.split_once("://").map(|(_, rest)| rest);
        let whole = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', '*']));
        if !whole {
            found.refuse(format!(
                "security.cors_origins: {origin:?} is no origin; it looks like https://example.org"
            ));
        }
    }
    if security.enable_cors && security.cors_origins.is_empty() {
        found.warnings.push(
            "security.enable_cors lets nobody in while security.cors_origins is empty".to_owned(),
        );
    }
    if !security.enable_cors && !security.cors_origins.is_empty() {
        found.warnings.push(
            "security.cors_origins has no effect while security.enable_cors is false".to_owned(),
        );
    }
}
