//! Steps simulated tasks in an order drawn from the seed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{SimClock, Trace, fnv1a};
use crate::tasks::{Control, TaskHandle};
use crate::{Clock, SeededRng, Step, Task, Tasks};

pub(super) struct Schedule {
    rng: SeededRng,
    clock: Arc<SimClock>,
    trace: Arc<Trace>,
    /// Guards the list of tasks. Not held during a step, so that a task may start others.
    entries: Mutex<Vec<Entry>>,
}

struct Entry {
    control: Arc<Control>,
    due: Due,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Now,
    At(Duration),
    WhenWoken,
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries.lock();
        f.debug_list()
            .entries(entries.iter().map(|e| &e.control.name))
            .finish()
    }
}

impl Tasks for Schedule {
    fn spawn(&self, name: &str, task: Box<dyn Task>) -> TaskHandle {
        let control = Control::new(name, Some(task));
        let entry = Entry {
            control: Arc::clone(&control),
            due: Due::Now,
        };
        self.entries.lock().push(entry);
        TaskHandle::over(control, None)
    }
}

impl Schedule {
    pub(super) fn new(seed: u64, clock: Arc<SimClock>, trace: Arc<Trace>) -> Self {
        Self {
            rng: SeededRng::new(seed),
            clock,
            trace,
            entries: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn run(&self, steps_max: usize) -> usize {
        let mut steps = 0;
        while steps < steps_max {
            let Some(control) = self.draw_ready() else {
                break;
            };
            self.step(&control);
            steps += 1;
        }
        steps
    }

    pub(super) fn advance(&self, span: Duration, steps_max: usize) -> usize {
        let end = self.clock.monotonic() + span;
        let mut steps = self.run(steps_max);
        while let Some(due) = self.next_due().filter(|due| *due <= end) {
            if steps >= steps_max {
                break;
            }
            self.clock.sleep(due.saturating_sub(self.clock.monotonic()));
            steps += self.run(steps_max - steps);
        }
        self.clock.sleep(end.saturating_sub(self.clock.monotonic()));
        steps
    }

    pub(super) fn drop_all(&self) {
        let entries = std::mem::take(&mut *self.entries.lock());
        for entry in entries {
            drop(entry.control.parked.lock().take());
        }
    }

    fn next_due(&self) -> Option<Duration> {
        let entries = self.entries.lock();
        let times = entries.iter().filter(|e| !e.control.flags().stopped);
        times
            .filter_map(|e| {
                if let Due::At(at) = e.due {
                    Some(at)
                } else {
                    None
                }
            })
            .min()
    }

    fn draw_ready(&self) -> Option<Arc<Control>> {
        let now = self.clock.monotonic();
        let mut entries = self.entries.lock();
        entries.retain(|e| !e.control.flags().stopped);
        let ready = |e: &&Entry| match e.due {
            Due::Now => true,
            Due::At(at) => at <= now || e.control.flags().woken,
            Due::WhenWoken => e.control.flags().woken,
        };
        let count = entries.iter().filter(ready).count();
        let drawn = usize::try_from(self.rng.below(count as u64)).unwrap_or_default();
        entries
            .iter()
            .filter(ready)
            .nth(drawn)
            .map(|e| Arc::clone(&e.control))
    }

    fn step(&self, control: &Arc<Control>) {
        self.trace
            .note("step", &[fnv1a(control.name.as_bytes())], &[]);
        control.take_woken();
        let Some(mut task) = control.parked.lock().take() else {
            self.entries
                .lock()
                .retain(|e| !Arc::ptr_eq(&e.control, control));
            return;
        };
        let step = task.step();
        let mut entries = self.entries.lock();
        let stopped = control.flags().stopped || step == Step::Done;
        let entry = entries
            .iter()
            .position(|e| Arc::ptr_eq(&e.control, control));
        match (entry, stopped) {
            (Some(index), false) => {
                entries[index].due = match step {
                    Step::Again => Due::Now,
                    Step::Wait(span) => Due::At(self.clock.monotonic() + span),
                    Step::Idle | Step::Done => Due::WhenWoken,
                };
                *control.parked.lock() = Some(task);
            }
            (Some(index), true) => drop(entries.remove(index)),
            (None, _) => {}
        }
    }
}
