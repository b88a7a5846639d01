//! The child that is killed amid transactions: clients of a history, each event said before the next
//! step is taken; and the ear of its parent.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use mantis_env::Env;

use super::child::Ear;
use super::voice::Voice;
use super::wire::Line;
use crate::door::Door;
use crate::door::half::{Fault, Half};
use crate::door::kind::DoorKind;
use crate::door::store::StoreKind;
use crate::history::client::Habits;
use crate::history::event::{Event, Stage};
use crate::history::journal::Journal;
use crate::history::plan::Mix;
use crate::history::run::Run;

/// Clients of a child.
pub(super) const CLIENTS: u64 = 6;

/// Through which door a child goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// One that is right.
    Right(DoorKind),
    /// A broken one.
    Broken(Fault),
}

impl Through {
    /// The word of the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Right(kind) => kind.word(),
            Self::Broken(Fault::Split) => "control-split",
            Self::Broken(Fault::Forget) => "control-forget",
        }
    }

    /// The door that `word` names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let right = DoorKind::ON_DISK.map(Self::Right);
        let broken = [Fault::Split, Fault::Forget].map(Self::Broken);
        let mut all = right.into_iter().chain(broken);
        all.find(|through| through.word() == word)
    }

    /// The door that it is, or that it breaks.
    #[must_use]
    pub const fn kind(self) -> DoorKind {
        match self {
            Self::Right(kind) => kind,
            Self::Broken(_) => DoorKind::Store(StoreKind::Disk),
        }
    }
}

/// What a child does.
#[derive(Clone, Debug)]
pub struct Transacting {
    /// Where the store lives.
    pub dir: PathBuf,
    /// Which door.
    pub through: Through,
    /// What is drawn follows from it.
    pub seed: u64,
    /// The first transaction's number.
    pub first: u64,
    /// The first client's process, in the history.
    pub process: u64,
}

impl Transacting {
    /// Lets the clients run until the child is killed.
    ///
    /// # Errors
    /// When the parent is gone.
    pub fn perform(&self) -> io::Result<()> {
        Line::Pid(rustix::process::getpid().as_raw_nonzero().get()).say()?;
        let door = match self.open() {
            Ok(door) => door,
            Err(error) => {
                return Line::Fatal {
                    at: "open".to_owned(),
                    code: "open".to_owned(),
                    text: format!("{error:#}"),
                }
                .say();
            }
        };
        Line::Opened.say()?;
        let voice = Arc::new(Voice::default());
        match self.through {
            Through::Right(_) => self.run(&*door, &voice),
            Through::Broken(fault) => {
                let own = Arc::clone(&voice);
                let halted = Box::new(move || own.say(&Line::Note("halted".to_owned())));
                // The child ends by being killed.
                let half: &'static _ = Box::leak(Box::new(Half::new(door, fault, halted)));
                self.run(&half, &voice);
            }
        }
        Line::Done(0).say()
    }

    fn open(&self) -> anyhow::Result<Box<dyn Door>> {
        std::fs::create_dir_all(&self.dir)?;
        self.through.kind().open(&Env::real(), &self.dir)
    }

    fn run(&self, door: &dyn Door, voice: &Voice) {
        let run = Run {
            mix: Mix::contended(self.seed, None).with_faults(),
            clients: CLIENTS,
            process: self.process,
            habits: Habits::default(),
            transactions: u64::MAX,
        };
        let seen = run.let_run(self.first, door, voice);
        for text in seen.strange {
            voice.say(&Line::Violation(text));
        }
    }
}

impl Journal for Voice {
    fn note(&self, event: Event) {
        self.say(&Line::Event(event.line(0)));
    }
}

/// What was heard of such a child.
#[derive(Clone, Debug, Default)]
pub struct Overheard {
    pid: Option<i32>,
    /// Events, in order.
    pub events: Vec<Event>,
    /// Commits that were acknowledged.
    pub commits: u64,
    /// A broken door has done its worst.
    pub halted: bool,
    /// What must not be.
    pub violations: Vec<String>,
}

impl Ear for Overheard {
    fn hear(&mut self, line: Line) {
        match line {
            Line::Pid(pid) => self.pid = Some(pid),
            Line::Event(json) => {
                // The last one may be torn: then its transaction is still on its way.
                if let Some(event) = Event::parse(&json) {
                    let wrote = event.appends().next().is_some();
                    self.commits += u64::from(wrote && event.stage == Stage::Ok);
                    self.events.push(event);
                }
            }
            Line::Note(_) => self.halted = true,
            Line::Violation(text) | Line::Fatal { text, .. } => self.violations.push(text),
            _ => {}
        }
    }

    fn pid(&self) -> Option<i32> {
        self.pid
    }
}
