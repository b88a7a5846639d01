//! Checks a log without opening it, and repairs one on explicit request.

use std::path::Path;

use mantis_env::{Env, OpenMode};
use mantis_types::Seq;

use crate::recovery::recover;
use crate::survey::{Look, survey};
use crate::{LogError, LogOptions, LogReport, RecoveryMode, RecoveryReport};

/// Reads the whole log and says what is in it; changes nothing. `first_seq` is the first Seq that
/// must be there, as in [`LogOptions`]. The log must not be open for writing elsewhere: its end would
/// look torn. Cost: reading every segment.
///
/// # Errors
/// `Io`; `LaterFormat`. Damage is in the report.
pub fn verify(env: &Env, dir: &Path, first_seq: Seq) -> Result<LogReport, LogError> {
    let look = Look {
        first_seq,
        mode: OpenMode::Read,
        everything: true,
    };
    let survey = survey(&**env.fs(), dir, look)?;
    Ok(LogReport {
        segments: survey
            .segments
            .iter()
            .map(|surveyed| surveyed.report)
            .collect(),
        damage: survey.damage,
        torn: survey.torn,
        would_drop: survey.dropped,
        findings: survey.findings,
    })
}

/// Ends a damaged log before the damage, so that it can be opened; says what it gave up, and keeps
/// that in the directory as `*.seg.dropped-N`. Loses acknowledged commits: only to be called when a
/// human has said so. Does nothing to a sound log but what any opening does.
///
/// # Errors
/// `Damaged` when nothing whole stands before the damage because the log's beginning is missing;
/// `Absent`; `Io`.
pub fn repair(env: &Env, dir: &Path, first_seq: Seq) -> Result<RecoveryReport, LogError> {
    let mode = RecoveryMode::Tolerant;
    let options = LogOptions {
        mode,
        first_seq,
        create: false,
        ..LogOptions::default()
    };
    Ok(recover(env, dir, &options)?.report)
}
