//! A log that an earlier program wrote is read for ever: one stored for each format.
//!
//! `MANTIS_WRITE_FIXTURE=1` writes the one of the current format anew; to be done once, when a
//! format is made.

use std::path::Path;

use mantis_env::Env;
use mantis_log::{FORMAT_VERSION, verify};
use mantis_types::Seq;

use crate::fixture::{check_all, dir, machine, open, put, save, small};

const SEGMENT: &[u8] = include_bytes!("../fixtures/format-1/0000000001.seg");
const MARK: &[u8] = include_bytes!("../fixtures/format-1/mark");

#[test]
fn a_log_of_format_1_reads_as_it_was_written() {
    if std::env::var_os("MANTIS_WRITE_FIXTURE").is_some() {
        write();
    }
    assert_eq!(FORMAT_VERSION, 1);
    let name = |name| dir().join(name);
    let files = vec![
        (name("0000000001.seg"), SEGMENT.to_vec()),
        (name("mark"), MARK.to_vec()),
    ];
    let env = machine(&files);
    let report = verify(&env, dir(), Seq::new(1)).unwrap();
    assert!(report.is_sound() && report.findings.is_empty());
    let opened = open(&env, small()).unwrap();
    assert_eq!(check_all(&opened.log), 20);
    put(&opened.log, 21, 22);
}

fn write() {
    let env = Env::simulated(2026);
    let log = open(&env, small()).unwrap().log;
    put(&log, 1, 20);
    log.close().unwrap();
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1");
    for (path, bytes) in save(&env) {
        std::fs::write(target.join(path.file_name().unwrap()), bytes).unwrap();
    }
}
