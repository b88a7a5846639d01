//! `mantisdb import`: batches of entries into a server, with the place of everything that fails.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use mantis_env::Env;
use serde_json::{Value, json};
use ureq::http::{Method, StatusCode};

use super::entry::{Entry, JSON};
use super::meter::Meter;
use super::open::source;
use super::place::{ImportProgress, Place, ProgressFile, fingerprint};
use super::read::{BadLine, Row, Source};
use super::{beside, format_of, is_pipe};
use crate::cli::{ImportArgs, OnBadLine, OutputFormat, TransferFormat};
use crate::client::{Ask, Connection, Refusal, path_of_key};
use crate::exit::{Failure, Outcome, say};
use crate::table::thousands;

/// Most operations in one request.
const BATCH_OPS_MAX: usize = 1000;

/// Beyond this many bytes a request is sent, however few operations it has.
const BATCH_BYTES: usize = 2 << 20;

/// How often a server that says "later" is asked again, and the longest pause it may ask for.
const RETRIES_MAX: u32 = 20;
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// `mantisdb import FILE`.
pub(crate) fn import(arguments: &ImportArgs, out: &mut dyn Write) -> Outcome {
    let connection = Connection::new(&arguments.server)?;
    let format = format_of(arguments.format, &arguments.file);
    if is_pipe(&arguments.file) {
        let source = source(std::io::stdin(), format, None)?;
        return Import::new(connection, arguments, None, None)?.run(source, out);
    }
    let name = arguments.file.display();
    let open = || File::open(&arguments.file).with_context(|| format!("cannot read {name}"));
    let progress = ProgressFile::new(beside(&arguments.file, ".mantis-import"));
    if arguments.restart {
        progress.remove()?;
    }
    let mut file = open()?;
    let earlier = progress.read::<ImportProgress>()?;
    if let Some(earlier) = &earlier {
        known_again(earlier, &mut file, &connection, arguments)?;
        let (line, stored) = (earlier.place.line + 1, thousands(earlier.stored));
        say(&format!(
            "going on at line {line}; {stored} entries are stored already"
        ));
    }
    let place = earlier.as_ref().map(|earlier| earlier.place);
    let mut import = Import::new(connection, arguments, Some(progress), Some(file))?;
    if let Some(earlier) = earlier {
        import.go_on(&earlier);
    }
    import.run(source(open()?, format, place)?, out)
}

/// Refuses progress that belongs to another import.
fn known_again(
    earlier: &ImportProgress,
    file: &mut File,
    connection: &Connection,
    arguments: &ImportArgs,
) -> anyhow::Result<()> {
    let same = earlier.server == connection.base() && earlier.prefix == arguments.prefix;
    if !same {
        bail!(
            "an import of this file to {} with the prefix {:?} was interrupted: finish it, or say \
             --restart",
            earlier.server,
            earlier.prefix
        );
    }
    if fingerprint(file, earlier.place.offset)? != earlier.fingerprint {
        bail!("the part of the file that was imported before has changed: --restart begins anew");
    }
    Ok(())
}

/// An entry on its way, with its place.
struct Pending {
    line: u64,
    start: Place,
    entry: Entry,
}

/// One import under way.
struct Import<'a> {
    connection: Connection,
    arguments: &'a ImportArgs,
    progress: Option<ProgressFile>,
    /// The file once more, for fingerprints.
    file: Option<File>,
    rejects: Option<File>,
    meter: Meter,
    env: Env,
    pending: Vec<Pending>,
    pending_bytes: usize,
    /// Everything before it is stored or rejected.
    place: Place,
    /// Entries that were stored, by earlier runs as well.
    stored: u64,
    /// Those of earlier runs.
    stored_before: u64,
    rejected: u64,
}

impl<'a> Import<'a> {
    fn new(
        connection: Connection,
        arguments: &'a ImportArgs,
        progress: Option<ProgressFile>,
        file: Option<File>,
    ) -> anyhow::Result<Self> {
        let whole = file
            .as_ref()
            .map(File::metadata)
            .transpose()?
            .map(|metadata| metadata.len());
        Ok(Self {
            connection,
            arguments,
            progress,
            file,
            rejects: None,
            meter: Meter::new("entries stored", whole, 0),
            env: Env::real(),
            pending: Vec::new(),
            pending_bytes: 0,
            place: Place::default(),
            stored: 0,
            stored_before: 0,
            rejected: 0,
        })
    }

    fn go_on(&mut self, earlier: &ImportProgress) {
        self.place = earlier.place;
        self.stored = earlier.stored;
        self.stored_before = earlier.stored;
        self.rejected = earlier.rejected;
    }

    fn run<R: Read>(mut self, mut source: Source<R>, out: &mut dyn Write) -> Outcome {
        while let Some(row) = source.next_row()? {
            self.row(row)?;
        }
        self.send_pending(None)?;
        if let Some(progress) = &self.progress {
            progress.remove()?;
        }
        self.summary(out)
    }

    fn summary(self, out: &mut dyn Write) -> Outcome {
        let rejects = self.rejects_path();
        let Self {
            stored,
            stored_before,
            rejected,
            meter,
            arguments,
            ..
        } = self;
        let seconds = meter.end().as_secs_f64();
        if arguments.server.output == OutputFormat::Json {
            let whole = json!({ "stored": stored, "rejected": rejected, "seconds": seconds });
            writeln!(out, "{whole}")?;
        } else {
            let rate = super::meter::per_second(stored - stored_before, seconds);
            writeln!(
                out,
                "{} entries stored in {seconds:.1} s ({rate}/s)",
                thousands(stored)
            )?;
        }
        if rejected > 0 {
            let rejects = rejects.display();
            let count = thousands(rejected);
            return Err(anyhow!("{count} lines were not stored; they are in {rejects}").into());
        }
        Ok(())
    }

    fn row(&mut self, row: Row) -> Outcome {
        let Row {
            line,
            start,
            end,
            entry,
        } = row;
        match entry {
            Ok(mut entry) => {
                if !self.arguments.prefix.is_empty() {
                    entry.key.splice(0..0, self.arguments.prefix.bytes());
                }
                self.pending_bytes += entry.key.len() + entry.value.len() + 64;
                self.pending.push(Pending { line, start, entry });
                let full = self.pending.len() >= BATCH_OPS_MAX || self.pending_bytes >= BATCH_BYTES;
                if full {
                    self.send_pending(Some(end))
                } else {
                    Ok(())
                }
            }
            Err(bad) => {
                self.send_pending(Some(start))?;
                self.bad_line(line, &bad)?;
                self.passed(end)
            }
        }
    }

    /// Stores what is pending; `end` is the place behind it, `None` at the end of the file.
    fn send_pending(&mut self, end: Option<Place>) -> Outcome {
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        // The batch route keeps the order; an entry that goes alone must not overtake.
        let mut rest = pending.as_slice();
        while let Some(first) = rest.first() {
            let batch = rest.iter().take_while(|one| one.entry.fits_batch()).count();
            if batch == 0 {
                self.send_alone(first)?;
                rest = &rest[1..];
            } else {
                let (now, later) = rest.split_at(batch);
                self.send_batch(now)?;
                rest = later;
            }
        }
        match end {
            Some(end) => self.passed(end),
            None => Ok(()),
        }
    }

    /// Sends entries as one batch. What is too large as a whole is sent in halves.
    fn send_batch(&mut self, batch: &[Pending]) -> Outcome {
        let mut body = b"{\"operations\":[".to_vec();
        for (at, one) in batch.iter().enumerate() {
            if at > 0 {
                body.push(b',');
            }
            one.entry.write_operation(&mut body);
        }
        body.extend_from_slice(b"]}");
        let sent = self.patiently(|| {
            Ask::new(Method::POST, "/api/v1/kv/batch").body("application/json", body.clone())
        });
        let answer = match sent {
            Ok(answer) => answer.json()?,
            Err(error) => return self.refused_batch(batch, error),
        };
        let results = answer["data"]["results"].as_array();
        let results = results.filter(|results| results.len() == batch.len());
        let results =
            results.context("the server's answer has not one result for each operation")?;
        for (one, result) in batch.iter().zip(results) {
            if result["success"] == Value::Bool(true) {
                self.stored += 1;
            } else {
                let why = result["message"]
                    .as_str()
                    .or_else(|| result["error"].as_str());
                let why = why.unwrap_or("the server refused it");
                self.not_stored(one, why)?;
            }
        }
        Ok(())
    }

    fn refused_batch(&mut self, batch: &[Pending], error: anyhow::Error) -> Outcome {
        let Some(refusal) = error.downcast_ref::<Refusal>() else {
            return Err(self.interrupted(error));
        };
        let about_content = matches!(
            refusal.status,
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE
        );
        if !about_content {
            return Err(self.interrupted(error));
        }
        match batch {
            [one] => {
                let why = refusal.message.clone();
                self.not_stored(one, &why)
            }
            _ => {
                let inside = refusal
                    .index
                    .filter(|index| (1..batch.len()).contains(index));
                let (first, second) = batch.split_at(inside.unwrap_or(batch.len() / 2));
                self.send_batch(first)?;
                self.send_batch(second)
            }
        }
    }

    /// Sends an entry that the batch route cannot store with its type and labels.
    fn send_alone(&mut self, one: &Pending) -> Outcome {
        let entry = &one.entry;
        if entry.key.is_empty() {
            return self.not_stored(one, "an empty key takes no content_type of its own");
        }
        if entry.content_type == JSON {
            return self.not_stored(one, "JSON with blanks around it loses them: take them out, or give it another content_type");
        }
        let mut path = path_of_key(&entry.key);
        if let Some(ttl_ms) = entry.ttl_ms {
            path.push_str(&format!("?ttl_ms={ttl_ms}"));
        }
        if entry.tags.iter().any(|tag| tag.contains([',', '\r', '\n'])) {
            return self.not_stored(one, "a tag must not hold a comma or a line end");
        }
        let tags = entry.tags.join(",");
        let sent = self.patiently(|| {
            let ask = Ask::new(Method::PUT, &path);
            let ask = if tags.is_empty() {
                ask
            } else {
                ask.header("x-mantis-tags", tags.clone())
            };
            ask.body(&entry.content_type, entry.value.clone())
        });
        match sent {
            Ok(_) => {
                self.stored += 1;
                Ok(())
            }
            Err(error) => match error.downcast_ref::<Refusal>() {
                Some(refusal) if refusal.status.is_client_error() => {
                    let why = refusal.message.clone();
                    self.not_stored(one, &why)
                }
                _ => Err(self.interrupted(error)),
            },
        }
    }

    /// Asks again as long as the server says "later".
    fn patiently<'b>(&self, ask: impl Fn() -> Ask<'b>) -> anyhow::Result<crate::client::Answer> {
        let mut tries = 0;
        loop {
            let error = match self.connection.ask(ask()) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let later = error
                .downcast_ref::<Refusal>()
                .filter(|refusal| refusal.retryable);
            let Some(refusal) = later.filter(|_| tries < RETRIES_MAX) else {
                return Err(error);
            };
            let pause = refusal
                .retry_after
                .unwrap_or(Duration::from_secs(1))
                .min(RETRY_PAUSE_MAX);
            self.env.clock().sleep(pause);
            tries += 1;
        }
    }

    /// Everything before `end` is done: says so in the progress file.
    fn passed(&mut self, end: Place) -> Outcome {
        self.place = end;
        self.meter.show(end.offset, self.stored);
        self.save()
    }

    fn save(&mut self) -> Outcome {
        let (Some(progress), Some(file)) = (&self.progress, &mut self.file) else {
            return Ok(());
        };
        progress.write(&ImportProgress {
            place: self.place,
            stored: self.stored,
            rejected: self.rejected,
            server: self.connection.base().to_owned(),
            prefix: self.arguments.prefix.clone(),
            fingerprint: fingerprint(file, self.place.offset)?,
        })?;
        Ok(())
    }

    /// An entry that the server would not take.
    fn not_stored(&mut self, one: &Pending, why: &str) -> Outcome {
        let mut text = Vec::new();
        super::write::entry(TransferFormat::Jsonl, &one.entry, &mut text)?;
        let text = String::from_utf8_lossy(&text).trim_end().to_owned();
        if self.arguments.on_bad_line == OnBadLine::Stop {
            // What was stored behind it is stored again by the next run: a put twice is one put.
            self.place = one.start;
        }
        self.bad_line(
            one.line,
            &BadLine {
                why: why.to_owned(),
                text,
            },
        )
    }

    fn bad_line(&mut self, line: u64, bad: &BadLine) -> Outcome {
        if self.arguments.on_bad_line == OnBadLine::Stop {
            self.save()?;
            let stored = thousands(self.stored);
            let next = if self.progress.is_some() {
                format!("correct it, and the same command goes on at line {line}")
            } else {
                "what stands before it is stored".to_owned()
            };
            let why = &bad.why;
            return Err(anyhow!("line {line}: {why}; {stored} entries are stored: {next}").into());
        }
        self.rejected += 1;
        let record = json!({ "line": line, "why": bad.why, "text": bad.text });
        if self.rejects.is_none() {
            let path = self.rejects_path();
            let file = File::options().append(true).create(true).open(&path);
            self.rejects = Some(file.with_context(|| format!("cannot write {}", path.display()))?);
        }
        if let Some(file) = &mut self.rejects {
            writeln!(file, "{record}").context("cannot write the rejected line")?;
        }
        Ok(())
    }

    fn rejects_path(&self) -> PathBuf {
        if is_pipe(&self.arguments.file) {
            PathBuf::from("import.rejected")
        } else {
            beside(&self.arguments.file, ".rejected")
        }
    }

    fn interrupted(&self, error: anyhow::Error) -> Failure {
        let stored = thousands(self.stored);
        let next = if self.progress.is_some() {
            "; the same command goes on from there"
        } else {
            ""
        };
        Failure::from(error.context(format!("interrupted after {stored} entries{next}")))
    }
}
