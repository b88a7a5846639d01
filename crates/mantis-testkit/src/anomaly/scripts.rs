//! The scripts, after Adya's definitions and the tests that Kleppmann made of them (Hermitage).

use mantis_types::Isolation::{ReadCommitted, RepeatableRead, Serializable};

use super::script::Script;

/// Every script.
pub const SCRIPTS: [Script; 18] = [
    Script {
        name: "G0",
        about: "two transactions overwrite each other, each winning once",
        before: "x=10 y=20",
        steps: "1:x=11 2:x=12 2:y=22 1:y=21 1:commit 2:commit",
        shows: |played| {
            let after = (played.after("x"), played.after("y"));
            [(Some(11), Some(22)), (Some(12), Some(21))].contains(&after)
        },
        prevented_from: ReadCommitted,
    },
    Script {
        name: "G0 crosswise",
        about: "the same, and each would wait for the other",
        before: "x=10 y=20",
        steps: "1:x=11 2:y=22 1:y=21 2:x=12 1:commit 2:commit",
        shows: |played| {
            let after = (played.after("x"), played.after("y"));
            [(Some(11), Some(22)), (Some(12), Some(21))].contains(&after)
        },
        prevented_from: ReadCommitted,
    },
    Script {
        name: "G1a",
        about: "what was rolled back is read",
        before: "x=10",
        steps: "1:x=101 2:x 1:abort 2:x 2:commit",
        shows: |played| played.has_read(2, "x", 101),
        prevented_from: ReadCommitted,
    },
    Script {
        name: "G1b",
        about: "what was not final is read",
        before: "x=10",
        steps: "1:x=101 2:x 1:x=11 1:commit 2:x 2:commit",
        shows: |played| played.has_read(2, "x", 101),
        prevented_from: ReadCommitted,
    },
    Script {
        name: "G1c",
        about: "two transactions read from each other",
        before: "x=10 y=20",
        steps: "1:x=11 2:y=22 1:y 2:x 1:commit 2:commit",
        shows: |played| played.has_read(1, "y", 22) && played.has_read(2, "x", 11),
        prevented_from: ReadCommitted,
    },
    Script {
        name: "OTV",
        about: "a transaction that was observed vanishes again",
        before: "x=10 y=20",
        steps: "1:x=11 1:y=19 2:x=12 1:commit 3:x 3:y 2:y=18 3:y 2:commit 3:y 3:x 3:commit",
        shows: |played| {
            let (second, first) = ([("x", 12), ("y", 18)], [("x", 11), ("y", 19)]);
            played.has_read_then(3, &second, &first)
        },
        prevented_from: ReadCommitted,
    },
    Script {
        name: "PMP",
        about: "a range read twice holds a new row the second time",
        before: "a=10 b=20",
        steps: "1:a..z 2:c=30 2:commit 1:a..z 1:commit",
        shows: |played| {
            let ranges = played.ranges(1);
            ranges.first() != ranges.last()
        },
        prevented_from: RepeatableRead,
    },
    Script {
        name: "PMP by a removal",
        about: "a range read twice lacks a row the second time",
        before: "a=10 b=20",
        steps: "1:a..z 2:b- 2:commit 1:a..z 1:commit",
        shows: |played| {
            let ranges = played.ranges(1);
            ranges.first() != ranges.last()
        },
        prevented_from: RepeatableRead,
    },
    Script {
        name: "P4",
        about: "an update is lost: both have read what was before",
        before: "x=10",
        steps: "1:x 2:x 1:x=11 2:x=12 1:commit 2:commit",
        shows: |played| {
            played.committed(&[1, 2]) && played.has_read(1, "x", 10) && played.has_read(2, "x", 10)
        },
        prevented_from: RepeatableRead,
    },
    Script {
        name: "G-single",
        about: "another's commit is seen in part",
        before: "x=10 y=20",
        steps: "1:x 2:x=12 2:y=18 2:commit 1:y 1:commit",
        shows: |played| played.has_read(1, "x", 10) && played.has_read(1, "y", 18),
        prevented_from: RepeatableRead,
    },
    Script {
        name: "G-single by a write",
        about: "what is overwritten belongs to a commit that was not seen",
        before: "x=10 y=20",
        steps: "1:x 2:x=12 2:y=18 2:commit 1:y- 1:commit",
        shows: |played| {
            let unseen = played.committed(&[1, 2]) && played.has_read(1, "x", 10);
            unseen && played.after("y").is_none()
        },
        prevented_from: RepeatableRead,
    },
    Script {
        name: "G2-item",
        about: "both read both, each writes another one",
        before: "x=10 y=20",
        steps: "1:x 1:y 2:x 2:y 1:x=11 2:y=21 1:commit 2:commit",
        shows: |played| {
            let unseen = played.has_read(1, "y", 20) && played.has_read(2, "x", 10);
            unseen && played.committed(&[1, 2])
        },
        prevented_from: Serializable,
    },
    Script {
        name: "G2",
        about: "each adds a row to the range that the other has read without it",
        before: "a=10 b=20",
        steps: "1:a..z 2:a..z 1:c=30 2:d=42 1:commit 2:commit",
        shows: |played| played.committed(&[1, 2]) && lengths_are(played, 2),
        prevented_from: Serializable,
    },
    Script {
        name: "write skew",
        about: "together they withdraw more than there is, each having looked",
        before: "x=70 y=80",
        steps: "1:x 1:y 2:x 2:y 1:x=-30 2:y=-20 1:commit 2:commit",
        shows: |played| {
            let looked = played.has_read(1, "y", 80) && played.has_read(2, "x", 70);
            let sum = played.after("x").zip(played.after("y"));
            looked && sum.is_some_and(|(x, y)| x + y < 0)
        },
        prevented_from: Serializable,
    },
    Script {
        name: "read-only anomaly",
        about: "a reader sees the deposit without the fee for overdrawing",
        before: "x=0 y=0",
        steps: "2:x 2:y 1:y 1:y=20 1:commit 3:x 3:y 3:commit 2:x=-11 2:commit",
        shows: |played| {
            let paid = played.committed(&[1, 2, 3]) && played.has_read(2, "y", 0);
            paid && played.has_read(3, "x", 0) && played.has_read(3, "y", 20)
        },
        prevented_from: Serializable,
    },
    Script {
        name: "phantom, absent range",
        about: "each puts a row into an empty range that the other has found empty",
        before: "x=10",
        steps: "1:m..n 2:m..n 1:m1=1 2:m2=2 1:commit 2:commit",
        shows: |played| played.committed(&[1, 2]) && lengths_are(played, 0),
        prevented_from: Serializable,
    },
    Script {
        name: "phantom, emptied range",
        about: "each moves the only row away that the other rests on",
        before: "m1=1 n1=1",
        steps: "1:m..n 2:n..o 1:n1- 2:m1- 1:commit 2:commit",
        shows: |played| played.committed(&[1, 2]) && lengths_are(played, 1),
        prevented_from: Serializable,
    },
    Script {
        name: "absent keys",
        about: "each creates the key that the other has found absent",
        before: "x=10",
        steps: "1:a 2:b 1:b=1 2:a=2 1:commit 2:commit",
        shows: |played| {
            let absent = played.reads(1, "a") == [None] && played.reads(2, "b") == [None];
            absent && played.committed(&[1, 2])
        },
        prevented_from: Serializable,
    },
];

/// Whether the first two have each read a range of so many rows.
fn lengths_are(played: &super::played::Played, len: usize) -> bool {
    let is = |who| played.ranges(who).first().map(|rows| rows.len()) == Some(len);
    is(1) && is(2)
}
