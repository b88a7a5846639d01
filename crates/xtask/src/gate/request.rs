//! The command line of the gate.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::parts::{PARTS, Part};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    /// The parts, in the table's order; all when none is named.
    pub(super) parts: Vec<Part>,
    /// Sizes that differ from the table's.
    sizes: BTreeMap<String, u64>,
    /// The first seed; drawn when there is none.
    pub(super) seed: Option<u64>,
    /// No slice is begun after this span.
    pub(super) budget: Option<Duration>,
    /// What was stored of these parts is forgotten.
    pub(super) again: bool,
    /// Only the table of parts.
    pub(super) list: bool,
    /// Only what is stored.
    pub(super) show: bool,
}

/// What `--help` prints.
pub(super) const HELP: &str = "\
cargo xtask gate [PART...] [OPTIONS]

Runs the parts in slices, adds up what they bring in target/gate, prints one table and writes
docs/reliability.md. A gate that was killed goes on where it was; a part that passed is not run again
while what it exercises is unchanged. Two gates may run at once, each part in one of them.

  --size PART=N    another size for a part
  --seed N         the first slice's seed of parts that begin anew; those of later slices follow
  --budget MIN     begins no slice after so many minutes
  --again          forgets what is stored of these parts first
  --show           runs nothing: the table and the page from what is stored
  --list           the parts

The exit code is 0 when all these parts have passed.";

impl Request {
    /// Reads the words.
    ///
    /// # Errors
    /// For unknown words and parts, and for numbers that are none.
    pub(super) fn parse(words: &[String]) -> Result<Self> {
        let mut request = Self::default();
        let mut names: Vec<&str> = Vec::new();
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let (name, mut value) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ => (word, None),
            };
            let mut value = || {
                let value = value.take().or_else(|| words.next());
                value.with_context(|| format!("{name} needs a value"))
            };
            match name {
                "--size" => request.resize(value()?)?,
                "--seed" => request.seed = Some(number(value()?)?),
                "--budget" => {
                    request.budget =
                        Some(Duration::from_secs(number(value()?)?.saturating_mul(60)));
                }
                "--again" => request.again = true,
                "--show" => request.show = true,
                "--list" => request.list = true,
                option if option.starts_with('-') => bail!("no option {option}\n\n{HELP}"),
                part => names.push(part),
            }
        }
        for name in &names {
            known(name)?;
        }
        let wanted = |part: &&Part| names.is_empty() || names.contains(&part.name);
        request.parts = PARTS.iter().filter(wanted).copied().collect();
        Ok(request)
    }

    /// How many units make the part whole.
    pub(super) fn size_of(&self, part: &Part) -> u64 {
        self.sizes.get(part.name).copied().unwrap_or(part.size)
    }

    fn resize(&mut self, text: &str) -> Result<()> {
        let (part, size) = text.split_once('=').context("--size wants PART=N")?;
        known(part)?;
        let size = number(size)?;
        ensure!(size > 0, "a part of size 0 proves nothing");
        self.sizes.insert(part.to_owned(), size);
        Ok(())
    }
}

fn known(name: &str) -> Result<()> {
    let names: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
    ensure!(
        names.contains(&name),
        "no part {name:?}; there are: {}",
        names.join(", ")
    );
    Ok(())
}

fn number(text: &str) -> Result<u64> {
    text.parse()
        .with_context(|| format!("{text:?} is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Request::parse(&words)
    }

    #[test]
    fn parts_sizes_and_options_are_read_in_any_order() {
        let request = parse("flip --size kill=100 kill --seed=7 --budget 5 --again").unwrap();
        let names: Vec<_> = request.parts.iter().map(|part| part.name).collect();
        assert_eq!(names, ["kill", "flip"]);
        let sizes: Vec<_> = request.parts.iter().map(|p| request.size_of(p)).collect();
        assert_eq!(sizes, [100, 5000]);
        assert_eq!(request.seed, Some(7));
        assert_eq!(request.budget, Some(Duration::from_secs(300)));
        assert!(request.again && !request.list);
        assert_eq!(parse("").unwrap().parts.len(), PARTS.len());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "kil",
            "--sizes x",
            "--size kill",
            "--size kill=0",
            "--size x=1",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert!(parse("--seed seven").is_err() && parse("--budget").is_err());
    }
}
