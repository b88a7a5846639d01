//! What all handlers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use arc_swap::ArcSwap;
use mantis_env::Env;
use mantis_session::Database;
use tokio::sync::Semaphore;

use crate::admission::Admission;
use crate::call::row_places;
use crate::config::{HttpConfig, HttpSettings};
use crate::config_store::ConfigStore;
use crate::events::{Event, EventHub};
use crate::metrics::{Operations, ProcessReading, RequestCounters, cpu_time, read_process};
use crate::rate::{RateLimiter, RouteClass};
use crate::server::TaskGroup;
use crate::trace::IdSource;

/// The shared state of one server. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct App(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: HttpConfig,
    pub(crate) settings: ArcSwap<HttpSettings>,
    pub(crate) database: Database,
    pub(crate) config_store: Arc<dyn ConfigStore>,
    pub(crate) admission: Admission,
    pub(crate) events: EventHub,
    pub(crate) tasks: TaskGroup,
    pub(crate) limiter: RateLimiter,
    pub(crate) requests: RequestCounters,
    pub(crate) operations: Operations,
    pub(crate) counts: Counts,
    pub(crate) ids: IdSource,
    /// Places for calls that wait for rows.
    pub(crate) row_places: Arc<Semaphore>,
    /// Places for event streams.
    pub(crate) streams: Arc<Semaphore>,
    /// Unix time in milliseconds.
    pub(crate) started_ms: u64,
}

/// Counters that belong to no operation.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: AtomicUsize,
    pub(crate) connections_total: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) auth_failures: AtomicU64,
    /// Answers that were given once more, to requests with an `Idempotency-Key`.
    pub(crate) replays: AtomicU64,
    pub(crate) rate_limited_data: AtomicU64,
    pub(crate) rate_limited_admin: AtomicU64,
}

impl Counts {
    pub(crate) fn rate_limited(&self, class: RouteClass) -> &AtomicU64 {
        match class {
            RouteClass::Data => &self.rate_limited_data,
            RouteClass::Admin => &self.rate_limited_admin,
        }
    }
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    pub(crate) fn new(
        config: HttpConfig,
        settings: HttpSettings,
        database: Database,
        config_store: Arc<dyn ConfigStore>,
    ) -> Self {
        let tasks = TaskGroup::default();
        let (calls, waiting) = (config.blocking_calls_max, config.blocking_waiting_max);
        let now_ms = database.env().clock().now_ms();
        let uptime = read_process(None).uptime.unwrap_or_default();
        let uptime_ms = u64::try_from(uptime.as_millis()).unwrap_or(0);
        Self(Arc::new(Inner {
            admission: Admission::new(calls, waiting, tasks.clone()),
            events: EventHub::default(),
            limiter: RateLimiter::default(),
            requests: RequestCounters::default(),
            operations: Operations::default(),
            counts: Counts::default(),
            ids: IdSource::new(database.env()),
            row_places: row_places(),
            streams: Arc::new(Semaphore::new(config.streams_max)),
            started_ms: now_ms.saturating_sub(uptime_ms),
            settings: ArcSwap::from_pointee(settings),
            config,
            database,
            config_store,
            tasks,
        }))
    }

    pub(crate) fn env(&self) -> &Env {
        self.database.env()
    }

    pub(crate) fn monotonic(&self) -> Duration {
        self.env().clock().monotonic()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.env().clock().now_ms()
    }

    /// Now as RFC 3339 in UTC.
    pub(crate) fn timestamp(&self) -> String {
        crate::time::rfc3339(self.now_ms())
    }

    /// Since the process was started.
    pub(crate) fn uptime(&self) -> Duration {
        Duration::from_millis(self.now_ms().saturating_sub(self.started_ms))
    }

    pub(crate) fn process(&self) -> ProcessReading {
        read_process(self.config.data_dir.as_deref())
    }

    /// Takes the second's sample.
    pub(crate) fn sample(&self) {
        self.operations.sample(self.monotonic(), cpu_time());
    }

    /// Swaps the settings, and tells who listens.
    pub(crate) fn apply(&self, settings: HttpSettings) {
        self.settings.store(Arc::new(settings));
    }

    /// Tells all event streams.
    pub(crate) fn publish(&self, event: Event) {
        self.events.publish(event);
    }
}
