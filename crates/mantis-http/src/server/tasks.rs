//! The one owner of this front end's tasks: they stop on a signal and are joined at shutdown.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tasks of one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct TaskGroup {
    tracker: TaskTracker,
    /// No new work; finish what runs.
    stop: CancellationToken,
    /// End now.
    cut: CancellationToken,
}

impl TaskGroup {
    /// Starts a task; it ends by itself when [`Self::stopped`] fires, at the latest when it is cut.
    pub(crate) fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = task => {}
                () = cut.cancelled() => {}
            }
        });
    }

    /// Runs a call that blocks on the runtime's blocking threads; `None` when it panicked. The call
    /// goes on when the future is dropped, and shutdown waits for it.
    pub(crate) async fn block<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.tracker.spawn_blocking(call).await.ok()
    }

    /// Counts a future that is run elsewhere as one of ours.
    pub(crate) fn count(&self) -> impl Drop + Send + 'static {
        self.tracker.token()
    }

    /// Fires when shutdown begins.
    pub(crate) fn stopped(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Whether shutdown has begun.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Stops everything, waits for `grace`, then cuts what is left; answers whether all ended by
    /// themselves.
    pub(crate) async fn stop(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        let in_time = tokio::time::timeout(grace, self.tracker.wait())
            .await
            .is_ok();
        if !in_time {
            self.cut.cancel();
            self.tracker.wait().await;
        }
        in_time
    }
}
