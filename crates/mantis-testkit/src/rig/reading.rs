//! The reading child: opens a target after a crash and says every pair; and what the parent hears.

use std::io;
use std::path::PathBuf;

use super::oracle::{Contents, Found};
use super::target::{Refusal, TargetKind, WRONG};
use super::wire::Line;

/// What a reading child does.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Where the target lives.
    pub dir: PathBuf,
    /// What it reads.
    pub target: TargetKind,
    /// Whether it shuts down in good order, or ends as a killed process would.
    pub close: bool,
}

impl Reading {
    /// Reads all, saying everything on the standard output.
    ///
    /// # Errors
    /// When the parent is gone.
    pub fn perform(&self) -> io::Result<()> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Line::Pid(pid).say()?;
        let fatal = |at: &str, Refusal { code, text, .. }| {
            Line::Fatal {
                at: at.to_owned(),
                code,
                text,
            }
            .say()
        };
        let target = match self.target.open(&self.dir) {
            Ok(target) => target,
            Err(refusal) => return fatal("open", refusal),
        };
        Line::Opened.say()?;
        let mut count = 0;
        let mut said = Ok(());
        let read = target.read_all(&mut |key, seq, digest| {
            count += 1;
            let line = Line::Pair {
                key: key.to_vec(),
                seq,
                digest,
            };
            if said.is_ok() {
                said = line.say();
            }
        });
        said?;
        match read {
            Ok(()) => {}
            Err(Refusal { code, text, .. }) if code == WRONG => Line::Violation(text).say()?,
            Err(refusal) => return fatal("read", refusal),
        }
        if self.close
            && let Err(refusal) = target.close()
        {
            return fatal("close", refusal);
        }
        Line::Done(count).say()?;
        if !self.close {
            // The destructors would close the store; a killed process has none.
            rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            )?;
        }
        Ok(())
    }
}

/// Everything that a reading child said.
#[derive(Clone, Debug, Default)]
pub struct Readout {
    /// What it found.
    pub contents: Contents,
    /// The error that ended it, if it said one: where, code, text.
    pub fatal: Option<(String, String, String)>,
    /// Lines that say that something must not be.
    pub violations: Vec<String>,
    /// The process id.
    pub pid: Option<i32>,
    /// Whether the dump is complete.
    pub done: bool,
}

impl Readout {
    /// Takes the next line.
    pub fn take(&mut self, line: Line) {
        match line {
            Line::Pid(pid) => self.pid = Some(pid),
            Line::Pair { key, seq, digest } => {
                let after_last = self
                    .contents
                    .last_key_value()
                    .is_none_or(|(last, _)| *last < key);
                if !after_last {
                    self.violations
                        .push(format!("out of order: {}", key.escape_ascii()));
                }
                self.contents.insert(key, Found { seq, digest });
            }
            Line::Fatal { at, code, text } => self.fatal = Some((at, code, text)),
            Line::Violation(text) => self.violations.push(text),
            Line::Done(count) => {
                let heard = u64::try_from(self.contents.len()).unwrap_or(u64::MAX);
                if count != heard {
                    self.violations
                        .push(format!("{count} pairs were said, {heard} heard"));
                }
                self.done = true;
            }
            _ => {}
        }
    }
}
