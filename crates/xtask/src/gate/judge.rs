//! What the sums of a whole part must show, and its key figures in one line.
//!
//! A slice says by itself whether something is wrong and whether its controls failed as they must. What
//! only the sums can show, such as the share of kills that met a flush, is asked for here.

use crate::needs;

use super::record::Record;

/// A judgement of a part's sums.
pub(super) type Judge = fn(&Record) -> Verdict;

/// Kills of which a flush or a compaction must have been running, in percent.
const BUSY_PERCENT_MIN: u64 = 20;
/// Flips that must hit a byte which a reader depends on, in percent.
const LIVE_PERCENT_MIN: u64 = 30;
/// Flips of such bytes that must be detected, in percent: fewer would mean that "live" is a word only.
const DETECTED_PERCENT_MIN: u64 = 50;

/// Transactions of histories that must commit, in percent: fewer would say little about reads.
const COMMITTED_PERCENT_MIN: u64 = 25;

/// The beginning of the subjects that are tested, in contrast to controls.
const STORE: &str = "store";

/// What the sums show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The key figures.
    pub(super) headline: String,
    /// What is missing.
    pub(super) unmet: Vec<String>,
}

impl Verdict {
    fn new(headline: String) -> Self {
        Self {
            headline,
            unmet: Vec::new(),
        }
    }

    fn must(mut self, holds: bool, what: &str) -> Self {
        if !holds {
            self.unmet.push(what.to_owned());
        }
        self
    }
}

/// The figure, over all subjects whose name begins so.
fn sum(record: &Record, subject: &str, figure: &str) -> u64 {
    let subjects = record.figures.iter();
    subjects
        .filter(|(name, _)| name.starts_with(subject))
        .filter_map(|(_, figures)| figures.get(figure))
        .sum()
}

fn of_store(record: &Record, figure: &str) -> u64 {
    sum(record, STORE, figure)
}

fn percent(part: u64, whole: u64) -> u64 {
    (part * 100).checked_div(whole).unwrap_or(0)
}

/// What every comparison with the oracle must show.
fn nothing_wrong(record: &Record, verdict: Verdict) -> Verdict {
    let clean = ["lost", "unopened", "findings"].map(|figure| of_store(record, figure) == 0);
    verdict.must(
        clean == [true; 3],
        "nothing lost, every store opens, no finding",
    )
}

/// Kills after enough acknowledgements, enough of them in a flush or a compaction.
pub(super) fn kill(record: &Record) -> Verdict {
    let after = of_store(record, "kills after 100 acks");
    let busy = of_store(record, "of these in a flush or a compaction");
    let headline = format!(
        "{after} kills after 100 acks or more, {busy} of them ({}%) in a flush or a compaction; \
         promised {}, lost {}",
        percent(busy, after),
        of_store(record, "promised"),
        of_store(record, "lost"),
    );
    let enough = percent(busy, after) >= BUSY_PERCENT_MIN;
    nothing_wrong(record, Verdict::new(headline))
        .must(
            after >= record.size,
            "every kill after at least 100 acknowledgements",
        )
        .must(enough, "20% of the kills in a flush or a compaction")
}

/// Power cuts.
pub(super) fn power(record: &Record) -> Verdict {
    let cuts = of_store(record, "rounds");
    let headline = format!(
        "{cuts} cuts, promised {}, lost {}; the control without syncs lost {}",
        of_store(record, "promised"),
        of_store(record, "lost"),
        sum(record, "control that does not", "lost"),
    );
    nothing_wrong(record, Verdict::new(headline)).must(cuts >= record.size, "all cuts")
}

/// Kills at system calls.
pub(super) fn syscalls(record: &Record) -> Verdict {
    let headline = format!(
        "{} points, {} of them hit; stores that do not open {}, lost {}",
        of_store(record, "rounds"),
        of_store(record, "hit"),
        of_store(record, "unopened"),
        of_store(record, "lost"),
    );
    swept(record, nothing_wrong(record, Verdict::new(headline)))
}

/// Errors at system calls.
pub(super) fn faults(record: &Record) -> Verdict {
    let headline = format!(
        "{} points, {} of them hit, noticed {}; acks after a failed sync {}, lost {}",
        of_store(record, "rounds"),
        of_store(record, "hit"),
        of_store(record, "errors noticed"),
        of_store(record, "acks after a failed sync"),
        of_store(record, "lost"),
    );
    let after = of_store(record, "acks after a failed sync");
    swept(record, nothing_wrong(record, Verdict::new(headline)))
        .must(after == 0, "no acknowledgement after a failed sync")
}

fn swept(record: &Record, verdict: Verdict) -> Verdict {
    let calls = of_store(record, "calls swept");
    let ended = of_store(record, "calls swept to their end");
    verdict
        .must(of_store(record, "hit") > 0, "points that are hit")
        .must(calls > 0 && calls == ended, "each call swept to its end")
}

/// Bit flips.
pub(super) fn flip(record: &Record) -> Verdict {
    let count = |figure| of_store(record, figure);
    let (flips, live) = (count("flips"), count("live"));
    let (detected, harmless) = (count("detected"), count("harmless"));
    let live_detected = count("live detected");
    let headline = format!(
        "{flips} flips, {live} ({}%) of live bytes, {}% of these detected; all: detected {detected}, \
         harmless {harmless}, SILENT {}, crashed {}",
        percent(live, flips),
        percent(live_detected, live),
        count("silent"),
        count("crashed"),
    );
    let meaning = percent(live_detected, live) >= DETECTED_PERCENT_MIN;
    Verdict::new(headline)
        .must(flips >= record.size, "all flips")
        .must(
            detected + harmless == flips,
            "each flip detected or harmless",
        )
        .must(
            percent(live, flips) >= LIVE_PERCENT_MIN,
            "30% of the flips in live bytes",
        )
        .must(meaning, "half of the flips of live bytes detected")
}

/// A full disk.
pub(super) fn full(record: &Record) -> Verdict {
    let headline = format!(
        "{} disks filled and grown, {} writes refused in between, promised {}, lost {}",
        of_store(record, "rounds"),
        of_store(record, "refused disk_full"),
        of_store(record, "promised"),
        of_store(record, "lost"),
    );
    let refused = of_store(record, "refused disk_full") > 0;
    nothing_wrong(record, Verdict::new(headline)).must(refused, "writes refused by a full disk")
}

/// A memory cap.
pub(super) fn cap(record: &Record) -> Verdict {
    let stored = of_store(record, "stored MiB");
    let headline = format!(
        "{stored} MiB stored under a cap of 200 MiB, promised {}, lost {}",
        of_store(record, "promised"),
        of_store(record, "lost"),
    );
    nothing_wrong(record, Verdict::new(headline)).must(stored > 200, "more data than memory")
}

/// Runs on a machine made of software.
pub(super) fn sim(record: &Record) -> Verdict {
    let count = |figure| of_store(record, figure);
    let headline = format!(
        "{} seeds, {} commits, {} power cuts, {} kills, {} failed syncs; wrong {}; a lying disk was \
         caught in {} of {}",
        count("seeds"),
        count("commits"),
        count("crashes"),
        count("kills"),
        count("sync failures"),
        count("wrong"),
        sum(record, "control, a disk", "caught"),
        sum(record, "control, a disk", "seeds"),
    );
    Verdict::new(headline)
        .must(count("seeds") >= record.size, "all seeds")
        .must(count("wrong") == 0, "nothing wrong")
        .must(
            count("crashes") > 0 && count("sync failures") > 0 && count("torn away") > 0,
            "crashes, failed syncs and commits that were torn away",
        )
}

/// Histories of transactions.
pub(super) fn histories(record: &Record) -> Verdict {
    let count = |figure| of_store(record, figure);
    let rejected = |figure| sum(record, "control, histories", figure);
    let headline = format!(
        "{} transactions, {} committed, refused for conflicts {}, for deadlocks {}; promised {}, \
         lost {}, findings {}; without conflict detection {} histories were rejected",
        count("transactions"),
        count("acks"),
        count("refused serialization_failure"),
        count("refused deadlock"),
        count("promised"),
        count("lost"),
        count("findings"),
        rejected("undetected at snapshot, rejected")
            + rejected("undetected at serializable, rejected"),
    );
    nothing_wrong(record, Verdict::new(headline))
        .must(count("transactions") >= record.size, "all transactions")
        .must(
            percent(count("acks"), count("transactions")) >= COMMITTED_PERCENT_MIN,
            "a quarter of the transactions committed",
        )
        .must(
            count("refused serialization_failure") > 0 && count("refused deadlock") > 0,
            "conflicts and deadlocks",
        )
}

/// Kills amid transactions.
pub(super) fn txn_kill(record: &Record) -> Verdict {
    let count = |figure| of_store(record, figure);
    let kills = count("kills amid transactions");
    let cut_off = count("transactions of several keys cut off");
    let whole = count("of these there");
    let headline = format!(
        "{kills} kills, {cut_off} transactions of several keys cut off, {whole} of them there as a \
         whole, the others absent; promised {}, lost {}",
        count("promised"),
        count("lost"),
    );
    nothing_wrong(record, Verdict::new(headline))
        .must(kills >= record.size, "every kill after enough commits")
        .must(
            cut_off >= kills && whole > 0 && whole < cut_off,
            "transactions cut off at each kill, some there and some absent",
        )
}

/// Kills amid retried writes.
pub(super) fn once_kill(record: &Record) -> Verdict {
    let count = |figure| of_store(record, figure);
    let kills = count("kills amid retried writes");
    let cut_off = count("writes cut off");
    let replayed = count("stored answers");
    let headline = format!(
        "{kills} kills, {} writes answered, each once in its counter; {cut_off} cut off, {} of them \
         had been done; {} answers, {replayed} of them stored ones",
        count("promised"),
        count("of these done"),
        count("acks"),
    );
    nothing_wrong(record, Verdict::new(headline))
        .must(kills >= record.size, "all kills")
        .must(
            cut_off > 0 && count("of these done") > 0 && replayed > 0,
            "writes cut off, some of them done, and stored answers",
        )
}

/// Interleaved transactions on a machine made of software.
pub(super) fn interleaved(record: &Record) -> Verdict {
    let count = |figure| of_store(record, figure);
    let headline = format!(
        "{} seeds, {} transactions, {} committed, {} conflicts, {} kept out by row locks, {} power \
         cuts, {} kills; wrong {}",
        count("seeds"),
        count("begun"),
        count("committed"),
        count("conflicts"),
        count("locked"),
        count("crashes"),
        count("kills"),
        count("wrong"),
    );
    Verdict::new(headline)
        .must(count("seeds") >= record.size, "all seeds")
        .must(count("wrong") == 0, "nothing wrong")
        .must(
            count("conflicts") > 0 && count("locked") > 0,
            "conflicts and locked rows",
        )
        .must(
            count("crashes") > 0 && count("failures") > 0 && count("torn away") > 0,
            "crashes, failing disks and commits that were torn away",
        )
}

/// Tests by the runner.
pub(super) fn tests(record: &Record) -> Verdict {
    let count = |figure| sum(record, "tests", figure);
    let (passed, failed, skipped) = (count("passed"), count("failed"), count("skipped"));
    let headline = format!("{passed} passed, {failed} failed, {skipped} skipped");
    Verdict::new(headline)
        .must(passed > 0 && failed == 0, "tests that pass")
        .must(skipped == 0 || !needs::is_root(), "no skips, as root")
}

/// libFuzzer.
pub(super) fn fuzz(record: &Record) -> Verdict {
    let is_target = |name: &String| !name.starts_with("control");
    let targets: Vec<&String> = record
        .figures
        .keys()
        .filter(|name| is_target(name))
        .collect();
    let over = |figure| {
        targets
            .iter()
            .map(|name| sum(record, name, figure))
            .sum::<u64>()
    };
    let found = sum(record, "control", "found");
    let all_ran = !targets.is_empty() && targets.iter().all(|name| sum(record, name, "runs") > 0);
    let headline = format!(
        "{} targets, {} CPU-s, {} million runs, broken {}; the planted panic was found {found} times",
        targets.len(),
        over("cpu ms") / 1000,
        over("runs") / 1_000_000,
        over("broken"),
    );
    Verdict::new(headline)
        .must(found > 0, "the planted panic found")
        .must(over("broken") == 0, "no target broken")
        .must(all_ran, "every target run")
}

#[cfg(test)]
mod tests;
