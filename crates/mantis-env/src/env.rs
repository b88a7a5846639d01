//! The environment: one cheap value that carries clock, randomness, files and tasks.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::RealClock;
use crate::fs::RealFs;
use crate::rng::RealRng;
use crate::tasks::RealTasks;
use crate::{Bell, Clock, Fs, Rng, Simulation, Tasks};

/// Clock, randomness, files and tasks of one store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Env {
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    fs: Arc<dyn Fs>,
    tasks: Arc<dyn Tasks>,
    simulation: Option<Simulation>,
}

impl Env {
    /// The machine itself.
    #[must_use]
    pub fn real() -> Self {
        Self {
            clock: Arc::new(RealClock::new()),
            rng: Arc::new(RealRng),
            fs: Arc::new(RealFs),
            tasks: Arc::new(RealTasks),
            simulation: None,
        }
    }

    /// A simulated machine: everything in it follows from `seed` and the calls that are made.
    #[must_use]
    pub fn simulated(seed: u64) -> Self {
        let simulation = Simulation::new(seed);
        Self {
            clock: simulation.clock(),
            rng: simulation.rng(),
            fs: simulation.fs(),
            tasks: simulation.tasks(),
            simulation: Some(simulation),
        }
    }

    /// The same environment over another file system, for example a [`crate::FaultyFs`].
    #[must_use]
    pub fn with_fs(&self, fs: Arc<dyn Fs>) -> Self {
        Self { fs, ..self.clone() }
    }

    /// Tells the time.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Draws random numbers.
    #[must_use]
    pub fn rng(&self) -> &Arc<dyn Rng> {
        &self.rng
    }

    /// Reads and writes files.
    #[must_use]
    pub fn fs(&self) -> &Arc<dyn Fs> {
        &self.fs
    }

    /// Runs background tasks.
    #[must_use]
    pub fn tasks(&self) -> &Arc<dyn Tasks> {
        &self.tasks
    }

    /// Sleeps until the bell has been rung since `count`, at most `timeout`; may also return early.
    /// In a simulation nobody else runs meanwhile: the time passes, and that is all.
    pub fn wait(&self, bell: &Bell, count: u32, timeout: Duration) {
        if self.simulation.is_none() {
            bell.wait_for(count, timeout);
        } else if bell.count() == count {
            self.clock.sleep(timeout);
        }
    }

    /// Sleeps until the bell has been rung since `count`; may also return early.
    ///
    /// # Panics
    /// In a simulation when it has not been rung: nobody else runs meanwhile who could.
    pub fn wait_for_ring(&self, bell: &Bell, count: u32) {
        assert!(
            self.simulation.is_none() || bell.count() != count,
            "a wait without an end in a simulation: poll there, or give it a deadline"
        );
        bell.wait(count);
    }

    /// The simulated machine's controls, if it is one.
    #[must_use]
    pub fn simulation(&self) -> Option<&Simulation> {
        self.simulation.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_that_has_been_does_not_let_a_simulation_wait() {
        let env = Env::simulated(1);
        let bell = Bell::default();
        let count = bell.count();
        bell.ring();
        env.wait_for_ring(&bell, count);
    }

    #[test]
    #[should_panic(expected = "a wait without an end")]
    fn a_simulation_refuses_to_wait_for_ever() {
        let bell = Bell::default();
        Env::simulated(1).wait_for_ring(&bell, bell.count());
    }
}
