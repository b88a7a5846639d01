//! How much memory the buffer keeps.

use super::*;

const MAX: u64 = 1 << 20;

fn buffer() -> Buffer {
    let end = End {
        segment: 1,
        salt: 7,
        capacity: 1 << 40,
        offset: HEADER_BLOCK,
        seq: Seq::ZERO,
        sum: 0,
    };
    Buffer::new(end, MAX)
}

/// Appends until `bytes` wait, and takes them as a write does; answers the capacity that they had.
fn write(buffer: &mut Buffer, bytes: u64) -> usize {
    let body = vec![1; 1000];
    while buffer.bytes() < bytes {
        let seq = buffer.end().seq.next();
        let full = |_| unreachable!("the segment has room");
        buffer
            .append(seq, &Prepared::new(&body), Seq::ZERO, full)
            .expect("in order");
    }
    let chunks = buffer.take();
    let capacity = chunks.iter().map(|chunk| chunk.bytes.capacity()).sum();
    chunks
        .into_iter()
        .for_each(|chunk| buffer.reuse(chunk.bytes));
    capacity
}

/// What is kept while nothing waits.
fn kept(buffer: &Buffer) -> usize {
    buffer.reused.iter().map(Vec::capacity).sum()
}

#[test]
fn what_is_kept_for_reuse_is_bounded_by_the_option() {
    let mut buffer = buffer();
    let small = write(&mut buffer, MAX / 4);
    assert_eq!(kept(&buffer), small, "it is filled again");
    assert_eq!(write(&mut buffer, MAX / 4), small);
    let large = write(&mut buffer, 3 * MAX);
    assert!(large > 3 << 20);
    assert_eq!(kept(&buffer), 0, "more than the bound is given back");
    for _ in 0..5 {
        let taken: Vec<_> = (0..3).map(|_| Vec::with_capacity(1 << 20)).collect();
        taken.into_iter().for_each(|bytes| buffer.reuse(bytes));
        assert_eq!(kept(&buffer), 2 << 20, "two of them at most");
    }
}

#[test]
fn at_rest_only_little_is_kept() {
    let mut buffer = buffer();
    write(&mut buffer, MAX / 2);
    assert!(kept(&buffer) > 512 << 10);
    buffer.rest();
    assert_eq!(kept(&buffer), 0);
    let little = write(&mut buffer, 3000);
    buffer.rest();
    assert_eq!(
        kept(&buffer),
        little,
        "a lone commit finds its buffer again"
    );
}
