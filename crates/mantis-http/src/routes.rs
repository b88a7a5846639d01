//! Which handler answers which row of the table.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::Request;
use axum::handler::Handler;
use axum::response::Response;

use crate::app::App;
use crate::surfaces::{SURFACES, Verb};
use crate::{about, admin, changes, health, kv, stats, transactions};

type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A handler without its type.
pub(crate) type Route = Arc<dyn Fn(Request, App) -> Answering + Send + Sync>;

/// The handlers, row by row.
pub(crate) struct Routes {
    rows: Vec<[Option<Route>; Verb::ALL.len()]>,
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Routes").field(&self.listed()).finish()
    }
}

impl Routes {
    /// Every handler of this front end.
    pub(crate) fn all() -> Self {
        let mut routes = Self {
            rows: SURFACES.iter().map(|_| Default::default()).collect(),
        };
        routes.about();
        routes.keys_and_values();
        routes.transactions_and_changes();
        routes.admin();
        routes
    }

    fn about(&mut self) {
        use Verb::Get;
        self.add("/health", Get, health::health);
        self.add("/health/live", Get, health::live);
        self.add("/health/ready", Get, health::ready);
        self.add("/stats", Get, stats::pool);
        self.add("/api/v1/stats", Get, stats::all);
        self.add("/metrics", Get, admin::measures::prometheus);
        self.add("/api/metrics/prometheus", Get, admin::measures::prometheus);
        self.add("/api/v1/version", Get, about::version);
        self.add("/api/v1/capabilities", Get, about::capabilities);
        self.add("/api/v1/openapi.json", Get, about::openapi_json);
        self.add("/openapi.json", Get, about::openapi_json);
    }

    fn keys_and_values(&mut self) {
        use Verb::{Delete, Get, Head, Post, Put};
        self.add("/api/v1/kv", Get, kv::list::list);
        self.add("/api/v1/kv", Post, kv::batch::batch);
        self.add("/api/v1/kv/batch", Post, kv::batch::batch);
        self.add(
            "/api/v1/kv/{*key}/increment",
            Post,
            kv::increment::increment,
        );
        self.add("/api/v1/kv/{*key}", Get, kv::show::show);
        self.add("/api/v1/kv/{*key}", Head, kv::show::head);
        self.add("/api/v1/kv/{*key}", Put, kv::value::store);
        self.add("/api/v1/kv/{*key}", Delete, kv::remove::remove);
    }

    fn transactions_and_changes(&mut self) {
        use Verb::{Get, Post};
        use transactions::{begin, end, savepoints, status};
        self.add("/api/v1/changes", Get, changes::follow);
        self.add("/api/v1/transactions", Post, begin::begin);
        let one = "/api/v1/transactions/{id}";
        self.add(one, Get, status::status);
        self.add("/api/v1/transactions/{id}/commit", Post, end::commit);
        self.add("/api/v1/transactions/{id}/rollback", Post, end::rollback);
        let open = "/api/v1/transactions/{id}/savepoints";
        self.add(open, Post, savepoints::open);
        let rollback = "/api/v1/transactions/{id}/savepoints/{name}/rollback";
        self.add(rollback, Post, savepoints::rollback);
        let release = "/api/v1/transactions/{id}/savepoints/{name}/release";
        self.add(release, Post, savepoints::release);
    }

    fn admin(&mut self) {
        use Verb::{Delete, Get, Post, Put};
        self.add("/api/docs", Get, admin::docs::page);
        self.add("/api/docs/openapi.yaml", Get, admin::docs::openapi_yaml);
        self.add("/api/health", Get, admin::overview::health);
        self.add("/api/stats", Get, admin::overview::stats);
        self.add("/api/metrics", Get, admin::measures::metrics);
        self.add("/api/metrics/detailed", Get, admin::measures::detailed);
        self.add("/api/ws/metrics", Get, admin::streams::metrics);
        self.add("/api/ws/events", Get, admin::streams::events);
        self.add("/api/config", Get, admin::configuration::show);
        self.add("/api/config", Put, admin::configuration::change);
        self.add("/api/config/validate", Post, admin::configuration::validate);
        self.add("/api/kv/query", Get, admin::kv::query);
        self.add("/api/kv/batch", Post, admin::kv::batch);
        self.add("/api/kv/stats", Get, admin::kv::stats);
        self.add("/api/kv/{*key}/exists", Get, admin::kv::exists);
        self.add("/api/kv/{*key}", Get, admin::kv::show);
        self.add("/api/kv/{*key}", Put, admin::kv::store);
        self.add("/api/kv/{*key}", Delete, admin::kv::remove);
    }

    /// Puts a handler behind a row.
    ///
    /// # Panics
    /// When the table has no such row: router and table must agree.
    fn add<H, T>(&mut self, path: &'static str, verb: Verb, handler: H)
    where
        H: Handler<T, App> + Sync,
        T: 'static,
    {
        let row = SURFACES.iter().position(|surface| surface.path == path);
        let row = row.expect("every route stands in the table of surfaces");
        let route: Route =
            Arc::new(move |request, app| Box::pin(handler.clone().call(request, app)));
        self.rows[row][verb as usize] = Some(route);
    }

    /// The handler of a row; `HEAD` is answered by `GET` where it has none of its own.
    pub(crate) fn get(&self, row: usize, verb: Verb) -> Option<&Route> {
        let verbs = self.rows.get(row)?;
        let fallback = if verb == Verb::Head {
            verbs[Verb::Get as usize].as_ref()
        } else {
            None
        };
        verbs[verb as usize].as_ref().or(fallback)
    }

    /// What is registered.
    pub(crate) fn listed(&self) -> Vec<(&'static str, Verb)> {
        let rows = SURFACES.iter().zip(&self.rows);
        let listed = rows.flat_map(|(surface, verbs)| {
            let verbs = Verb::ALL
                .into_iter()
                .filter(|verb| verbs[*verb as usize].is_some());
            verbs.map(|verb| (surface.path, verb))
        });
        listed.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn table_and_router_agree_both_ways() {
        let registered: BTreeSet<_> = Routes::all().listed().into_iter().collect();
        let promised = SURFACES.iter().filter(|surface| surface.available);
        let promised: BTreeSet<_> = promised
            .flat_map(|surface| surface.verbs.iter().map(|verb| (surface.path, *verb)))
            .collect();
        assert_eq!(registered, promised);
    }
}
