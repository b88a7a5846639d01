//! Metrics of transactions, row locks and snapshots.

use std::time::Duration;

use mantis_session::{DatabaseStatus, LOCK_WAIT_BOUNDS_US};

use super::prometheus::{Family, counter, gauge, histogram, label, whole};
use super::sources::cumulative;

/// What the database says about transactions.
pub(super) fn transactions(status: &DatabaseStatus) -> Vec<Family> {
    let all = &status.transactions;
    let none = Vec::new;
    let mut families = vec![
        ended(status),
        gauge(
            "mantisdb_transactions_active",
            "Read-write transactions that live now.",
        )
        .with(none(), whole(all.active)),
        gauge(
            "mantisdb_transactions_joinable",
            "Transactions that are open under an id.",
        )
        .with(none(), whole(status.joinable.open)),
        counter(
            "mantisdb_transactions_expired_total",
            "Of those, rolled back because nobody used them or they were open for too long.",
        )
        .with(none(), whole(status.joinable.expired)),
        counter(
            "mantisdb_transaction_conflicts_total",
            "Commits and locks that were refused because somebody else came first.",
        )
        .with(none(), whole(all.conflicts)),
        gauge(
            "mantisdb_conflict_keys",
            "Keys of recent commits that are remembered for live transactions.",
        )
        .with(none(), whole(all.noted_keys)),
    ];
    families.extend(locks(status));
    families.extend(snapshots(status));
    families.extend(followers(status));
    families
}

fn ended(status: &DatabaseStatus) -> Family {
    let all = &status.transactions;
    let labels = |outcome: &str, isolation: &str| {
        vec![
            ("outcome", outcome.to_owned()),
            ("isolation", isolation.to_owned()),
        ]
    };
    let family = counter(
        "mantisdb_transactions_total",
        "Transactions that ended, and single writes (autocommit).",
    )
    .with(labels("committed", "autocommit"), whole(all.autocommits));
    all.levels.iter().fold(family, |family, level| {
        let word = level.isolation.as_str();
        family
            .with(labels("committed", word), whole(level.committed))
            .with(labels("rolled_back", word), whole(level.rolled_back))
    })
}

fn locks(status: &DatabaseStatus) -> [Family; 5] {
    let locks = &status.transactions.locks;
    let none = Vec::new;
    let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
    let up_to = cumulative(&LOCK_WAIT_BOUNDS_US, &locks.waits_us, seconds);
    [
        gauge("mantisdb_row_locks", "Row locks that are held now.").with(none(), whole(locks.held)),
        gauge(
            "mantisdb_row_lock_waiters",
            "Transactions and single writes that wait for a row now.",
        )
        .with(none(), whole(locks.waiting)),
        counter(
            "mantisdb_deadlocks_total",
            "Waits for rows that were refused because they would have closed a cycle.",
        )
        .with(none(), whole(locks.deadlocks)),
        counter(
            "mantisdb_lock_timeouts_total",
            "Waits for rows that ended at their deadline.",
        )
        .with(none(), whole(locks.timeouts)),
        histogram(
            "mantisdb_lock_wait_duration_seconds",
            "How long waits for rows took.",
        )
        .with_histogram(
            &none(),
            up_to.into_iter(),
            locks.waits_us.iter().sum(),
            locks.wait_total.as_secs_f64(),
        ),
    ]
}

fn followers(status: &DatabaseStatus) -> [Family; 6] {
    let (feed, watch) = (&status.transactions.feed, &status.transactions.watch);
    let none = Vec::new;
    [
        gauge("mantisdb_feed_followers", "Who follows the commits now.")
            .with(none(), whole(feed.followers)),
        counter(
            "mantisdb_feed_delivered_total",
            "Commits that were delivered, to each of them.",
        )
        .with(none(), whole(feed.delivered)),
        counter(
            "mantisdb_feed_lost_total",
            "Followers that were too slow or came too late for what is kept.",
        )
        .with(none(), whole(feed.lost)),
        gauge(
            "mantisdb_feed_memory_bytes",
            "Memory for the last commits, for those who follow.",
        )
        .with(none(), whole(feed.memory_bytes)),
        gauge(
            "mantisdb_watches",
            "Registrations for commits that touch what was read.",
        )
        .with(none(), whole(watch.watches)),
        gauge(
            "mantisdb_watched",
            "Different keys, and ranges, that they watch.",
        )
        .with(label("kind", "key"), whole(watch.keys))
        .with(label("kind", "range"), whole(watch.ranges)),
    ]
}

fn snapshots(status: &DatabaseStatus) -> [Family; 4] {
    let storage = &status.storage;
    let oldest = storage.oldest_snapshot.unwrap_or(status.visible_seq);
    [
        gauge("mantisdb_snapshots", "Snapshots that are held now.")
            .with(Vec::new(), whole(storage.snapshots as u64)),
        gauge(
            "mantisdb_oldest_snapshot_seq",
            "The commit up to which the oldest of them sees; the newest one when there is none.",
        )
        .with(Vec::new(), whole(oldest.get())),
        gauge(
            "mantisdb_snapshot_pinned_bytes",
            "Memory and disk space that only older snapshots hold.",
        )
        .with(label("place", "memory"), whole(storage.pinned_memory_bytes))
        .with(label("place", "disk"), whole(storage.pinned_disk_bytes)),
        counter(
            "mantisdb_snapshots_ended_total",
            "Snapshots that were ended by the limit on what they hold: snapshot_too_old.",
        )
        .with(Vec::new(), whole(storage.views_ended)),
    ]
}
