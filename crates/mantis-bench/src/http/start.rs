//! Resident memory of a server that has just been started over an empty store.

use super::middle;
use super::report::{Floor, Report};
use super::server::Programs;

/// Floor of FIGURES.md.
const BYTES_MAX: f64 = 30.0 * MIB;
const MIB: f64 = 1_048_576.0;
/// Starts; figures are their medians.
const STARTS: usize = 3;

/// Measures.
///
/// # Errors
/// When the server cannot be started.
pub fn measure(programs: &Programs) -> anyhow::Result<Report> {
    let mut report = Report::new("start: resident memory, empty store, before the first request");
    let mut found = Vec::new();
    for _ in 0..STARTS {
        let server = programs.start(&[])?;
        found.push(server.process().memory()?);
    }
    let mib = |part: fn(&super::process::Memory) -> u64| {
        #[expect(clippy::cast_precision_loss, reason = "bytes of memory fit 53 bits")]
        let parts = found.iter().map(|memory| part(memory) as f64 / MIB);
        middle(parts)
    };
    let floor = Floor::AtMost(BYTES_MAX / MIB);
    report.hold("resident", mib(|memory| memory.resident), "MiB", floor);
    report.say("of it heap and anonymous", mib(|memory| memory.heap), "MiB");
    report.say("of it stacks", mib(|memory| memory.stack), "MiB");
    report.say("of it code", mib(|memory| memory.code), "MiB");
    report.say(
        "of it other pages of files",
        mib(|memory| memory.files),
        "MiB",
    );
    report.note("pages of files are shared with every process that maps them and can be dropped");
    Ok(report)
}
