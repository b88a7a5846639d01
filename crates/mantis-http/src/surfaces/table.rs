//! The rows. A surface that is not built yet stands here with `available: false` and answers 501.

use super::Due::{self, W1, W2, W3};
use super::Rule::{self, Admin, AdminPage, Data, Open};
use super::Surface;
use super::Verb::{self, Delete, Get, Head, Patch, Post, Put};

const ANY: &[Verb] = &[Get, Post, Put, Patch, Delete];

/// A row that is served.
const fn built(
    group: &'static str,
    path: &'static str,
    verbs: &'static [Verb],
    rule: Rule,
) -> Surface {
    Surface {
        group,
        path,
        verbs,
        due: W1,
        rule,
        available: true,
    }
}

/// A row that answers 501.
const fn later(
    group: &'static str,
    path: &'static str,
    verbs: &'static [Verb],
    due: Due,
    rule: Rule,
) -> Surface {
    Surface {
        group,
        path,
        verbs,
        due,
        rule,
        available: false,
    }
}

/// Every path of this port. The first row that has both path and method answers: narrow patterns
/// stand before wide ones.
pub(crate) const SURFACES: &[Surface] = &[
    built("health", "/health", &[Get], Open),
    built("health", "/health/live", &[Get], Open),
    built("health", "/health/ready", &[Get], Open),
    built("stats", "/stats", &[Get], Data),
    built("stats", "/api/v1/stats", &[Get], Data),
    built("metrics", "/metrics", &[Get], Data),
    built("metrics", "/api/metrics/prometheus", &[Get], Data),
    built("documentation", "/api/v1/version", &[Get], Data),
    built("documentation", "/api/v1/capabilities", &[Get], Data),
    built("documentation", "/api/v1/openapi.json", &[Get], Data),
    built("documentation", "/openapi.json", &[Get], Data),
    // Keys and values.
    built("kv", "/api/v1/kv", &[Get, Post], Data),
    built("kv", "/api/v1/kv/batch", &[Post], Data),
    built("kv", "/api/v1/kv/{*key}/increment", &[Post], Data),
    built("kv", "/api/v1/kv/{*key}", &[Get, Head, Put, Delete], Data),
    // Tables and SQL.
    later("tables", "/api/v1/tables", &[Get], W1, Data),
    later("tables", "/api/v1/tables/{table}", &[Get, Post], W1, Data),
    later("tables", "/api/v1/tables/{table}/query", &[Post], W1, Data),
    later(
        "tables",
        "/api/v1/tables/{table}/{id}",
        &[Get, Put, Patch, Delete],
        W1,
        Data,
    ),
    later("sql", "/api/v1/query", &[Post], W1, Data),
    // Transactions.
    built("transactions", "/api/v1/transactions", &[Post], Data),
    built("transactions", "/api/v1/transactions/{id}", &[Get], Data),
    later(
        "transactions",
        "/api/v1/transactions/{id}/query",
        &[Post],
        W1,
        Data,
    ),
    later(
        "transactions",
        "/api/v1/transactions/{id}/tables/{table}/data",
        &[Get, Post],
        W1,
        Data,
    ),
    later(
        "transactions",
        "/api/v1/transactions/{id}/tables/{table}/data/{rid}",
        &[Get, Put, Patch, Delete],
        W1,
        Data,
    ),
    built(
        "transactions",
        "/api/v1/transactions/{id}/commit",
        &[Post],
        Data,
    ),
    built(
        "transactions",
        "/api/v1/transactions/{id}/rollback",
        &[Post],
        Data,
    ),
    built(
        "transactions",
        "/api/v1/transactions/{id}/savepoints",
        &[Post],
        Data,
    ),
    built(
        "transactions",
        "/api/v1/transactions/{id}/savepoints/{name}/rollback",
        &[Post],
        Data,
    ),
    built(
        "transactions",
        "/api/v1/transactions/{id}/savepoints/{name}/release",
        &[Post],
        Data,
    ),
    later("transactions", "/api/transactions", ANY, W2, Admin),
    later("transactions", "/api/transactions/{*rest}", ANY, W2, Admin),
    // Documents, columns, cache, feed.
    later("documents", "/api/v1/docs", &[Get], W2, Data),
    later("documents", "/api/v1/docs/{*rest}", ANY, W2, Data),
    later("columnar", "/api/v1/columnar/{*rest}", ANY, W2, Data),
    later("cache", "/api/v1/cache/stats", &[Get], W1, Data),
    later("cache", "/api/v1/cache/invalidate", &[Post], W1, Data),
    later(
        "cache",
        "/api/v1/cache/dependencies",
        &[Post, Delete],
        W1,
        Data,
    ),
    later("cache", "/api/v1/cache/invalidations", &[Get], W1, Data),
    built("changes", "/api/v1/changes", &[Get], Data),
    // Reserved roots and dialects.
    later("postgrest", "/rest/v1", ANY, W2, Open),
    later("postgrest", "/rest/v1/{*rest}", ANY, W2, Open),
    later("auth", "/auth/v1", ANY, W2, Open),
    later("auth", "/auth/v1/{*rest}", ANY, W2, Open),
    later("object_storage", "/storage/v1", ANY, W2, Open),
    later("object_storage", "/storage/v1/{*rest}", ANY, W2, Open),
    later("functions", "/functions/v1", ANY, W2, Open),
    later("functions", "/functions/v1/{*rest}", ANY, W2, Open),
    later("realtime", "/realtime/v1", ANY, W2, Open),
    later("realtime", "/realtime/v1/{*rest}", ANY, W2, Open),
    // The admin API.
    built("admin_docs", "/api/docs", &[Get], AdminPage),
    built("admin_docs", "/api/docs/openapi.yaml", &[Get], AdminPage),
    built("admin_health", "/api/health", &[Get], Open),
    built("admin_stats", "/api/stats", &[Get], Admin),
    built("admin_metrics", "/api/metrics", &[Get], Admin),
    built("admin_metrics", "/api/metrics/detailed", &[Get], Admin),
    built("admin_streams", "/api/ws/metrics", &[Get], Admin),
    built("admin_streams", "/api/ws/events", &[Get], Admin),
    later("admin_logs", "/api/ws/logs", &[Get], W3, Admin),
    built("admin_config", "/api/config", &[Get, Put], Admin),
    built("admin_config", "/api/config/validate", &[Post], Admin),
    built("admin_kv", "/api/kv/query", &[Get], Admin),
    built("admin_kv", "/api/kv/batch", &[Post], Admin),
    built("admin_kv", "/api/kv/stats", &[Get], Admin),
    built("admin_kv", "/api/kv/{*key}/exists", &[Get], Admin),
    built("admin_kv", "/api/kv/{*key}", &[Get, Put, Delete], Admin),
    later("admin_tables", "/api/tables", &[Get], W1, Admin),
    later("admin_tables", "/api/tables/{*rest}", ANY, W1, Admin),
    later("admin_sql", "/api/query", &[Post], W1, Admin),
    later("admin_sql", "/api/query/history", &[Get], W1, Admin),
    later("admin_sql", "/api/query/{query_id}", &[Delete], W1, Admin),
    later("admin_pool", "/api/pool", &[Get], W1, Admin),
    later("admin_pool", "/api/pool/{action}", &[Post], W1, Admin),
    later("admin_documents", "/api/documents/{*rest}", ANY, W2, Admin),
    later("admin_columnar", "/api/columnar/{*rest}", ANY, W2, Admin),
    later("admin_auth", "/api/auth/login", &[Post], W2, Open),
    later(
        "admin_auth",
        "/api/auth/first-run/{*rest}",
        &[Get, Post],
        W2,
        Open,
    ),
    later("admin_auth", "/api/auth/oauth/providers", &[Get], W2, Open),
    later(
        "admin_auth",
        "/api/auth/oauth/{provider}/authorize",
        &[Get],
        W2,
        Open,
    ),
    later("admin_auth", "/api/auth/oauth/callback", &[Get], W2, Open),
    later("admin_auth", "/api/auth/{*rest}", ANY, W2, Admin),
    later("admin_rls", "/api/rls/{*rest}", ANY, W2, Admin),
    later("admin_logs", "/api/logs", &[Get], W3, Admin),
    later("admin_logs", "/api/logs/{*rest}", &[Get, Post], W3, Admin),
    later("admin_backups", "/api/backups", &[Get, Post], W3, Admin),
    later("admin_backups", "/api/backups/{*rest}", ANY, W3, Admin),
    later("admin_storage", "/api/storage/{*rest}", &[Get], W3, Admin),
    later("admin_ui", "/", &[Get], W3, Open),
];
