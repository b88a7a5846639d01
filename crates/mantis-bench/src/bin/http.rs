//! Measures the HTTP front end: `cargo run --release -p mantis-bench --bin http -- get`.
//!
//! Needs `cargo build --release -p mantisdb` before. Without a name everything is measured, in short
//! form. Missed floors are shown and are no failure of the program: figures of a busy machine say
//! nothing.
#![expect(clippy::print_stdout, reason = "a measuring program prints its tables")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use mantis_bench::http::report::Report;
use mantis_bench::http::server::Programs;
use mantis_bench::http::{connections, get, lists, put, reference, start, writers};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(about = "Measures the HTTP front end beside a bare axum server")]
struct Cli {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    place: Place,
}

#[derive(Args, Debug)]
struct Place {
    /// The server's binary [default: mantisdb beside this program]
    #[arg(long, global = true)]
    server: Option<PathBuf>,
    /// Where directories are made [default: the system's temporary directory]
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
    /// Also write the figures as JSON
    #[arg(long, value_name = "FILE", global = true)]
    json: Option<PathBuf>,
}

#[derive(Args, Clone, Copy, Debug)]
struct Rounds {
    /// Interleaved rounds
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Seconds of each run
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

impl From<Rounds> for get::Size {
    fn from(Rounds { rounds, seconds }: Rounds) -> Self {
        Self {
            rounds: rounds.max(1),
            span: Duration::from_secs(seconds),
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// GET of one key and of 100,000
    Get(Rounds),
    /// PUT of each durability class
    Put(Rounds),
    /// Open keep-alive connections
    Connections {
        /// How many
        #[arg(long, default_value_t = 10_000)]
        count: usize,
        /// Seconds of each run of the active ones
        #[arg(long, default_value_t = 3)]
        seconds: u64,
    },
    /// Resident memory at start
    Start,
    /// Bytes of compressed lists
    ListCompression,
    /// Writers that go on
    Writers {
        /// Connections
        #[arg(long, default_value_t = 40)]
        writers: u64,
        /// For how long
        #[arg(long, default_value_t = 20)]
        seconds: u64,
        /// Durability class
        #[arg(long, default_value = "sync")]
        class: String,
    },
    /// Serves as the bare server until it is killed
    #[command(hide = true)]
    Reference,
}

fn main() -> anyhow::Result<()> {
    let Cli { what, place } = Cli::parse();
    if matches!(what, Some(What::Reference)) {
        return reference::serve();
    }
    let programs = Programs::find(place.server, place.dir)?;
    let mut reports = Vec::new();
    for what in what.map_or_else(everything, |what| vec![what]) {
        let report = measure(&programs, what)?;
        println!("{}", report.table());
        reports.push(report);
    }
    if let Some(path) = place.json {
        let all: Vec<_> = reports.iter().map(Report::json).collect();
        std::fs::write(path, serde_json::to_vec_pretty(&all)?)?;
    }
    Ok(())
}

fn everything() -> Vec<What> {
    let rounds = Rounds {
        rounds: 3,
        seconds: 2,
    };
    let (count, seconds) = (10_000, 2);
    let writers = What::Writers {
        writers: 40,
        seconds: 10,
        class: "sync".to_owned(),
    };
    vec![
        What::Start,
        What::Get(rounds),
        What::Put(rounds),
        What::Connections { count, seconds },
        What::ListCompression,
        writers,
    ]
}

fn measure(programs: &Programs, what: What) -> anyhow::Result<Report> {
    match what {
        What::Get(rounds) => get::measure(programs, rounds.into()),
        What::Put(rounds) => put::measure(programs, rounds.into()),
        What::Connections { count, seconds } => {
            connections::measure(programs, count, Duration::from_secs(seconds))
        }
        What::Start => start::measure(programs),
        What::ListCompression => lists::measure(programs),
        What::Writers {
            writers,
            seconds,
            class,
        } => writers::measure(
            programs,
            &writers::Size {
                writers,
                seconds,
                class,
            },
        ),
        What::Reference => anyhow::bail!("this serves, and measures nothing"),
    }
}
