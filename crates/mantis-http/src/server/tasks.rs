//! The one owner of this front end's tasks: they stop on a signal and are joined at shutdown.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tasks of one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct TaskGroup {
    tracker: TaskTracker,
    /// No new work; finish what runs.
    stop: Signal,
    /// End now.
    cut: Signal,
}

/// Fires once. A task that waits for it looks at a flag whenever it is polled, and asks the token,
/// which is a lock that all connections share, only when its waker is new or the flag is up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signal {
    fired: Arc<AtomicBool>,
    token: CancellationToken,
}

impl Signal {
    fn fire(&self) {
        // The flag first: whoever is woken by the token must see it.
        self.fired.store(true, SeqCst);
        self.token.cancel();
    }

    /// The output of `task`; `None` when the signal fired before it had one. `task` should be small or
    /// boxed: it is moved.
    pub(crate) async fn unless<T>(&self, task: impl Future<Output = T>) -> Option<T> {
        let (mut task, mut fired) = (pin!(task), pin!(self.token.cancelled()));
        let mut known: Option<Waker> = None;
        poll_fn(|cx| {
            if let Poll::Ready(output) = task.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            let waker = cx.waker();
            let is_known = known.as_ref().is_some_and(|known| known.will_wake(waker));
            if is_known && !self.fired.load(SeqCst) {
                return Poll::Pending;
            }
            if !is_known {
                known = Some(waker.clone());
            }
            fired.as_mut().poll(cx).map(|()| None)
        })
        .await
    }
}

impl TaskGroup {
    /// Starts a task; it ends by itself when [`Self::stopped`] fires, at the latest when it is cut.
    pub(crate) fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (cut, task) = (self.cut.clone(), Box::pin(task));
        self.tracker.spawn(async move {
            cut.unless(task).await;
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
        self.stop.token.clone()
    }

    /// The same for a task that is polled often.
    pub(crate) fn stop_signal(&self) -> &Signal {
        &self.stop
    }

    /// Whether shutdown has begun.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.token.is_cancelled()
    }

    /// Stops everything, waits for `grace`, then cuts what is left; answers whether all ended by
    /// themselves.
    pub(crate) async fn stop(&self, grace: Duration) -> bool {
        self.stop.fire();
        self.tracker.close();
        let in_time = tokio::time::timeout(grace, self.tracker.wait())
            .await
            .is_ok();
        if !in_time {
            self.cut.fire();
            self.tracker.wait().await;
        }
        in_time
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Wake};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn a_signal_wakes_the_waker_of_the_last_look_and_ends_the_task() {
        let signal = Signal::default();
        let (old, new) = (Arc::<Woken>::default(), Arc::<Woken>::default());
        let (first, second) = (Waker::from(Arc::clone(&old)), Waker::from(Arc::clone(&new)));
        let mut task = pin!(signal.unless(pending::<()>()));
        for waker in [&first, &first, &second, &second] {
            let polled = task.as_mut().poll(&mut Context::from_waker(waker));
            assert!(polled.is_pending());
        }
        signal.fire();
        assert_eq!((old.0.load(SeqCst), new.0.load(SeqCst)), (0, 1));
        let polled = task.as_mut().poll(&mut Context::from_waker(&second));
        assert_eq!(polled, Poll::Ready(None));
    }

    #[tokio::test]
    async fn a_task_that_is_done_is_done_although_the_signal_has_fired() {
        let signal = Signal::default();
        signal.fire();
        assert_eq!(signal.unless(ready(7)).await, Some(7));
        assert_eq!(signal.unless(pending::<()>()).await, None);
    }
}
