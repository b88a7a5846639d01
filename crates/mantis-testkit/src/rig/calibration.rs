//! What the controls of a part must have come to before the part's zero means anything.
//!
//! A control that is broken on purpose must be found for certain, not by luck: where it depends on
//! when a process is killed, it is made so that there is no right moment (see
//! [`ControlKind`](super::control::ControlKind)), and then each of its kills must find it.

use super::flip::FlipTally;
use super::kill::KILLS;
use super::once_kill::{DOUBLES, ONCE_KILLS};
use super::power::PowerTally;
use super::specimen::Tally;
use super::txn_kill::TXN_KILLS;
use crate::history::run::Outcome;
use crate::history::sweep::Controls;

/// Which controls did not as they must.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calibration {
    unmet: Vec<String>,
}

impl Calibration {
    /// Of the kill loop. Both broken controls are found by each kill.
    #[must_use]
    pub fn of_kill(fsync: &Tally, ack_first: &Tally, half_batch: &Tally) -> Self {
        let each = |tally: &Tally| {
            let kills = tally.counted(KILLS);
            kills > 0 && tally.findings_count >= kills
        };
        Self::default()
            .passes("syncs", fsync)
            .must(
                each(ack_first) && ack_first.lost > 0,
                "each kill of the one that acknowledges first loses something",
                ack_first,
            )
            .must(
                each(half_batch),
                "each kill of the one that splits batches leaves half of one",
                half_batch,
            )
    }

    /// Of kills amid transactions. Both broken doors have done their worst before each kill.
    #[must_use]
    pub fn of_txn_kill(split: &Tally, forget: &Tally) -> Self {
        let each = |tally: &Tally| {
            let kills = tally.counted(TXN_KILLS);
            kills > 0 && tally.findings_count >= kills
        };
        Self::default()
            .must(
                each(split),
                "each kill of the one that writes in two parts leaves half of a transaction",
                split,
            )
            .must(
                each(forget) && forget.lost > 0,
                "each kill of the one that forgets loses something",
                forget,
            )
    }

    /// Of kills amid retried writes.
    #[must_use]
    pub fn of_once_kill(keyless: &Tally) -> Self {
        let kills = keyless.counted(ONCE_KILLS);
        Self::default().must(
            kills > 0 && keyless.counted(DOUBLES) > kills,
            "without keys writes take effect more than once",
            keyless,
        )
    }

    /// Of histories.
    #[must_use]
    pub fn of_histories(controls: &Controls) -> Self {
        let Controls {
            simple,
            blind,
            undetected: [snapshot, serializable],
        } = controls;
        let must = |calibration: Self, holds: bool, what: &str, outcome: &Outcome| {
            calibration.must_with(holds, what, &outcome.to_string())
        };
        let met = must(
            Self::default(),
            simple.is_right() && simple.seen.committed > 0,
            "the history of the simple store is valid",
            simple,
        );
        let rejected = [
            (blind, "that of blind clients is rejected"),
            (
                snapshot,
                "that without conflict detection is rejected at snapshot",
            ),
            (serializable, "and at serializable"),
        ];
        rejected.into_iter().fold(met, |met, (outcome, what)| {
            must(met, !outcome.is_right(), what, outcome)
        })
    }

    /// Of interleaved transactions: stores without conflict detection and lying disks that were
    /// caught, and traces that were repeated, each of how many.
    #[must_use]
    pub fn of_interleaved(blind: (u64, u64), lies: (u64, u64), repeated: (u64, u64)) -> Self {
        let of = |(some, all): (u64, u64)| format!("{some} of {all}");
        Self::of_sim(lies, repeated).must_with(
            blind.0 > 0 && blind.0 == blind.1,
            "each store without conflict detection is caught",
            &of(blind),
        )
    }

    /// Of power cuts. The kernel may write out what nobody synced, so not each cut must show it.
    #[must_use]
    pub fn of_power(tally: &PowerTally) -> Self {
        Self::default().passes("syncs", &tally.fsync).must(
            tally.nosync.lost > 0,
            "the one that does not sync loses something",
            &tally.nosync,
        )
    }

    /// Of kills at system calls.
    #[must_use]
    pub fn of_syscalls(fsync: &Tally, split: &Tally) -> Self {
        Self::default()
            .passes("syncs", fsync)
            .must(fsync.counted("hit") > 0, "the one that syncs is hit", fsync)
            .must(
                split.findings_count > 0,
                "the one that splits batches leaves half of one",
                split,
            )
    }

    /// Of failing calls.
    #[must_use]
    pub fn of_faults(fsync: &Tally, again: &Tally, go_on: &Tally) -> Self {
        Self::default()
            .passes("stops", fsync)
            .must(
                fsync.counted("errors noticed") > 0,
                "the one that stops notices errors",
                fsync,
            )
            .must(
                again.findings_count > 0,
                "the one that syncs again is found",
                again,
            )
            .must(
                go_on.counted("acks after a failed sync") > 0,
                "the one that goes on acknowledges after a failed sync",
                go_on,
            )
    }

    /// Of bit flips.
    #[must_use]
    pub fn of_flip(no_sum: &FlipTally, lenient: &FlipTally) -> Self {
        let silent = |calibration: Self, tally: &FlipTally, what: &str| {
            let total = tally.total();
            let text = format!("{} silent of {}", total.silent, total.count());
            calibration.must_with(total.silent > 0, what, &text)
        };
        let first = silent(
            Self::default(),
            no_sum,
            "the one without checksums is silent",
        );
        silent(
            first,
            lenient,
            "the one that takes rot for a torn tail is silent",
        )
    }

    /// Of a full disk.
    #[must_use]
    pub fn of_full(control: &Tally) -> Self {
        Self::default().must(
            control.findings_count > 0,
            "the one that never recovers is found",
            control,
        )
    }

    /// Of a memory cap: whether the eaters over it and below it lived.
    #[must_use]
    pub fn of_cap(over_lives: bool, below_lives: bool) -> Self {
        Self::default()
            .must_with(!over_lives, "the one over the cap is killed", "it lives")
            .must_with(below_lives, "the one below the cap lives", "it was killed")
    }

    /// Of simulated machines: lies that were caught and traces that were repeated, each of how many.
    #[must_use]
    pub fn of_sim(caught: (u64, u64), repeated: (u64, u64)) -> Self {
        let of = |(some, all): (u64, u64)| format!("{some} of {all}");
        Self::default()
            .must_with(
                caught.0 > 0 && caught.0 * 2 >= caught.1,
                "half of the lying disks are caught",
                &of(caught),
            )
            .must_with(
                repeated.0 > 0 && repeated.0 == repeated.1,
                "each seed repeats its trace",
                &of(repeated),
            )
    }

    /// Whether every control did as it must.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.unmet.is_empty()
    }

    /// What did not hold, in words; empty when all did.
    #[must_use]
    pub fn reason(&self) -> String {
        self.unmet.join("; ")
    }

    /// The right control must pass, and must have had something to lose.
    fn passes(self, who: &str, tally: &Tally) -> Self {
        self.must(
            tally.is_right() && tally.promised > 0,
            &format!("the one that {who} passes"),
            tally,
        )
    }

    fn must(self, holds: bool, what: &str, tally: &Tally) -> Self {
        let text = format!(
            "rounds {}, promised {}, lost {}, findings {}",
            tally.rounds, tally.promised, tally.lost, tally.findings_count
        );
        self.must_with(holds, what, &text)
    }

    fn must_with(mut self, holds: bool, what: &str, came_to: &str) -> Self {
        if !holds {
            self.unmet.push(format!("not so: {what} ({came_to})"));
        }
        self
    }
}

#[cfg(test)]
mod tests;
