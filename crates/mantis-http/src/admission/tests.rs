//! Places, waits, refusals, and calls that outlive their callers.

use std::sync::mpsc;

use super::*;

fn terms(ms: u64, writes: bool) -> Terms {
    Terms {
        deadline: Instant::now() + Duration::from_millis(ms),
        by_caller: true,
        writes,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_are_refused_and_run_out_of_time() {
    let admission = Arc::new(Admission::new(1, 1, TaskGroup::default()));
    let (release, held) = mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let holder = Arc::clone(&admission);
    let holding = async move {
        let call = move || {
            begun.send(()).unwrap();
            held.recv().unwrap();
            7
        };
        holder.run(terms(60_000, true), call).await
    };
    let checks = async {
        has_begun.await.unwrap();
        let late = admission.run(terms(1, true), || 1).await.unwrap_err();
        assert_eq!(
            (late.code(), late.status().as_u16()),
            ("deadline_exceeded", 408)
        );
        assert!(late.shown_detail("outcome").is_none(), "it never began");
        let waiting = admission.run(terms(60_000, false), || 2);
        let refused = async {
            until_one_waits(&admission).await;
            let refused = admission.run(terms(60_000, false), || 3).await.unwrap_err();
            assert_eq!(
                (refused.code(), refused.status().as_u16()),
                ("pool_exhausted", 503)
            );
            assert_eq!(admission.stats().active, 1);
            release.send(()).unwrap();
        };
        let (waited, ()) = tokio::join!(waiting, refused);
        assert_eq!(waited.unwrap(), 2);
    };
    let (held, ()) = tokio::join!(holding, checks);
    assert_eq!(held.unwrap(), 7);
    let stats = admission.stats();
    assert_eq!(
        (stats.acquires, stats.waits, stats.timeouts, stats.refused),
        (4, 2, 1, 1)
    );
    assert_eq!((stats.active, stats.waiting), (0, 0));
    assert!(stats.wait_max > Duration::ZERO && stats.wait_sum >= stats.wait_max);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_outlives_its_caller_is_of_unknown_outcome() {
    let admission = Admission::new(1, 1, TaskGroup::default());
    let (release, held) = mpsc::channel::<()>();
    let late = admission
        .run(terms(5, true), move || held.recv())
        .await
        .unwrap_err();
    assert_eq!(late.shown_detail("outcome").unwrap(), "unknown");
    release.send(()).unwrap();
    assert!(
        admission.run(terms(60_000, true), || ()).await.is_ok(),
        "its place is free again"
    );
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_frees_the_place() {
    let admission = Admission::new(1, 1, TaskGroup::default());
    for _ in 0..2 {
        let died = admission
            .run(terms(60_000, true), || {
                assert!(std::hint::black_box(false), "as planned");
            })
            .await;
        assert_eq!(died.unwrap_err().code(), "internal");
    }
    assert_eq!(admission.stats().active, 0);
}

async fn until_one_waits(admission: &Admission) {
    while admission.stats().waiting == 0 {
        tokio::task::yield_now().await;
    }
}
