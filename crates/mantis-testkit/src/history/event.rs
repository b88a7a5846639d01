//! What a history is made of, and its lines of JSON.

use std::fmt::Write as _;

use serde_json::Value;

use mantis_types::Isolation;

/// One operation within a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Micro {
    /// A number was put behind a list.
    Append {
        /// The list.
        key: u64,
        /// The number; unique within the key.
        value: u64,
    },
    /// A list was read.
    Read {
        /// The list.
        key: u64,
        /// What it held; `None` while that is not known.
        list: Option<Vec<u64>>,
    },
}

/// At which point of a transaction an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is about to begin.
    Invoke,
    /// It has committed.
    Ok,
    /// It surely has no effect.
    Fail,
    /// It may have committed.
    Info,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Invoke, Self::Ok, Self::Fail, Self::Info];

    /// As the lines of JSON say it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Invoke => "invoke",
            Self::Ok => "ok",
            Self::Fail => "fail",
            Self::Info => "info",
        }
    }
}

/// The process that stands for what a process reads in transactions that do not commit.
pub(super) const GHOST: u64 = 1 << 32;

/// The beginning or the end of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who; one transaction at a time.
    pub process: u64,
    /// At which level.
    pub level: Isolation,
    /// The beginning, or which end.
    pub stage: Stage,
    /// What was to be done, or what was.
    pub micros: Vec<Micro>,
}

impl Event {
    /// One line of JSON, without its newline; `index` is its place in the history.
    #[must_use]
    pub fn line(&self, index: usize) -> String {
        let mut line = format!(
            r#"{{"index":{index},"type":"{}","f":"txn","process":{},"level":"{}","value":["#,
            self.stage.word(),
            self.process,
            self.level,
        );
        for (place, micro) in self.micros.iter().enumerate() {
            if place > 0 {
                line.push(',');
            }
            micro.write(&mut line);
        }
        line.push_str("]}");
        line
    }

    /// Reads such a line; `None` for a torn or foreign one.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(line).ok()?;
        let word = json.get("type")?.as_str()?;
        let micros = json.get("value")?.as_array()?.iter().map(Micro::parse);
        Some(Self {
            process: json.get("process")?.as_u64()?,
            level: json.get("level")?.as_str()?.parse().ok()?,
            stage: Stage::ALL.into_iter().find(|stage| stage.word() == word)?,
            micros: micros.collect::<Option<_>>()?,
        })
    }

    /// Whether its process stands for the reads of another one.
    #[must_use]
    pub const fn is_ghost(&self) -> bool {
        self.process >= GHOST
    }

    /// The appends, as key and number.
    pub fn appends(&self) -> impl Iterator<Item = (u64, u64)> {
        self.micros.iter().filter_map(|micro| match micro {
            Micro::Append { key, value } => Some((*key, *value)),
            Micro::Read { .. } => None,
        })
    }

    /// The reads whose answer is known.
    pub fn reads(&self) -> impl Iterator<Item = (u64, &[u64])> {
        self.micros.iter().filter_map(|micro| match micro {
            Micro::Read {
                key,
                list: Some(list),
            } => Some((*key, list.as_slice())),
            _ => None,
        })
    }
}

impl Micro {
    fn write(&self, line: &mut String) {
        // Writing to a string does not fail.
        match self {
            Self::Append { key, value } => write!(line, r#"["append",{key},{value}]"#),
            Self::Read { key, list: None } => write!(line, r#"["r",{key},null]"#),
            Self::Read {
                key,
                list: Some(list),
            } => write!(line, r#"["r",{key},{list:?}]"#),
        }
        .unwrap_or_default();
    }

    fn parse(json: &Value) -> Option<Self> {
        let key = json.get(1)?.as_u64()?;
        let third = json.get(2)?;
        match json.get(0)?.as_str()? {
            "append" => Some(Self::Append {
                key,
                value: third.as_u64()?,
            }),
            "r" => {
                let numbers =
                    |list: &Vec<Value>| list.iter().map(Value::as_u64).collect::<Option<_>>();
                let list = match third.as_array() {
                    Some(list) => Some(numbers(list)?),
                    None => None,
                };
                Some(Self::Read { key, list })
            }
            _ => None,
        }
    }
}

/// Events in the order in which they were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The events.
    pub events: Vec<Event>,
}

impl History {
    /// All lines of JSON.
    #[must_use]
    pub fn lines(&self) -> String {
        let lines = self.events.iter().enumerate();
        lines.fold(String::new(), |mut text, (index, event)| {
            text.push_str(&event.line(index));
            text.push('\n');
            text
        })
    }

    /// Transactions that ended so.
    #[must_use]
    pub fn count(&self, stage: Stage) -> u64 {
        let events = self.events.iter().filter(|event| event.stage == stage);
        u64::try_from(events.count()).unwrap_or(u64::MAX)
    }

    /// Ends what is still on its way: each open transaction may have committed.
    pub fn end(&mut self) {
        let mut open: Vec<Event> = Vec::new();
        for event in &self.events {
            open.retain(|other| other.process != event.process);
            if event.stage == Stage::Invoke {
                open.push(Event {
                    stage: Stage::Info,
                    ..event.clone()
                });
            }
        }
        self.events.append(&mut open);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_and_a_torn_one_does_not() {
        let list = Some(vec![4, 9]);
        let event = Event {
            process: 3,
            level: Isolation::Serializable,
            stage: Stage::Ok,
            micros: vec![
                Micro::Append { key: 1, value: 7 },
                Micro::Read { key: 2, list: None },
                Micro::Read { key: 2, list },
            ],
        };
        let line = event.line(5);
        assert_eq!(Event::parse(&line).as_ref(), Some(&event));
        for len in 0..line.len() {
            assert_eq!(Event::parse(&line[..len]), None, "{len}");
        }
    }

    #[test]
    fn what_is_on_its_way_at_the_end_may_have_committed() {
        let event = |process, stage| Event {
            process,
            level: Isolation::Snapshot,
            stage,
            micros: vec![Micro::Append {
                key: 1,
                value: process,
            }],
        };
        let events = vec![
            event(1, Stage::Invoke),
            event(2, Stage::Invoke),
            event(1, Stage::Ok),
        ];
        let mut history = History { events };
        history.end();
        assert_eq!(history.events.len(), 4);
        assert_eq!(history.events[3], event(2, Stage::Info));
    }
}
