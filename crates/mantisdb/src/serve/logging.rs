//! The program's log: level, format, where it goes; the level may change while it runs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use mantis_env::Env;
use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::{Level, LogFormat, LogOutput, LoggingSettings};

/// Changes the level of a log that runs.
#[derive(Clone, Debug)]
pub(crate) struct LogLevel(reload::Handle<EnvFilter, Registry>);

impl LogLevel {
    /// From now on lines of this level and above are written.
    pub(crate) fn set(&self, level: Level) {
        if let Err(error) = self.0.reload(filter(level)) {
            tracing::warn!(%error, "the log level could not be changed");
        }
    }
}

/// Starts the log. Once for each process.
///
/// # Errors
/// When the file cannot be opened, or a log runs already.
pub(crate) fn start(env: &Env, logging: &LoggingSettings) -> anyhow::Result<LogLevel> {
    let (filter, handle) = reload::Layer::new(filter(logging.level));
    let sink = Sink::open(env, logging)?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(sink);
    match logging.format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
        LogFormat::Text => {
            let to_terminal = logging.output == LogOutput::Stderr && is_terminal();
            registry.with(lines.with_ansi(to_terminal)).try_init()
        }
    }
    .context("a log runs already")?;
    Ok(LogLevel(handle))
}

fn is_terminal() -> bool {
    use std::io::IsTerminal;
    io::stderr().is_terminal()
}

/// Our own lines from `level` on, those of libraries only when something is odd.
fn filter(level: Level) -> EnvFilter {
    let level = level.as_str();
    EnvFilter::new(format!("warn,mantis={level}"))
}

/// Where lines go.
#[derive(Clone, Debug)]
enum Sink {
    Stderr,
    Stdout,
    File(Arc<Mutex<RotatedFile>>),
}

impl Sink {
    fn open(env: &Env, logging: &LoggingSettings) -> anyhow::Result<Self> {
        match (logging.output, &logging.file_path) {
            (LogOutput::Stderr, _) => Ok(Self::Stderr),
            (LogOutput::Stdout, _) => Ok(Self::Stdout),
            (LogOutput::File, Some(path)) => {
                let file = RotatedFile::open(env, path, logging);
                let file =
                    file.with_context(|| format!("cannot write the log to {}", path.display()))?;
                Ok(Self::File(Arc::new(Mutex::new(file))))
            }
            (LogOutput::File, None) => anyhow::bail!("logging.output file needs logging.file_path"),
        }
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Box<dyn Write + 'a>;

    fn make_writer(&'a self) -> Self::Writer {
        match self {
            Self::Stderr => Box::new(io::stderr()),
            Self::Stdout => Box::new(io::stdout()),
            Self::File(file) => Box::new(SharedFile(file)),
        }
    }
}

/// One line's way into the file.
struct SharedFile<'a>(&'a Mutex<RotatedFile>);

impl Write for SharedFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log file that is put aside when it is full.
#[derive(Debug)]
struct RotatedFile {
    env: Env,
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
    backups_max: usize,
    /// Zero keeps them for ever.
    age_max: Duration,
}

impl RotatedFile {
    fn open(env: &Env, path: &Path, logging: &LoggingSettings) -> io::Result<Self> {
        let file = append_to(path)?;
        Ok(Self {
            env: env.clone(),
            path: path.to_owned(),
            bytes: file.metadata()?.len(),
            file,
            bytes_max: logging.max_size.0,
            backups_max: logging.max_backups,
            age_max: logging.max_age,
        })
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let grown = self.bytes.saturating_add(line.len() as u64);
        if self.bytes > 0 && grown > self.bytes_max {
            self.rotate()?;
        }
        self.file.write_all(line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// `log` becomes `log.1`, `log.1` becomes `log.2`; what is too many or too old goes.
    fn rotate(&mut self) -> io::Result<()> {
        let fs = self.env.fs();
        let remove = |path: &Path| match fs.remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        remove(&self.backup(self.backups_max))?;
        for number in (1..self.backups_max).rev() {
            let path = self.backup(number);
            if self.is_old(&path) {
                remove(&path)?;
            } else if fs.exists(&path)? {
                fs.rename(&path, &self.backup(number + 1))?;
            }
        }
        if self.backups_max == 0 {
            remove(&self.path)?;
        } else {
            fs.rename(&self.path, &self.backup(1))?;
        }
        self.file = append_to(&self.path)?;
        self.bytes = 0;
        Ok(())
    }

    fn backup(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    fn is_old(&self, path: &Path) -> bool {
        let written = std::fs::metadata(path).and_then(|metadata| metadata.modified());
        let since = |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).ok();
        let now = Duration::from_millis(self.env.clock().now_ms());
        let age = written
            .ok()
            .and_then(since)
            .map(|written| now.saturating_sub(written));
        !self.age_max.is_zero() && age.is_some_and(|age| age > self.age_max)
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotated(dir: &Path, bytes_max: u64, backups_max: usize, age_max: Duration) -> RotatedFile {
        let path = dir.join("log");
        let file = append_to(&path).unwrap();
        RotatedFile {
            env: Env::real(),
            path,
            file,
            bytes: 0,
            bytes_max,
            backups_max,
            age_max,
        }
    }

    fn read(dir: &Path, name: &str) -> Option<String> {
        std::fs::read_to_string(dir.join(name)).ok()
    }

    #[test]
    fn full_files_are_put_aside_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = rotated(dir.path(), 4, 2, Duration::ZERO);
        for line in ["aa\n", "b\n", "cc\n", "dd\n"] {
            log.append(line.as_bytes()).unwrap();
        }
        assert_eq!(read(dir.path(), "log").unwrap(), "dd\n");
        assert_eq!(read(dir.path(), "log.1").unwrap(), "cc\n");
        assert_eq!(read(dir.path(), "log.2").unwrap(), "b\n");
        assert_eq!(read(dir.path(), "log.3"), None);
    }

    #[test]
    fn a_line_longer_than_a_file_is_still_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = rotated(dir.path(), 4, 0, Duration::ZERO);
        log.append(b"a very long line\n").unwrap();
        log.append(b"x\n").unwrap();
        assert_eq!(read(dir.path(), "log").unwrap(), "x\n");
        assert_eq!(read(dir.path(), "log.1"), None);
    }

    #[test]
    fn old_files_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = rotated(dir.path(), 1, 5, Duration::from_secs(3600));
        std::fs::write(dir.path().join("log.1"), "old").unwrap();
        let long_ago = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000);
        File::options()
            .write(true)
            .open(dir.path().join("log.1"))
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        log.append(b"a\n").unwrap();
        log.append(b"b\n").unwrap();
        assert_eq!(read(dir.path(), "log.1").unwrap(), "a\n");
        assert_eq!(read(dir.path(), "log.2"), None);
    }
}
