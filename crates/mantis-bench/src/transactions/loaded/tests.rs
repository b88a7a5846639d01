//! All stores do the same loaded work, and a store that misses a write is found out.

use crate::keys::{Values, Zipf};
use crate::store::Memory;
use crate::transactions::store::{Outcome, Transactional, Txn};

use super::*;

const KEYS: usize = 200;

fn open(column: Column, dir: &TempDir) -> Box<dyn Store> {
    let memory = Memory::from_parts(8 << 20, 4 << 20);
    column
        .open(dir.path(), &memory, Durability::Interval)
        .unwrap()
}

fn present() -> impl Iterator<Item = Column> {
    Column::ALL.into_iter().filter(|c| c.missing().is_none())
}

/// The same draws leave the same keys and values on every store, so that the same work is measured.
#[test]
fn every_column_does_the_same_work() {
    let (values, zipf) = (Values::new(40), Zipf::new(KEYS as u64));
    for (column, mix) in present().flat_map(|c| [(c, Mix::TwoAndTwo), (c, Mix::YcsbA)]) {
        let dir = tempfile::tempdir().unwrap();
        let store = open(column, &dir);
        let mut model = Model::new(KEYS, &values, &zipf);
        for number in 0..KEYS as u64 {
            let value = model.value(number, 0);
            store.load(&scattered(number), value).unwrap();
        }
        model.check(&*store).unwrap();
        store.merge_tables().unwrap();
        for round in 1..=2 {
            let figure = measure(&*store, mix, 2, 300, (&model, round)).unwrap();
            assert_eq!(figure.operations, 300, "{column}");
            model.replay(mix, 2, 300, round).unwrap();
            model.check(&*store).expect("the replayed draws");
        }
    }
}

#[test]
fn a_store_that_misses_a_write_is_found_out() {
    let (values, zipf) = (Values::new(40), Zipf::new(KEYS as u64));
    let dir = tempfile::tempdir().unwrap();
    let store = open(Column::Snapshot, &dir);
    let mut model = Model::new(KEYS, &values, &zipf);
    model.replay(Mix::OnePut, 1, KEYS as u64, 1).unwrap();
    measure(&*store, Mix::OnePut, 1, KEYS as u64 - 1, (&model, 1)).unwrap();
    assert!(model.check(&*store).is_err());
    measure(&*store, Mix::OnePut, 1, KEYS as u64, (&model, 1)).unwrap();
    model.check(&*store).unwrap();
    model.replay(Mix::TwoAndTwo, 1, 1, 2).unwrap();
    assert!(model.check(&*store).is_err());
}

/// A transaction that is overtaken: by a write of what it writes, and of what it reads.
fn overtaken<S: Transactional>(store: &S, written: bool) -> Outcome {
    let [read, write] = [scattered(1), scattered(2)];
    store.put(&read, b"before").unwrap();
    store.put(&write, b"before").unwrap();
    let mut txn = store.begin().unwrap();
    txn.get(&read).unwrap();
    txn.put(&write, b"late").unwrap();
    let mut other = store.begin().unwrap();
    let key = if written { write } else { read };
    other.put(&key, b"early").unwrap();
    assert_eq!(other.commit().unwrap(), Outcome::Committed);
    let outcome = txn.commit().unwrap();
    let holds = if outcome == Outcome::Conflict && !written {
        b"before".to_vec()
    } else if outcome == Outcome::Conflict {
        b"early".to_vec()
    } else {
        b"late".to_vec()
    };
    assert_eq!(store.value(&write).unwrap(), Some(holds));
    outcome
}

fn check_overtaken<S: Transactional>(store: &S, column: Column) {
    let refused = |yes| {
        if yes {
            Outcome::Conflict
        } else {
            Outcome::Committed
        }
    };
    let of_write = refused(column.watches_writes());
    assert_eq!(overtaken(store, true), of_write, "{column}");
    let of_read = refused(column.watches_reads());
    assert_eq!(overtaken(store, false), of_read, "{column}");
}

#[test]
fn a_transaction_is_refused_for_what_its_column_says() {
    use crate::transactions::fjall_txns::FjallTxns;
    use crate::transactions::mantis_txns::{How, MantisTxns};
    use mantis_types::Isolation;

    let memory = Memory::from_parts(8 << 20, 4 << 20);
    let dirs: Vec<_> = (0..6).map(|_| tempfile::tempdir().unwrap()).collect();
    let ways = [
        (Column::Plain, How::Plain),
        (Column::Snapshot, How::Txn(Isolation::Snapshot)),
        (Column::Serializable, How::Txn(Isolation::Serializable)),
    ];
    for ((column, how), dir) in ways.into_iter().zip(&dirs) {
        let store = MantisTxns::open(dir.path(), &memory, how, Durability::None).unwrap();
        check_overtaken(&store, column);
    }
    let fjall = FjallTxns::open(dirs[3].path(), &memory).unwrap();
    check_overtaken(&fjall, Column::Fjall);
    #[cfg(feature = "rocksdb")]
    for (column, dir) in [Column::Rocks, Column::RocksForUpdate]
        .into_iter()
        .zip(&dirs[4..])
    {
        use crate::transactions::rocks_txns::RocksTxns;
        let for_update = column.watches_reads();
        let store = RocksTxns::open(dir.path(), &memory, for_update).unwrap();
        check_overtaken(&store, column);
    }
}
