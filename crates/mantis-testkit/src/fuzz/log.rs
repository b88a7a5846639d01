//! The commit log: damaged segment and mark files. Opening and reading must not panic, must never
//! give a record that was not written, and must not hide a single damaged byte.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mantis_env::{Env, OpenMode};
use mantis_log::{Log, LogError, LogOptions, Prepared};
use mantis_types::Seq;

use super::Cutter;
use crate::dice::Dice;

const DIR: &str = "/log";
const RECORDS: u64 = 60;
const EDITS_MAX: usize = 8;

/// The files of a log that was synced and then killed.
struct Template {
    files: Vec<(PathBuf, Vec<u8>)>,
}

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 8 << 10,
        reserve_bytes: 0,
        min_free_bytes: 0,
        ..LogOptions::default()
    }
}

fn body(seq: u64) -> Vec<u8> {
    let mut dice = Dice::at(5, &[seq]);
    let mut body = vec![0; dice.index(600)];
    dice.fill(&mut body);
    body
}

fn write_template() -> Result<Template, LogError> {
    let env = Env::simulated(5);
    let log = Log::open(&env, Path::new(DIR), options())?.log;
    for seq in 1..=RECORDS {
        log.admit(1000)?;
        log.append(Seq::new(seq), &Prepared::new(&body(seq)))?;
        if seq % 7 == 0 || seq == RECORDS {
            log.sync(Seq::new(seq))?;
        }
    }
    env.simulation().expect("made as one").kill();
    let names = env
        .fs()
        .read_dir(Path::new(DIR))
        .expect("the log's directory is there");
    let files = names.into_iter().map(|path| {
        let file = env.fs().open(&path, OpenMode::Read).expect("a listed file");
        let len = usize::try_from(file.len().expect("a length")).expect("small files");
        let mut bytes = vec![0; len];
        file.read_at(0, &mut bytes).expect("a read");
        (path, bytes)
    });
    Ok(Template {
        files: files.filter(|(_, bytes)| !bytes.is_empty()).collect(),
    })
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| write_template().expect("a log on a whole disk"))
}

/// Mode 0: edits (file, offset, xor). Mode 1: one file replaced by the rest of the input.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = (0..20_u8)
        .map(|n| vec![0, n, n, n * 12, 1 << (n % 8)])
        .collect();
    let files = template().files.iter();
    seeds.extend(files.enumerate().map(|(number, (_, bytes))| {
        let number = u8::try_from(number).unwrap_or(0);
        [
            &[1, number][..],
            bytes.get(..bytes.len().min(6000)).unwrap_or_default(),
        ]
        .concat()
    }));
    seeds
}

pub(super) fn check(input: &[u8]) {
    let mut cutter = Cutter(input);
    let mut files = template().files.clone();
    let mut edited = 0;
    if cutter.byte() % 2 == 0 {
        while !cutter.is_empty() && edited < EDITS_MAX {
            edited += usize::from(edit(&mut files, &mut cutter));
        }
    } else {
        let place = usize::from(cutter.byte()) % files.len();
        if let Some((_, bytes)) = files.get_mut(place) {
            *bytes = cutter.0.to_vec();
        }
        edited = EDITS_MAX;
    }
    let Ok(read) = read_log(&files) else { return };
    for (place, found) in read.iter().enumerate() {
        let seq = u64::try_from(place).expect("small") + 1;
        assert!(
            *found == (Seq::new(seq), body(seq)),
            "record {seq} was not written so"
        );
    }
    // One damaged byte is found, or does no harm.
    assert!(
        edited > 1 || read.len() == body_count(),
        "{} of {RECORDS} records",
        read.len()
    );
}

fn body_count() -> usize {
    usize::try_from(RECORDS).expect("small")
}

fn edit(files: &mut [(PathBuf, Vec<u8>)], cutter: &mut Cutter<'_>) -> bool {
    let place = usize::from(cutter.byte()) % files.len();
    let offset = usize::from(cutter.byte()) << 8 | usize::from(cutter.byte());
    let flip = cutter.byte();
    let Some((_, bytes)) = files.get_mut(place) else {
        return false;
    };
    let len = bytes.len();
    match bytes.get_mut(offset % len) {
        Some(byte) if flip != 0 => {
            *byte ^= flip;
            true
        }
        _ => false,
    }
}

fn read_log(files: &[(PathBuf, Vec<u8>)]) -> Result<Vec<(Seq, Vec<u8>)>, LogError> {
    let env = Env::simulated(6);
    env.fs().create_dir(Path::new(DIR)).expect("an empty disk");
    for (path, bytes) in files {
        let file = env
            .fs()
            .open(path, OpenMode::CreateNew)
            .expect("an empty disk");
        file.write_at(0, bytes).expect("a whole disk");
        file.sync_all().expect("a whole disk");
    }
    env.fs().sync_dir(Path::new(DIR)).expect("a whole disk");
    let log = Log::open(
        &env,
        Path::new(DIR),
        LogOptions {
            create: false,
            ..options()
        },
    )?
    .log;
    log.read(Seq::new(1))?
        .map(|record| record.map(|r| (r.seq, r.body)))
        .collect()
}
