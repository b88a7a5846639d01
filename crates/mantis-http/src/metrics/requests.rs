//! Requests by route, method and status; the route is the pattern, never the path.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;

use super::histogram::Histogram;
use crate::surfaces::{SURFACES, Verb};

/// Statuses that this front end answers; the last slot is for any other.
const STATUSES: [u16; 26] = [
    101, 200, 201, 202, 204, 207, 304, 400, 401, 403, 404, 405, 406, 408, 409, 410, 412, 413, 414,
    415, 422, 429, 500, 501, 503, 507,
];

/// Counters of one route, made when it is first called.
#[derive(Debug, Default)]
struct Route {
    verbs: [Slot; Verb::ALL.len() + 1],
}

#[derive(Debug, Default)]
struct Slot {
    statuses: [AtomicU64; STATUSES.len() + 1],
    duration: Histogram,
}

/// All routes. The last row is for paths that do not exist.
#[derive(Debug)]
pub(crate) struct RequestCounters {
    routes: Vec<OnceLock<Box<Route>>>,
}

impl Default for RequestCounters {
    fn default() -> Self {
        Self {
            routes: (0..=SURFACES.len()).map(|_| OnceLock::new()).collect(),
        }
    }
}

/// One line of `mantisdb_http_requests_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestCount {
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
    /// The status, or 0 for one that is not in the list.
    pub(crate) status: u16,
    pub(crate) count: u64,
}

impl RequestCounters {
    /// Counts an answered request. `surface` is the row of the table.
    pub(crate) fn observe(
        &self,
        surface: Option<usize>,
        verb: Option<Verb>,
        status: StatusCode,
        took: Duration,
    ) {
        let row = surface.unwrap_or(SURFACES.len());
        let Some(route) = self.routes.get(row) else {
            return;
        };
        let route = route.get_or_init(Box::default);
        let slot = &route.verbs[verb.map_or(Verb::ALL.len(), |verb| verb as usize)];
        let known = STATUSES.binary_search(&status.as_u16());
        slot.statuses[known.unwrap_or(STATUSES.len())].fetch_add(1, Relaxed);
        slot.duration.observe(took);
    }

    /// Every count above zero.
    pub(crate) fn counts(&self) -> Vec<RequestCount> {
        let lines = self.slots().flat_map(|(method, route, slot)| {
            slot.statuses
                .iter()
                .enumerate()
                .map(move |(index, counter)| RequestCount {
                    method,
                    route,
                    status: STATUSES.get(index).copied().unwrap_or(0),
                    count: counter.load(Relaxed),
                })
        });
        lines.filter(|line| line.count > 0).collect()
    }

    /// Method, route and durations of everything that was called.
    pub(crate) fn durations(&self) -> Vec<(&'static str, &'static str, &Histogram)> {
        let slots = self
            .slots()
            .map(|(method, route, slot)| (method, route, &slot.duration));
        slots
            .filter(|(_, _, duration)| duration.count() > 0)
            .collect()
    }

    fn slots(&self) -> impl Iterator<Item = (&'static str, &'static str, &Slot)> {
        self.routes.iter().enumerate().flat_map(|(row, route)| {
            let name = SURFACES.get(row).map_or("unknown", |surface| surface.path);
            let slots = route
                .get()
                .into_iter()
                .flat_map(|route| route.verbs.iter().enumerate());
            slots.map(move |(verb, slot)| {
                (
                    Verb::ALL.get(verb).map_or("other", |verb| verb.as_str()),
                    name,
                    slot,
                )
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_pattern() {
        let counters = RequestCounters::default();
        let took = Duration::from_millis(1);
        counters.observe(Some(0), Some(Verb::Get), StatusCode::OK, took);
        counters.observe(Some(0), Some(Verb::Get), StatusCode::OK, took);
        counters.observe(None, None, StatusCode::NOT_FOUND, took);
        counters.observe(None, Some(Verb::Put), StatusCode::IM_A_TEAPOT, took);
        let counts = counters.counts();
        let line = |method, route, status, count| RequestCount {
            method,
            route,
            status,
            count,
        };
        assert_eq!(
            counts,
            [
                line("GET", SURFACES[0].path, 200, 2),
                line("PUT", "unknown", 0, 1),
                line("other", "unknown", 404, 1),
            ]
        );
        assert_eq!(counters.durations().len(), 3);
        assert!(STATUSES.is_sorted());
        assert!(
            Verb::ALL
                .iter()
                .enumerate()
                .all(|(index, verb)| *verb as usize == index)
        );
    }
}
