//! Background tasks: woken, stopped, joined; in simulation in an order that the seed gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use mantis_env::{Env, Step, Task};
use parking_lot::{Condvar, Mutex};

#[derive(Default)]
struct Counter {
    /// Guards the count of steps; taken alone.
    steps: Mutex<u64>,
    stepped: Condvar,
    dropped: AtomicU64,
}

impl Counter {
    fn wait_for(&self, steps: u64) {
        self.stepped
            .wait_while(&mut self.steps.lock(), |done| *done < steps);
    }
}

struct Counting(Arc<Counter>, Step);

impl Task for Counting {
    fn step(&mut self) -> Step {
        *self.0.steps.lock() += 1;
        self.0.stepped.notify_all();
        self.1
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_real_task_steps_once_then_when_woken_and_is_gone_after_the_join() {
    let counter = Arc::new(Counter::default());
    let task = Counting(Arc::clone(&counter), Step::Idle);
    let handle = Env::real().tasks().spawn("idle", Box::new(task));
    counter.wait_for(1);
    handle.wake();
    counter.wait_for(2);
    handle.stop_and_join();
    assert_eq!(
        (*counter.steps.lock(), counter.dropped.load(SeqCst)),
        (2, 1)
    );
}

#[test]
fn a_real_task_comes_back_after_its_time() {
    let counter = Arc::new(Counter::default());
    let task = Counting(Arc::clone(&counter), Step::Wait(Duration::from_millis(1)));
    let handle = Env::real().tasks().spawn("timed", Box::new(task));
    counter.wait_for(3);
    drop(handle);
    assert_eq!(counter.dropped.load(SeqCst), 1);
}

#[test]
fn a_panic_of_a_task_reaches_who_joins_it() {
    struct Panics(Arc<Counter>);
    impl Task for Panics {
        fn step(&mut self) -> Step {
            *self.0.steps.lock() += 1;
            self.0.stepped.notify_all();
            panic!("of the task");
        }
    }
    let counter = Arc::new(Counter::default());
    let task = Panics(Arc::clone(&counter));
    let handle = Env::real().tasks().spawn("panics", Box::new(task));
    counter.wait_for(1);
    let joined = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handle.stop_and_join()));
    assert_eq!(joined.unwrap_err().downcast_ref(), Some(&"of the task"));
}

#[test]
fn simulated_tasks_step_only_when_told_and_when_their_time_has_come() {
    let env = Env::simulated(5);
    let simulation = env.simulation().unwrap();
    let (timed, idle) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
    let steps = |c: &Counter| *c.steps.lock();
    let task = Counting(Arc::clone(&timed), Step::Wait(Duration::from_millis(10)));
    let _timed = env.tasks().spawn("timed", Box::new(task));
    let waiting = env
        .tasks()
        .spawn("idle", Box::new(Counting(Arc::clone(&idle), Step::Idle)));
    assert_eq!((steps(&timed), steps(&idle)), (0, 0));
    simulation.run_tasks(100);
    assert_eq!((steps(&timed), steps(&idle)), (1, 1));
    simulation.advance(Duration::from_millis(35), 100);
    assert_eq!((steps(&timed), steps(&idle)), (4, 1));
    assert_eq!(env.clock().monotonic(), Duration::from_millis(35));
    waiting.wake();
    simulation.run_tasks(100);
    assert_eq!((steps(&timed), steps(&idle)), (4, 2));
    waiting.stop_and_join();
    assert_eq!(idle.dropped.load(SeqCst), 1);
    simulation.crash();
    assert_eq!(timed.dropped.load(SeqCst), 1);
    assert_eq!(simulation.advance(Duration::from_secs(1), 100), 0);
}

#[test]
fn the_order_of_simulated_tasks_follows_from_the_seed() {
    struct Named(u8, Arc<Mutex<Vec<u8>>>);
    impl Task for Named {
        fn step(&mut self) -> Step {
            self.1.lock().push(self.0);
            Step::Again
        }
    }
    let order = |seed| {
        let env = Env::simulated(seed);
        let log = Arc::new(Mutex::new(Vec::new()));
        let spawn = |n| {
            env.tasks()
                .spawn("named", Box::new(Named(n, Arc::clone(&log))))
        };
        let _handles: Vec<_> = (0..3).map(spawn).collect();
        assert_eq!(env.simulation().unwrap().run_tasks(30), 30);
        log.lock().clone()
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}
