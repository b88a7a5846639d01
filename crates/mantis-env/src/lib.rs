//! Clock, randomness, files and tasks, real and simulated.
//!
//! Everything that the rest of the store does to the outside world below the network goes through
//! an [`Env`]. In production it is [`Env::real`]. A test takes [`Env::simulated`]: one seed drives
//! clock, randomness, disk and task order, so that the same seed gives the same run, and
//! [`Simulation::crash`] takes away by seed what was not synced. [`FaultyFs`] makes any file system,
//! real or simulated, fail where a [`FaultPlan`] says.
//!
//! ```
//! use std::path::Path;
//!
//! use mantis_env::{Env, OpenMode};
//!
//! let env = Env::simulated(42);
//! let dir = Path::new("/store");
//! env.fs().create_dir(dir)?;
//! let file = env.fs().open(&dir.join("a"), OpenMode::CreateNew)?;
//! file.write_at(0, b"kept")?;
//! file.sync_all()?;
//! env.fs().sync_dir(dir)?;
//! env.simulation().expect("made as one").crash();
//!
//! let file = env.fs().open(&dir.join("a"), OpenMode::Read)?;
//! let mut bytes = [0; 4];
//! file.read_at(0, &mut bytes)?;
//! assert_eq!(&bytes, b"kept");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! It is not: an asynchronous runtime, nor a place for sockets. Its limits: the simulated disk keeps
//! files in memory and names in Unicode; a simulated task runs only when the test says so.

mod bell;
mod clock;
mod env;
mod fault;
mod fs;
mod rng;
mod simulation;
mod tasks;

pub use bell::Bell;
pub use clock::Clock;
pub use env::Env;
pub use fault::{Fault, FaultPlan, FaultyFs, OpKind};
pub use fs::{File, Fs, Lock, OpenMode};
pub use rng::{Rng, SeededRng};
pub use simulation::Simulation;
pub use tasks::{Step, Task, TaskHandle, Tasks, Waker};
