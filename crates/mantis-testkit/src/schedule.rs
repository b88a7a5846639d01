//! Models of protocols between threads under drawn schedules: running them, and catching their mutants.
//!
//! A model is a miniature: it does the steps of the code that it names, in the same order and with the
//! same locks, and the rest is a number or two. A mutant does one step otherwise, and must be caught.

use std::panic::{AssertUnwindSafe, catch_unwind};

use shuttle::sync::atomic::{AtomicBool, Ordering::SeqCst};
use shuttle::{check_pct, check_random};

/// Schedules of each kind within which a mutant is to be found: few in every scene, then many.
const MUTANT_SCHEDULES: [usize; 2] = [2_000, 100_000];
/// Changes of priority in a schedule by priorities: enough for a thread that stays behind at one place
/// while others go on, and for a second such place.
const DEPTH: usize = 3;

/// How many schedules of each kind a scene runs: `MANTIS_SCHEDULES`, or a few.
#[must_use]
pub fn schedules(few: usize) -> usize {
    let asked = std::env::var("MANTIS_SCHEDULES").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(few)
}

/// A place where another thread may go on. A lock that is free is none; a yield is one that invites the
/// others, so that a thread never stays behind there for long.
pub fn point() {
    AtomicBool::new(false).load(SeqCst);
}

/// Runs a scene under schedules of both kinds: each step by any thread, and threads with priorities that
/// change now and then (PCT: Burckhardt et al., ASPLOS 2010). Panics when one shows what is wrong.
pub fn check(scene: fn(), schedules: usize) {
    check_random(scene, schedules);
    check_pct(scene, schedules, DEPTH);
}

/// Whether some schedule of some scene shows what is wrong.
#[must_use]
pub fn is_caught(scenes: &[fn()]) -> bool {
    let fails = |scene, schedules| {
        let check = AssertUnwindSafe(|| check(scene, schedules));
        catch_unwind(check).is_err()
    };
    MUTANT_SCHEDULES.into_iter().any(|schedules| {
        let mut scenes = scenes.iter();
        scenes.any(|scene| fails(*scene, schedules))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shuttle::sync::atomic::AtomicU64;

    use super::*;

    fn add(in_one_step: bool) {
        let sum = Arc::new(AtomicU64::new(0));
        let own = Arc::clone(&sum);
        let add = move |sum: &AtomicU64| match in_one_step {
            true => sum.fetch_add(1, SeqCst),
            false => sum.swap(sum.load(SeqCst) + 1, SeqCst),
        };
        let other = shuttle::thread::spawn(move || add(&own));
        add(&sum);
        other.join().unwrap();
        assert_eq!(sum.load(SeqCst), 2);
    }

    #[test]
    fn a_lost_update_is_caught_and_an_atomic_one_is_not() {
        assert!(is_caught(&[|| add(false)]));
        check(|| add(true), 1000);
    }
}
