//! The writing child: opens a target, works through a plan and says each acknowledgement after it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::script::{SHARED_COUNTER, Script};
use super::target::{Done, Refusal, Target, TargetKind};
use super::wire::{Ack, Line};

/// A writer gives up after this many refusals in a row, unless it is told to persist.
const REFUSALS_MAX: u32 = 20;
const PHASE_POLL: Duration = Duration::from_millis(1);
const STIR_PAUSE: Duration = Duration::from_millis(15);
const PERSIST_PAUSE: Duration = Duration::from_millis(5);

/// What is said about a step that began after the store had said that it takes no more writes, and
/// that was acknowledged all the same.
pub const AFTER_THE_END: &str = "acknowledged after the end";

/// What a writing child does.
#[derive(Clone, Debug)]
pub struct Writing {
    /// Where the target lives.
    pub dir: PathBuf,
    /// What it writes to.
    pub target: TargetKind,
    /// What it writes.
    pub script: Script,
    /// Which start of a writing process this is.
    pub epoch: u64,
    /// One after the other.
    pub plan: Vec<Part>,
    /// Refused steps do not end a writer: it reads, pauses and goes on.
    pub persist: bool,
}

/// A part of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All writers at once, without end.
    Run,
    /// The same, while flushes and compactions follow each other.
    Stir,
    /// All writers at once, so many steps each.
    Steps(u64),
    /// Memtables to tables.
    Flush,
    /// Tables merged.
    Compact,
    /// A copy of the store, beside it.
    Checkpoint,
    /// A shutdown in good order.
    Close,
    /// Nothing, until the child is killed: no step is under way then.
    Hold,
}

impl Part {
    /// The word of the command line: `run`, `stir`, `steps:N`, `flush`, `compact`, `checkpoint`, `close`,
    /// `hold`.
    #[must_use]
    pub fn word(self) -> String {
        match self {
            Self::Run => "run".to_owned(),
            Self::Stir => "stir".to_owned(),
            Self::Steps(count) => format!("steps:{count}"),
            Self::Flush => "flush".to_owned(),
            Self::Compact => "compact".to_owned(),
            Self::Checkpoint => "checkpoint".to_owned(),
            Self::Close => "close".to_owned(),
            Self::Hold => "hold".to_owned(),
        }
    }

    /// The part that `word` names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "run" => Self::Run,
            "stir" => Self::Stir,
            "flush" => Self::Flush,
            "compact" => Self::Compact,
            "checkpoint" => Self::Checkpoint,
            "close" => Self::Close,
            "hold" => Self::Hold,
            other => Self::Steps(other.strip_prefix("steps:")?.parse().ok()?),
        })
    }
}

/// Where checkpoint `number` of the store in `dir` is made.
#[must_use]
pub fn checkpoint_dir(dir: &Path, number: u64) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(format!(".checkpoint-{number}"));
    dir.with_file_name(name)
}

impl Writing {
    /// Works through the plan, saying everything on the standard output.
    ///
    /// # Errors
    /// When the parent is gone.
    pub fn perform(&self) -> io::Result<()> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Line::Pid(pid).say()?;
        let target = match self.target.open(&self.dir) {
            Ok(target) => target,
            Err(Refusal { code, text, .. }) => {
                return Line::Fatal {
                    at: "open".to_owned(),
                    code,
                    text,
                }
                .say();
            }
        };
        Line::Opened.say()?;
        let target = target.as_ref();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let watch = scope.spawn(|| watch_phases(target, &over));
            let worked = self.work(target);
            over.store(true, Ordering::Release);
            let watched = watch
                .join()
                .map_err(|_| io::Error::other("the watcher panicked"))?;
            worked.and(watched)
        })?;
        Line::Done(0).say()
    }

    fn work(&self, target: &dyn Target) -> io::Result<()> {
        let mut next = 0;
        let mut checkpoints = 0;
        let mut broken = false;
        for part in &self.plan {
            // What failed once may take long to fail again; writers go on to the end.
            if broken && matches!(part, Part::Flush | Part::Compact | Part::Checkpoint) {
                continue;
            }
            Line::Begin(part.word()).say()?;
            let result = match part {
                Part::Run => {
                    self.write(target, next, u64::MAX)?;
                    Ok(())
                }
                Part::Stir => {
                    self.stir(target, next)?;
                    Ok(())
                }
                Part::Steps(count) => {
                    self.write(target, next, next.saturating_add(*count))?;
                    next += count;
                    Ok(())
                }
                Part::Flush => target.flush(),
                Part::Compact => target.compact(),
                Part::Checkpoint => {
                    checkpoints += 1;
                    target.checkpoint(&checkpoint_dir(&self.dir, checkpoints))
                }
                Part::Close => target.close(),
                Part::Hold => loop {
                    thread::park();
                },
            };
            match result {
                Ok(()) => Line::End(part.word()).say()?,
                Err(Refusal { code, text, .. }) => {
                    broken = true;
                    Line::Note(text).say()?;
                    Line::Failed {
                        what: part.word(),
                        code,
                    }
                    .say()?;
                }
            }
        }
        Ok(())
    }

    fn stir(&self, target: &dyn Target, from: u64) -> io::Result<()> {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let stirrer = scope.spawn(|| stir_until(target, &over));
            let wrote = self.write(target, from, u64::MAX);
            over.store(true, Ordering::Release);
            let stirred = stirrer
                .join()
                .map_err(|_| io::Error::other("the stirrer panicked"))?;
            wrote.and(stirred)
        })
    }

    fn write(&self, target: &dyn Target, from: u64, to: u64) -> io::Result<()> {
        let is_final = AtomicBool::new(false);
        let reads = AtomicU64::new(0);
        let shared = &Shared {
            writing: self,
            target,
            is_final: &is_final,
            reads: &reads,
        };
        thread::scope(|scope| {
            let writers: Vec<_> = (0..self.script.writers)
                .map(|writer| scope.spawn(move || shared.write_as(writer, from, to)))
                .collect();
            writers.into_iter().try_for_each(|writer| {
                writer
                    .join()
                    .map_err(|_| io::Error::other("a writer panicked"))?
            })
        })?;
        let reads = reads.into_inner();
        if reads > 0 {
            Line::Note(format!("{reads} reads between refusals")).say()
        } else {
            Ok(())
        }
    }
}

/// What the writers of one part share.
struct Shared<'a> {
    writing: &'a Writing,
    target: &'a dyn Target,
    /// Set by the first refusal that says that no write may succeed any more.
    is_final: &'a AtomicBool,
    reads: &'a AtomicU64,
}

impl Shared<'_> {
    fn write_as(&self, writer: u32, from: u64, to: u64) -> io::Result<()> {
        let Writing {
            script,
            epoch,
            persist,
            ..
        } = self.writing;
        let mut refusals = 0;
        for index in from..to {
            let step = script.step(*epoch, writer, index);
            let was_final = self.is_final.load(Ordering::SeqCst);
            let result = self.target.run(&step, script.class(writer));
            refusals = if result.is_ok() { 0 } else { refusals + 1 };
            match result {
                Ok(done) => acknowledge(writer, index, done, was_final)?,
                Err(refusal) => self.refuse(writer, index, refusal, was_final)?,
            }
            if refusals > 0 && *persist {
                thread::park_timeout(PERSIST_PAUSE);
            } else if refusals >= REFUSALS_MAX {
                break;
            }
        }
        Ok(())
    }

    /// Says the refusal. Where writers persist, the disk is only full, and reads must go on.
    fn refuse(&self, writer: u32, index: u64, refusal: Refusal, was_final: bool) -> io::Result<()> {
        if refusal.is_final {
            self.is_final.store(true, Ordering::SeqCst);
        }
        let Refusal {
            code,
            text,
            unknown,
            ..
        } = refusal;
        if index.is_multiple_of(64) {
            Line::Note(format!("{code}: {text}")).say()?;
        }
        // Once the store said that it takes no more writes, a later one must have no effect.
        let unknown = unknown && !was_final;
        Line::Refused {
            writer,
            index,
            unknown,
            code,
        }
        .say()?;
        if !self.writing.persist {
            return Ok(());
        }
        let key = Script::prefix(writer);
        for key in [SHARED_COUNTER, key.as_slice()] {
            if let Err(refusal) = self.target.get(key) {
                let text = format!("a read failed after a refusal: {}", refusal.text);
                Line::Violation(text).say()?;
            }
            self.reads.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn acknowledge(writer: u32, index: u64, done: Done, was_final: bool) -> io::Result<()> {
    let (seq, answer) = (done.seq, done.answer);
    Line::Ack(Ack {
        writer,
        index,
        seq,
        answer,
    })
    .say()?;
    if was_final && seq > 0 {
        let text = format!("writer {writer}: step {index} {AFTER_THE_END}");
        Line::Violation(text).say()?;
    }
    Ok(())
}

/// Three flushes, one compaction, and again.
fn stir_until(target: &dyn Target, over: &AtomicBool) -> io::Result<()> {
    let turns = [Part::Flush, Part::Flush, Part::Flush, Part::Compact];
    for part in turns.into_iter().cycle() {
        if over.load(Ordering::Acquire) {
            break;
        }
        Line::Begin(part.word()).say()?;
        let result = if part == Part::Flush {
            target.flush()
        } else {
            target.compact()
        };
        match result {
            Ok(()) => Line::End(part.word()).say()?,
            Err(Refusal { code, .. }) => Line::Failed {
                what: part.word(),
                code,
            }
            .say()?,
        }
        thread::park_timeout(STIR_PAUSE);
    }
    Ok(())
}

fn watch_phases(target: &dyn Target, over: &AtomicBool) -> io::Result<()> {
    let mut last = (false, false);
    while !over.load(Ordering::Acquire) {
        let now = target.phase();
        if now != last {
            Line::Phase {
                flush: now.0,
                compact: now.1,
            }
            .say()?;
            last = now;
        }
        thread::park_timeout(PHASE_POLL);
    }
    Ok(())
}
