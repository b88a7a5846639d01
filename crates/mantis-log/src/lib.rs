//! The commit log: segments, group commit, durability classes, recovery, tailing readers.
//!
//! A log is an ordered list of records, numbered by [`Seq`](mantis_types::Seq) without gaps. It
//! knows nothing about what a record means.
//!
//! ```
//! use mantis_env::Env;
//! use mantis_log::{Log, LogOptions, Prepared};
//! use mantis_types::Seq;
//!
//! let dir = tempfile::tempdir()?;
//! let log = Log::open(&Env::real(), &dir.path().join("log"), LogOptions::default())?.log;
//! let body = Prepared::new(b"what one commit changes");
//! log.admit(64)?;
//! log.append(Seq::new(1), &body)?;
//! log.sync(Seq::new(1))?;
//!
//! let record = log.read(Seq::new(1))?.next().expect("it was written")?;
//! assert_eq!(record.body, body.body());
//! log.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It is not: a queue that forgets what was read, nor a store that finds a record by its content.
//!
//! Its limits: a record's body has at most [`RECORD_BYTES_MAX`] bytes; one process at a time has a
//! log open, which its caller ensures by a lock on the directory above.
#![deny(clippy::indexing_slicing)]

mod archive;
mod buffer;
mod check;
mod cursor;
mod error;
mod group;
mod inner;
mod keeper;
mod layout;
mod log;
mod mark;
mod options;
mod prepared;
mod reader;
mod recovery;
mod report;
mod retention;
mod segment;
mod space;
mod stats;
mod survey;
mod write_out;
mod writer;

pub use archive::{Archive, FinishedSegment};
pub use check::{repair, verify};
pub use error::{Damage, Fault, LogError, Poison};
pub use layout::{FORMAT_VERSION, RECORD_BYTES_MAX};
pub use log::{Log, Opened};
pub use options::{DurableHook, LogOptions, RecoveryMode};
pub use prepared::Prepared;
pub use reader::{LogReader, LogRecord};
pub use report::{Dropped, Finding, LogReport, RecoveryReport, SegmentReport, TornTail};
pub use retention::Hold;
pub use stats::{GROUP_BOUNDS, Histogram, LogStats, SYNC_BOUNDS_US};
