//! Background tasks: what one is, how it is woken and stopped, and the threads that run real ones.

use std::fmt::Debug;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// What a task wants after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To be stepped again at once.
    Again,
    /// To be stepped after this long, or when it is woken.
    Wait(Duration),
    /// To be stepped when it is woken.
    Idle,
    /// Never to be stepped again.
    Done,
}

/// Work in the background, done in steps. Between two steps it can be stopped, so a step should be
/// short; a step may block.
pub trait Task: Send {
    /// Does some of the work.
    fn step(&mut self) -> Step;
}

/// Starts tasks.
pub trait Tasks: Debug + Send + Sync {
    /// Starts a task: on a thread of that name, or under the simulation's hand. The first step is
    /// made without being woken.
    fn spawn(&self, name: &str, task: Box<dyn Task>) -> TaskHandle;
}

/// Owns a running task. Dropping it stops the task and waits for its last step.
#[derive(Debug)]
pub struct TaskHandle {
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

/// Wakes a task; cheap to clone, and harmless after the task is gone.
#[derive(Clone, Debug)]
pub struct Waker {
    pub(crate) control: Arc<Control>,
}

impl Waker {
    /// Has the task stepped soon. Wakes are not counted: two before a step are one.
    pub fn wake(&self) {
        self.control.update(|state| state.woken = true);
    }
}

impl TaskHandle {
    pub(crate) fn over(control: Arc<Control>, thread: Option<JoinHandle<()>>) -> Self {
        Self {
            waker: Waker { control },
            thread,
        }
    }

    /// Has the task stepped soon.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Something that can wake the task and does not own it.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Stops the task and waits for the step under way. The task itself is dropped by then. From
    /// within the task it only asks for the stop.
    ///
    /// # Panics
    /// When the task has panicked, with its panic.
    pub fn stop_and_join(mut self) {
        if let Err(panic) = self.finish() {
            std::panic::resume_unwind(panic);
        }
    }

    fn finish(&mut self) -> std::thread::Result<()> {
        self.waker.control.update(|state| state.stopped = true);
        self.waker.control.drop_parked_task();
        match self.thread.take() {
            Some(thread) if thread.thread().id() != std::thread::current().id() => thread.join(),
            _ => Ok(()),
        }
    }
}

impl Drop for TaskHandle {
    fn drop(&mut self) {
        // A panic of the task has already been printed by the panic hook of its thread.
        drop(self.finish());
    }
}

/// What a task and those who hold it share.
pub(crate) struct Control {
    pub(crate) name: String,
    /// Guards the flags. Taken alone, for some instructions.
    state: Mutex<Flags>,
    changed: Condvar,
    /// Guards the task itself while no thread of its own holds it: a simulated one between its
    /// steps. Taken alone; held for the length of a step.
    pub(crate) parked: Mutex<Option<Box<dyn Task>>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) woken: bool,
    pub(crate) stopped: bool,
}

impl Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("name", &self.name)
            .field("flags", &self.flags())
            .finish()
    }
}

impl Control {
    pub(crate) fn new(name: &str, parked: Option<Box<dyn Task>>) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            state: Mutex::new(Flags::default()),
            changed: Condvar::new(),
            parked: Mutex::new(parked),
        })
    }

    pub(crate) fn flags(&self) -> Flags {
        *self.state.lock()
    }

    pub(crate) fn take_woken(&self) -> bool {
        std::mem::take(&mut self.state.lock().woken)
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Flags)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }

    /// Drops a simulated task. While it is being stepped the lock is taken: then the step's end
    /// does it.
    fn drop_parked_task(&self) {
        let task = self.parked.try_lock().and_then(|mut parked| parked.take());
        drop(task);
    }

    /// Waits until woken or stopped, at most `limit`; true when the task goes on.
    fn wait(&self, limit: Option<Duration>) -> bool {
        let mut state = self.state.lock();
        if !state.woken && !state.stopped {
            match limit {
                Some(limit) => drop(self.changed.wait_while_for(
                    &mut state,
                    |s| !s.woken && !s.stopped,
                    limit,
                )),
                None => self
                    .changed
                    .wait_while(&mut state, |s| !s.woken && !s.stopped),
            }
        }
        state.woken = false;
        !state.stopped
    }
}

/// One thread for each task.
#[derive(Debug)]
pub(crate) struct RealTasks;

impl Tasks for RealTasks {
    fn spawn(&self, name: &str, mut task: Box<dyn Task>) -> TaskHandle {
        let control = Control::new(name, None);
        let shared = Arc::clone(&control);
        let run = move || {
            let mut goes_on = !shared.flags().stopped;
            while goes_on {
                goes_on = match task.step() {
                    Step::Again => !shared.flags().stopped,
                    Step::Wait(span) => shared.wait(Some(span)),
                    Step::Idle => shared.wait(None),
                    Step::Done => false,
                };
            }
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .expect("a process that cannot start a thread cannot do its work");
        TaskHandle::over(control, Some(thread))
    }
}
