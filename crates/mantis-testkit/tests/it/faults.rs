//! Faults below the store in process: every kind of file operation of the log fails at its Nth call,
//! while a store is made, written to and opened again.
//!
//! (The tables do their own I/O; strace reaches those, see `sweep`.)

use std::path::Path;
use std::sync::Arc;

use mantis_env::{Env, Fault, FaultPlan, FaultyFs, Fs, OpKind};
use mantis_testkit::rig::heard::{Heard, Stop};
use mantis_testkit::rig::liar::{Lie, LyingFs, OneFailure};
use mantis_testkit::rig::oracle::{Contents, Found, Oracle};
use mantis_testkit::rig::script::Script;
use mantis_testkit::rig::store::MantisStore;
use mantis_testkit::rig::target::{Refusal, Target};
use mantis_testkit::rig::wire::{Ack, Line};

use crate::setting;

const STEPS_BEFORE: u64 = 15;
const STEPS_AFTER: u64 = 40;

fn script() -> Script {
    Script {
        writers: 1,
        keys: 30,
        large_percent: 3,
        ..Script::mixed(3)
    }
}

fn open(dir: &Path, fs: &Arc<dyn Fs>) -> Result<MantisStore, Refusal> {
    MantisStore::over(setting::open(dir, fs))
}

fn real() -> Arc<dyn Fs> {
    Arc::clone(Env::real().fs())
}

fn contents(store: &MantisStore) -> Contents {
    let mut contents = Contents::new();
    let read = store.read_all(&mut |key, seq, digest| {
        contents.insert(key.to_vec(), Found { seq, digest });
    });
    read.expect("all can be read");
    contents
}

/// What one faulty life of a store showed.
#[derive(Debug, Default)]
struct Life {
    findings: Vec<String>,
    fired: u64,
    refused: u64,
    codes: Vec<String>,
}

/// Writes, breaks the disk by `fault`, writes on, and compares after opening it on a whole disk.
fn live(fault: impl FnOnce(&FaultPlan), lie: Option<Lie>) -> Life {
    let dir = setting::dir();
    let at = dir.path().join("store");
    let plan = FaultPlan::new();
    let mut fs: Arc<dyn Fs> = Arc::new(FaultyFs::new(real(), plan.clone()));
    if let Some(lie) = lie {
        fs = Arc::new(LyingFs { inner: fs, lie });
    }
    let store = open(&at, &fs).expect("a whole disk at first");
    let (script, mut heard, mut life) = (script(), Heard::default(), Life::default());
    let mut fault = Some(fault);
    let mut is_final = false;
    for index in 0..STEPS_BEFORE + STEPS_AFTER {
        if index == STEPS_BEFORE
            && let Some(fault) = fault.take()
        {
            fault(&plan);
        }
        let result = store.run(&script.step(0, 0, index), script.class(0));
        let line = match result {
            Ok(done) => {
                if is_final && done.seq > 0 {
                    life.findings
                        .push(format!("step {index} was acknowledged after the end"));
                }
                Line::Ack(Ack {
                    writer: 0,
                    index,
                    seq: done.seq,
                    answer: done.answer,
                })
            }
            Err(refusal) => {
                life.refused += 1;
                life.codes.push(refusal.code.clone());
                let unknown = refusal.unknown && !is_final;
                is_final |= refusal.is_final;
                if let Err(refusal) = store.get(b"w00/k00001") {
                    life.findings
                        .push(format!("a read failed, too: {}", refusal.text));
                }
                Line::Refused {
                    writer: 0,
                    index,
                    unknown,
                    code: refusal.code,
                }
            }
        };
        heard.take(line);
    }
    life.fired = plan.fired();
    drop(store);
    let store = open(&at, &real()).expect("it opens on a whole disk");
    let promise = heard.promise(&script, Stop::Power);
    let verdict = Oracle::new(script).judge(&heard, &promise, &contents(&store));
    life.findings.extend(verdict.findings);
    life.codes.dedup();
    life
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_any_more() {
    let mut met = 0;
    for nth in (1..50).step_by(3) {
        let failure = OneFailure::default();
        let life = live(|_| failure.arm(nth), Some(Lie::Fail(failure.clone())));
        assert!(life.findings.is_empty(), "sync {nth}: {life:?}");
        if failure.was_met() {
            assert!(life.refused > 0, "sync {nth} failed unnoticed: {life:?}");
            met += 1;
        }
    }
    assert!(met >= 5, "only {met} failures were met");
}

#[test]
fn writes_that_fail_lose_nothing() {
    let (mut fired, mut noticed) = (0, 0);
    for nth in 1..=6 {
        for fault in [Fault::Eio, Fault::ShortThenEio(7), Fault::Enospc] {
            for part in [".seg", ""] {
                let kind = OpKind::Write;
                let life = live(|plan| plan.fail_from_at(part, kind, nth, fault), None);
                let name = format!("{part} {nth} {fault:?}");
                assert!(life.findings.is_empty(), "{name}: {life:?}");
                fired += u64::from(life.fired > 0);
                noticed += u64::from(life.refused > 0);
            }
        }
    }
    println!("failing writes: {fired} runs met them, {noticed} refused something");
    assert!(fired >= 30 && noticed >= 30, "{fired}, {noticed}");
}

#[test]
fn a_swallowed_sync_error_is_caught() {
    let life = live(
        |plan| plan.fail(OpKind::Sync, 3, Fault::Eio),
        Some(Lie::Swallow),
    );
    assert!(
        life.fired > 0 && life.refused == 0,
        "the check above would not see it: {life:?}"
    );
}

#[test]
fn a_full_disk_refuses_without_effect_and_recovers() {
    for bytes in [0, 1000, 100_000] {
        let dir = setting::dir();
        let at = dir.path().join("store");
        let plan = FaultPlan::new();
        let store = open(
            &at,
            &(Arc::new(FaultyFs::new(real(), plan.clone())) as Arc<dyn Fs>),
        );
        let store = store.expect("a whole disk at first");
        plan.limit_growth(Some(bytes));
        let script = Script {
            large_percent: 30,
            ..script()
        };
        let (mut heard, mut refused, mut after) = (Heard::default(), 0, 0);
        for index in 0..600 {
            let line = match store.run(&script.step(0, 0, index), script.class(0)) {
                Ok(done) => {
                    after += u64::from(refused > 0);
                    Line::Ack(Ack {
                        writer: 0,
                        index,
                        seq: done.seq,
                        answer: done.answer,
                    })
                }
                Err(refusal) => {
                    assert_eq!(refusal.code, "disk_full", "{}", refusal.text);
                    refused += 1;
                    heal_after(&plan, refused);
                    Line::Refused {
                        writer: 0,
                        index,
                        unknown: false,
                        code: refusal.code,
                    }
                }
            };
            heard.take(line);
        }
        assert!(
            refused >= 20,
            "the disk was never full with {bytes} more bytes"
        );
        assert!(
            after > 100,
            "only {after} steps after the disk was full with {bytes}"
        );
        drop(store);
        let store = open(&at, &real()).expect("it opens");
        let promise = heard.promise(&script, Stop::Power);
        let verdict = Oracle::new(script).judge(&heard, &promise, &contents(&store));
        assert!(verdict.is_right(), "{bytes}: {verdict:?}");
    }
}

fn heal_after(plan: &FaultPlan, refused: u64) {
    if refused == 20 {
        plan.heal();
    }
}

fn write_some(store: &MantisStore) {
    let script = script();
    for index in 0..10 {
        let step = script.step(0, 0, index);
        store.run(&step, script.class(0)).expect("it writes");
    }
}

/// Creation and opening fail at every operation, and succeed when the disk is whole again.
#[test]
fn a_store_whose_opening_failed_opens_on_a_whole_disk() {
    let mut fired = 0;
    for kind in OpKind::ALL {
        for nth in 1.. {
            let dir = setting::dir();
            let at = dir.path().join("store");
            let existing = nth % 2 == 0;
            if existing {
                let store = open(&at, &real()).expect("a whole disk");
                write_some(&store);
            }
            let plan = FaultPlan::new();
            plan.fail(kind, nth / 2 + 1, Fault::Eio);
            let faulty: Arc<dyn Fs> = Arc::new(FaultyFs::new(real(), plan.clone()));
            let opened = open(&at, &faulty);
            let hit = plan.fired() > 0;
            drop(opened);
            let store = open(&at, &real());
            let store = store.unwrap_or_else(|e| panic!("{kind:?} {nth}: {}: {}", e.code, e.text));
            assert_eq!(contents(&store).is_empty(), !existing, "{kind:?} {nth}");
            fired += u64::from(hit);
            if !hit && existing {
                break;
            }
        }
    }
    println!("opening failed at {fired} points");
    assert!(fired > 15, "{fired}");
}
