//! The lines that a child says to its parent over the pipe, one write for each.

use std::fmt;
use std::io::{self, IoSlice};

use super::script::Digest;

/// What a step answered, as far as the oracle can predict it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing to compare.
    Plain,
    /// Whether a put found the key absent, a delete found it present.
    Changed(bool),
    /// The counter after an addition.
    Counter(i64),
    /// The condition was not met; nothing was written.
    NotMet,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The child's own process id (strace stands between it and the parent).
    Pid(i32),
    /// The store is open.
    Opened,
    /// A step was acknowledged.
    Ack(Ack),
    /// A step was refused.
    Refused {
        /// Who.
        writer: u32,
        /// Which step.
        index: u64,
        /// Whether it may have happened all the same.
        unknown: bool,
        /// The machine word of the error.
        code: String,
    },
    /// A part of the plan begins.
    Begin(String),
    /// A part of the plan has ended well.
    End(String),
    /// A part of the plan has failed.
    Failed {
        /// Which part.
        what: String,
        /// The machine word of the error.
        code: String,
    },
    /// What the store does in the background now.
    Phase {
        /// A flush is running.
        flush: bool,
        /// A compaction is running.
        compact: bool,
    },
    /// A pair of a dump.
    Pair {
        /// The key.
        key: Vec<u8>,
        /// The commit that wrote it.
        seq: u64,
        /// Of the value.
        digest: Digest,
    },
    /// A transaction of a history begins or has ended, as a line of JSON.
    Event(String),
    /// The child saw something that must not be.
    Violation(String),
    /// The child cannot go on: where, and the error.
    Fatal {
        /// `open`, `read` or a part of the plan.
        at: String,
        /// The machine word of the error.
        code: String,
        /// The error's text.
        text: String,
    },
    /// Free text for the report.
    Note(String),
    /// The plan is done, or the dump is complete with this many pairs.
    Done(u64),
}

/// An acknowledged step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Who.
    pub writer: u32,
    /// Which step.
    pub index: u64,
    /// The commit; 0 when nothing was written.
    pub seq: u64,
    /// What it answered.
    pub answer: Answer,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("-"),
            Self::Changed(yes) => write!(f, "c{}", u8::from(*yes)),
            Self::Counter(value) => write!(f, "={value}"),
            Self::NotMet => f.write_str("!"),
        }
    }
}

impl Answer {
    fn parse(word: &str) -> Option<Self> {
        match word.split_at_checked(1)? {
            ("-", "") => Some(Self::Plain),
            ("!", "") => Some(Self::NotMet),
            ("c", yes) => Some(Self::Changed(yes == "1")),
            ("=", value) => value.parse().ok().map(Self::Counter),
            _ => None,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => write!(f, "I {pid}"),
            Self::Opened => f.write_str("O"),
            Self::Ack(Ack {
                writer,
                index,
                seq,
                answer,
            }) => {
                write!(f, "A {writer} {index} {seq} {answer}")
            }
            Self::Refused {
                writer,
                index,
                unknown,
                code,
            } => {
                write!(f, "R {writer} {index} {} {code}", u8::from(*unknown))
            }
            Self::Begin(what) => write!(f, "B {what}"),
            Self::End(what) => write!(f, "E {what}"),
            Self::Failed { what, code } => write!(f, "X {what} {code}"),
            Self::Phase { flush, compact } => {
                write!(f, "P {} {}", u8::from(*flush), u8::from(*compact))
            }
            Self::Pair { key, seq, digest } => {
                f.write_str("D ")?;
                key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                write!(f, " {seq} {} {:016x}", digest.len, digest.hash)
            }
            Self::Event(json) => write!(f, "H {json}"),
            Self::Violation(text) => write!(f, "V {}", text.replace('\n', " ")),
            Self::Fatal { at, code, text } => {
                write!(f, "F {at} {code} {}", text.replace('\n', " "))
            }
            Self::Note(text) => write!(f, "N {}", text.replace('\n', " ")),
            Self::Done(count) => write!(f, "Z {count}"),
        }
    }
}

impl Line {
    /// Reads a line without its newline; `None` for a torn or foreign one.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (tag, rest) = line.split_at_checked(1)?;
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let mut words = rest.split(' ');
        let mut word = || words.next();
        Some(match tag {
            "I" => Self::Pid(word()?.parse().ok()?),
            "O" => Self::Opened,
            "A" => Self::Ack(Ack {
                writer: word()?.parse().ok()?,
                index: word()?.parse().ok()?,
                seq: word()?.parse().ok()?,
                answer: Answer::parse(word()?)?,
            }),
            "R" => Self::Refused {
                writer: word()?.parse().ok()?,
                index: word()?.parse().ok()?,
                unknown: word()? == "1",
                code: word()?.to_owned(),
            },
            "B" => Self::Begin(rest.to_owned()),
            "E" => Self::End(rest.to_owned()),
            "X" => Self::Failed {
                what: word()?.to_owned(),
                code: word()?.to_owned(),
            },
            "P" => Self::Phase {
                flush: word()? == "1",
                compact: word()? == "1",
            },
            "D" => Self::Pair {
                key: from_hex(word()?)?,
                seq: word()?.parse().ok()?,
                digest: Digest {
                    len: word()?.parse().ok()?,
                    hash: u64::from_str_radix(word()?, 16).ok()?,
                },
            },
            "H" => Self::Event(rest.to_owned()),
            "V" => Self::Violation(rest.to_owned()),
            "F" => Self::Fatal {
                at: word()?.to_owned(),
                code: word()?.to_owned(),
                text: words.collect::<Vec<_>>().join(" "),
            },
            "N" => Self::Note(rest.to_owned()),
            "Z" => Self::Done(word()?.parse().ok()?),
            _ => return None,
        })
    }

    /// Says the line on the standard output: one `writev`, nothing buffered. (`writev`, so that
    /// faults injected into `write` and `pwrite64` never meet the pipe.)
    ///
    /// # Errors
    /// When the parent is gone.
    pub fn say(&self) -> io::Result<()> {
        let mut text = self.to_string().into_bytes();
        text.push(b'\n');
        let out = io::stdout();
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            let done = rustix::io::writev(&out, &[IoSlice::new(rest)])?;
            rest = rest.get(done..).unwrap_or_default();
        }
        Ok(())
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_comes_back() {
        let text = || "some words here".to_owned();
        let word = || "disk_full".to_owned();
        let ack = |answer| {
            Line::Ack(Ack {
                writer: 3,
                index: 9,
                seq: 77,
                answer,
            })
        };
        let lines = [
            Line::Pid(4),
            Line::Opened,
            ack(Answer::Plain),
            ack(Answer::Changed(true)),
            ack(Answer::Counter(-5)),
            ack(Answer::NotMet),
            Line::Refused {
                writer: 1,
                index: 2,
                unknown: true,
                code: word(),
            },
            Line::Begin(text()),
            Line::End(text()),
            Line::Failed {
                what: "flush".to_owned(),
                code: word(),
            },
            Line::Phase {
                flush: true,
                compact: false,
            },
            Line::Pair {
                key: vec![0, 255, 10],
                seq: 5,
                digest: Digest {
                    len: 3,
                    hash: 1 << 63,
                },
            },
            Line::Pair {
                key: vec![],
                seq: 5,
                digest: Digest { len: 0, hash: 0 },
            },
            Line::Event(text()),
            Line::Violation(text()),
            Line::Fatal {
                at: "open".to_owned(),
                code: word(),
                text: text(),
            },
            Line::Note(text()),
            Line::Done(12),
        ];
        for line in lines {
            assert_eq!(Line::parse(&line.to_string()), Some(line));
        }
        for torn in ["", "A 1 2", "A 1 2 3", "D 0g 1 2 3", "R 1"] {
            assert_eq!(Line::parse(torn), None, "{torn}");
        }
    }
}
