//! Round trips of the log's bytes, and every single-bit flip of them.

use super::*;

fn record() -> RecordHeader {
    RecordHeader {
        kind: Kind::Commit,
        len: 12,
        seq: Seq::new(1000),
        durable: Seq::new(998),
        body_hash: 0x1122,
        prev_sum: 0x3344,
    }
}

fn segment() -> SegmentHeader {
    let first_seq = Seq::new(77);
    SegmentHeader {
        number: 5,
        salt: 6,
        first_seq,
        chain: 8,
        capacity: 1 << 20,
    }
}

fn mark() -> Mark {
    Mark {
        generation: 3,
        segment: 5,
        offset: 4096,
        seq: Seq::new(9),
        clean: true,
    }
}

#[test]
fn everything_reads_back_as_it_was_written() {
    let (bytes, sum) = record().encode(42);
    assert_eq!(RecordHeader::decode(&bytes, 42), Some((record(), sum)));
    assert_eq!(SegmentHeader::decode(&segment().encode()), Ok(segment()));
    assert_eq!(Mark::decode(&mark().encode()), Some(mark()));
}

#[test]
fn another_salt_makes_a_record_invalid() {
    let (bytes, _) = record().encode(42);
    assert_eq!(RecordHeader::decode(&bytes, 43), None);
}

#[test]
fn a_distance_too_long_to_write_says_nothing() {
    let far = RecordHeader {
        seq: Seq::new(1 << 40),
        durable: Seq::new(1),
        ..record()
    };
    let (decoded, _) = RecordHeader::decode(&far.encode(1).0, 1).unwrap();
    assert_eq!(decoded.durable, Seq::ZERO);
}

#[test]
fn every_flip_of_a_bit_shows() {
    for bit in 0..RECORD_HEADER * 8 {
        let mut bytes = record().encode(42).0;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(RecordHeader::decode(&bytes, 42), None, "record bit {bit}");
    }
    for bit in 0..BLOCK_LEN * 8 {
        let mut bytes = segment().encode();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            SegmentHeader::decode(&bytes),
            Err(BadBlock::Damaged),
            "header bit {bit}"
        );
    }
    for bit in 0..SLOT_BYTES * 8 {
        let mut bytes = mark().encode();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Mark::decode(&bytes), None, "mark bit {bit}");
    }
}

#[test]
fn zeros_are_nothing() {
    assert_eq!(RecordHeader::decode(&[0; RECORD_HEADER], 0), None);
    assert_eq!(Mark::decode(&[0; SLOT_BYTES]), None);
    assert_eq!(
        SegmentHeader::decode(&[0; BLOCK_LEN]),
        Err(BadBlock::Damaged)
    );
}

#[test]
fn a_later_version_is_named() {
    let mut bytes = segment().encode();
    bytes[8] = 2;
    let sum = xxh3_64(&bytes[..BLOCK_SUM]).to_le_bytes();
    bytes[BLOCK_SUM..].copy_from_slice(&sum);
    assert_eq!(SegmentHeader::decode(&bytes), Err(BadBlock::LaterFormat(2)));
}

#[test]
fn the_bytes_of_format_1_stay_as_they_are() {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let record_hex =
        "0c00000001020000e803000000000000221100000000000044330000000000008cef3931f5d098b6";
    assert_eq!(hex(&record().encode(42).0), record_hex);
    let mark_hex = "4d414e5449534d4b0300000000000000050000000000000000100000000000000900000000000000\
                    0100000000000000c379b70e9ff0ef42";
    assert_eq!(hex(&mark().encode()), mark_hex);
    let block = segment().encode();
    let used_hex = "4d414e5449534c47010000000000000005000000000000000600000000000000\
                    4d0000000000000008000000000000000000100000000000";
    assert_eq!(hex(&block[..56]), used_hex);
    assert_eq!(hex(&block[BLOCK_SUM..]), "d8a35fe8cf38e1f6");
}
