//! Subcommands and flags, and the texts of `--help`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::config::Inputs;
use crate::version;

const EXAMPLES: &str = "\
Examples:
  mantisdb                                     start the server, data in ./data
  mantisdb --port 9000 --data-dir /srv/mantis  elsewhere
  mantisdb put kv user:1 '{\"name\":\"Ada\"}' --type json
  mantisdb get kv user:1
  mantisdb list kv --prefix user:
  mantisdb import packages.jsonl               many keys at once, resumable
  mantisdb check ./data                        verify every checksum

Every setting can stand in mantisdb.yaml, in the environment (MANTIS_PORT=9000) or on the
command line; `mantisdb config show` says which value is in force and where it comes from.
Exit codes: 0 done, 1 failed, 2 wrong command line, 78 wrong configuration.";

/// A database in one program: keys and values over HTTP, durable by default.
#[derive(Debug, Parser)]
#[command(
    name = "mantisdb",
    version = version_text(),
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    max_term_width = 100,
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,

    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the server in the foreground (also without any subcommand)
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Say which server answers, and with --ping how fast
    #[command(after_help = CLIENT_HELP)]
    Connect(ConnectArgs),
    /// Show the counters of a running server
    #[command(after_help = CLIENT_HELP)]
    Stats(StatsArgs),
    /// Show what a running server does, again and again
    #[command(after_help = CLIENT_HELP)]
    Monitor(MonitorArgs),
    /// Print a value
    #[command(after_help = GET_HELP)]
    Get(GetArgs),
    /// Store a value
    #[command(after_help = PUT_HELP)]
    Put(PutArgs),
    /// Remove a key
    #[command(after_help = CLIENT_HELP)]
    Delete(DeleteArgs),
    /// List keys in byte order
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
    /// Show everything that is known about a key
    #[command(after_help = CLIENT_HELP)]
    Inspect(InspectArgs),
    /// Store many keys from JSON lines or CSV; resumes where it was interrupted
    #[command(after_help = IMPORT_HELP)]
    Import(ImportArgs),
    /// Write keys and values to JSON lines or CSV; resumes where it was interrupted
    #[command(after_help = EXPORT_HELP)]
    Export(ExportArgs),
    /// Verify every checksum of a data directory that no server has open
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Take out of a damaged data directory what cannot be read, and say what that is
    #[command(after_help = REPAIR_HELP)]
    Repair(RepairArgs),
    /// Measure this machine: load, latency, CPU time and memory, every read verified
    #[command(after_help = BENCH_HELP)]
    Bench(BenchArgs),
    /// Show or check the configuration
    Config {
        /// What to do with it
        #[command(subcommand)]
        verb: ConfigVerb,
    },
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  mantisdb completions bash > /etc/bash_completion.d/mantisdb"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the version
    Version,
}

const SERVE_HELP: &str = "\
When the listener is bound, one line on standard output says where: `ready http=127.0.0.1:8080`.
SIGTERM and SIGINT end it cleanly, SIGHUP reads the configuration again.

Only this machine is let in unless --host says otherwise; then a token is needed
(MANTIS_ADMIN_TOKEN) and TLS (server.tls_cert, server.tls_key), or the word --insecure.

Examples:
  mantisdb serve --port 0 --data-dir /tmp/try
  MANTIS_ENV=production MANTIS_ADMIN_TOKEN_FILE=/run/secrets/token mantisdb serve
  mantisdb serve --config /etc/mantisdb.yaml --log-format json";

const CLIENT_HELP: &str = "\
The server is http://127.0.0.1:8080 unless -H or MANTIS_URL says otherwise; a token is taken from
-t or MANTIS_TOKEN.";

const GET_HELP: &str = "\
The value is written as it is stored, with a line end added only on a terminal.

Examples:
  mantisdb get kv user:1
  mantisdb get kv photo > photo.jpg
  mantisdb get kv --base64 AP8=          a key that is no text
  mantisdb get kv user:1 -o json";

const PUT_HELP: &str = "\
Examples:
  mantisdb put kv greeting hello
  mantisdb put kv user:1 '{\"name\":\"Ada\"}' --type json
  mantisdb put kv session:9 x --ttl 30m
  mantisdb put kv photo --file photo.jpg
  date | mantisdb put kv now --file -";

const LIST_HELP: &str = "\
Examples:
  mantisdb list kv
  mantisdb list kv --prefix user: --limit 20 --values
  mantisdb list kv --all -o json";

const IMPORT_HELP: &str = "\
JSON lines hold one object each: {\"key\": \"a\", \"value\": \"text\"}. A value that is no string is
stored as JSON text; bytes that are no text are {\"base64\": \"...\"}, for keys and values alike.
`content_type`, `ttl_ms` and `tags` may stand beside them. CSV has a first line with the names of
these columns.

Progress is kept beside the file (FILE.mantis-import) until the end: after an interruption the
same command goes on from there. A line that cannot be stored stops the import with its number;
with --on-bad-line skip it is written to FILE.rejected and the rest goes on.

Examples:
  mantisdb import packages.jsonl
  mantisdb import users.csv --prefix user:
  zcat big.jsonl.gz | mantisdb import - --format jsonl";

const EXPORT_HELP: &str = "\
The file can be read again by `mantisdb import`; every byte of keys and values survives. Progress
is kept beside the file (FILE.mantis-export): after an interruption the same command goes on.
Keys that are written while the export runs may or may not be in it.

Examples:
  mantisdb export all.jsonl
  mantisdb export users.csv --prefix user:
  mantisdb export - --prefix user: | gzip > users.jsonl.gz";

const CHECK_HELP: &str = "\
Reads the whole commit log and all tables, and changes nothing. Exit code 1 when something is
damaged; each finding names the file and the place.

Example:
  mantisdb check ./data";

const REPAIR_HELP: &str = "\
First make a copy of the directory. --dry-run says what would be dropped and changes nothing.

Example:
  mantisdb repair ./data --dry-run";

const BENCH_HELP: &str = "\
Runs in this process, in a temporary directory unless --data-dir is given; a server that has the
directory open is in its way. Exit code 1 when a read did not give what was written.

Examples:
  mantisdb bench
  mantisdb bench --stress heavy
  mantisdb --benchmark-only --benchmark-stress=medium";

/// How the server runs.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeArgs {
    /// Port of the HTTP listener; 0 takes a free one [default: 8080]
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// Port of the Redis listener, 0 for a free one [default: off]
    #[arg(long, value_name = "PORT")]
    resp_port: Option<String>,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,
    /// Directory of the store [default: ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Configuration file [default: mantisdb.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Profile: development, staging or production [default: development]
    #[arg(long, value_name = "PROFILE")]
    env: Option<String>,
    /// Least severe log lines: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Log lines as text or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Memory for cached rows and blocks, such as 256MB
    #[arg(long, value_name = "SIZE")]
    cache_size: Option<String>,
    /// Memory for writes that are not in tables yet, such as 64MB
    #[arg(long, value_name = "SIZE")]
    buffer_size: Option<String>,
    /// Allow plain text on an address that other machines reach
    #[arg(long)]
    insecure: bool,
    /// Measure first, then serve
    #[arg(long)]
    benchmark: bool,
    /// Measure, then exit
    #[arg(long, conflicts_with = "benchmark")]
    benchmark_only: bool,
    /// How hard to measure
    #[arg(long, value_name = "LOAD", value_enum)]
    benchmark_stress: Option<Stress>,

    #[arg(long, value_name = "PORT", hide = true)]
    pg_port: Option<String>,
    #[arg(long, value_name = "PORT", hide = true)]
    admin_port: Option<String>,
    #[arg(long, value_name = "BOOL", hide = true)]
    enable_api: Option<String>,
    #[arg(long, value_name = "BOOL", hide = true)]
    enable_admin: Option<String>,
    #[arg(long, value_name = "BOOL", hide = true)]
    enable_cli: Option<String>,
}

/// What a measurement before or in place of serving asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Serve at once.
    No,
    /// Measure, then serve.
    ThenServe(Stress),
    /// Measure, then exit.
    Only(Stress),
}

impl ServeArgs {
    /// The layers of the configuration with these flags on top.
    pub(crate) fn inputs(&self) -> Inputs {
        let insecure = self.insecure.then(|| "true".to_owned());
        let flags = [
            ("server.port", "--port", &self.port),
            ("server.host", "--host", &self.host),
            ("database.data_dir", "--data-dir", &self.data_dir),
            ("logging.level", "--log-level", &self.log_level),
            ("logging.format", "--log-format", &self.log_format),
            ("database.cache_size", "--cache-size", &self.cache_size),
            ("database.buffer_size", "--buffer-size", &self.buffer_size),
            ("server.insecure", "--insecure", &insecure),
            ("server.pg_port", "--pg-port", &self.pg_port),
            ("server.resp_port", "--resp-port", &self.resp_port),
            ("server.admin_port", "--admin-port", &self.admin_port),
            ("server.enable_api", "--enable-api", &self.enable_api),
            ("server.enable_admin", "--enable-admin", &self.enable_admin),
            ("server.enable_cli", "--enable-cli", &self.enable_cli),
        ];
        let given = flags.into_iter().filter_map(|(path, flag, value)| {
            value.as_ref().map(|value| (path, flag, value.clone()))
        });
        Inputs {
            file: self.config.clone(),
            profile: self.env.clone(),
            flags: given.collect(),
            ..Inputs::of_process()
        }
    }

    /// The directory, if a flag names it.
    pub(crate) fn data_dir(&self) -> Option<PathBuf> {
        self.data_dir.as_ref().map(PathBuf::from)
    }

    /// Whether to measure. `--benchmark-stress` alone asks for a measurement before serving.
    pub(crate) fn measure(&self) -> Measure {
        let stress = self.benchmark_stress.unwrap_or(Stress::Light);
        if self.benchmark_only {
            Measure::Only(stress)
        } else if self.benchmark || self.benchmark_stress.is_some() {
            Measure::ThenServe(stress)
        } else {
            Measure::No
        }
    }
}

/// How hard a measurement loads the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stress {
    /// Some seconds
    #[default]
    Light,
    /// About half a minute
    Medium,
    /// Some minutes
    Heavy,
    /// Data larger than the memory budget
    Extreme,
}

impl Stress {
    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Medium => "medium",
            Self::Heavy => "heavy",
            Self::Extreme => "extreme",
        }
    }
}

/// Which server a client talks to, and as whom.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServerArgs {
    /// The server: http://HOST:PORT, HOST:PORT or HOST
    #[arg(
        short = 'H',
        long = "host",
        value_name = "HOST",
        env = "MANTIS_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) host: String,
    /// Token
    #[arg(short, long, env = "MANTIS_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Certificates to trust for https (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For eyes
    #[default]
    Table,
    /// For programs
    Json,
}

/// What kind of data a verb is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DataKind {
    /// Keys and values
    Kv,
}

/// A key on the command line.
#[derive(Args, Clone, Debug)]
pub(crate) struct KeyArg {
    /// What it names
    #[arg(value_name = "TYPE", value_enum)]
    kind: DataKind,
    /// The key, any bytes
    #[arg(value_name = "KEY")]
    pub(crate) key: OsString,
    /// The key is given in base64
    #[arg(long)]
    pub(crate) base64: bool,
}

/// Arguments of `connect`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConnectArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Ask a few times and say how long each answer took
    #[arg(long)]
    pub(crate) ping: bool,
}

/// Arguments of `stats`.
#[derive(Args, Clone, Debug)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Everything, not only the most telling numbers
    #[arg(long)]
    pub(crate) detailed: bool,
    /// Same as --output
    #[arg(long, value_enum)]
    pub(crate) format: Option<OutputFormat>,
}

/// Arguments of `monitor`.
#[derive(Args, Clone, Debug)]
pub(crate) struct MonitorArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Seconds between two lines
    #[arg(short, long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) interval: u64,
    /// Stop after this many lines
    #[arg(short = 'n', long, value_name = "LINES")]
    pub(crate) count: Option<u64>,
}

/// Arguments of `get`.
#[derive(Args, Clone, Debug)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    pub(crate) key: KeyArg,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// How a value on the command line is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ValueType {
    /// Text where it is text, else bytes
    #[default]
    Auto,
    /// Bytes
    Bytes,
    /// Text
    String,
    /// JSON; refused when it is none
    Json,
}

/// Arguments of `put`.
#[derive(Args, Clone, Debug)]
pub(crate) struct PutArgs {
    #[command(flatten)]
    pub(crate) key: KeyArg,
    /// The value
    #[arg(value_name = "VALUE", required_unless_present = "file")]
    pub(crate) value: Option<OsString>,
    /// Take the value from a file; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "value")]
    pub(crate) file: Option<PathBuf>,
    /// How the value is meant
    #[arg(long = "type", value_enum, default_value_t)]
    pub(crate) value_type: ValueType,
    /// How long it lives, such as 30s, 5m, 7d
    #[arg(long, value_name = "TIME")]
    pub(crate) ttl: Option<String>,
    /// A label; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Arguments of `delete`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    pub(crate) key: KeyArg,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Arguments of `list`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ListArgs {
    /// What to list
    #[arg(value_name = "TYPE", value_enum)]
    kind: DataKind,
    /// Only keys that begin like this
    #[arg(long, value_name = "TEXT")]
    pub(crate) prefix: Option<OsString>,
    /// Most keys to show
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: u64,
    /// All keys, however many
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,
    /// From the last key to the first
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Show the values, too
    #[arg(long)]
    pub(crate) values: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Arguments of `inspect`.
#[derive(Args, Clone, Debug)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) key: KeyArg,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// How many keys are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransferFormat {
    /// JSON lines
    Jsonl,
    /// CSV with a first line of names
    Csv,
}

/// What happens at a line that cannot be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnBadLine {
    /// Stop there, with its number
    #[default]
    Stop,
    /// Write it to FILE.rejected and go on; the exit code is 1 all the same
    Skip,
}

/// Arguments of `import`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ImportArgs {
    /// The file; - is standard input, which cannot be resumed
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// How it is written [default: by its name, else jsonl]
    #[arg(long, value_enum)]
    pub(crate) format: Option<TransferFormat>,
    /// Put this before every key
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) prefix: String,
    /// What to do with a line that cannot be stored
    #[arg(long, value_enum, default_value_t)]
    pub(crate) on_bad_line: OnBadLine,
    /// Begin anew, even if an earlier import of this file was interrupted
    #[arg(long)]
    pub(crate) restart: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Arguments of `export`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ExportArgs {
    /// The file; - is standard output, which cannot be resumed
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// How to write it [default: by its name, else jsonl]
    #[arg(long, value_enum)]
    pub(crate) format: Option<TransferFormat>,
    /// Only keys that begin like this
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) prefix: String,
    /// Begin anew, even if an earlier export to this file was interrupted
    #[arg(long)]
    pub(crate) restart: bool,
    /// Replace the file if it is there
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Arguments of `check`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CheckArgs {
    /// The data directory
    pub(crate) dir: PathBuf,
    /// How to print the findings
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

/// Arguments of `repair`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RepairArgs {
    /// The data directory
    pub(crate) dir: PathBuf,
    /// Say what would be dropped, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `bench`.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchArgs {
    /// How hard; also --benchmark-stress
    #[arg(long, alias = "benchmark-stress", value_enum, default_value_t)]
    pub(crate) stress: Stress,
    /// Directory of the store [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// How to print the figures
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Every setting, its value in force and where that comes from
    Show {
        #[command(flatten)]
        serve: Box<ServeArgs>,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: OutputFormat,
    },
    /// Check a file as the server would read it, with this environment
    Validate {
        /// The file
        file: PathBuf,
        /// Profile to check it for
        #[arg(long, value_name = "PROFILE")]
        env: Option<String>,
    },
}

/// `0.1.0`, with commit and time where the build knows them.
fn version_text() -> String {
    let mut text = version::VERSION.to_owned();
    let known = [version::COMMIT, version::BUILT_AT].into_iter().flatten();
    let known: Vec<&str> = known.collect();
    if !known.is_empty() {
        text.push_str(&format!(" ({})", known.join(", ")));
    }
    text
}

/// What `mantisdb version` prints.
pub(crate) fn version_line() -> String {
    format!("mantisdb {}", version_text())
}
