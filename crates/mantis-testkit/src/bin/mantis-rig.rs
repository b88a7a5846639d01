//! The rig's command line: the children that are killed, and the parts that kill them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use mantis_testkit::rig::reading::Reading;
use mantis_testkit::rig::script::Script;
use mantis_testkit::rig::target::TargetKind;
use mantis_testkit::rig::wire::Line;
use mantis_testkit::rig::writing::{Part, Writing};

#[derive(Debug, Parser)]
#[command(
    about = "Crashes the store in every way that the machine offers, and checks what is left"
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// A writing child (started by the other verbs).
    Writer(WriterArgs),
    /// A reading child (started by the other verbs).
    Reader(ReaderArgs),
    /// A child that uses memory: the control of the memory cap.
    Eater(EaterArgs),
}

#[derive(Debug, Args)]
struct WriterArgs {
    #[arg(long)]
    dir: PathBuf,
    #[arg(long, value_parser = target)]
    target: TargetKind,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    epoch: u64,
    #[arg(long)]
    writers: u32,
    #[arg(long)]
    keys: u64,
    #[arg(long)]
    value_bytes_max: u64,
    #[arg(long)]
    large_bytes_max: u64,
    #[arg(long)]
    large_percent: u64,
    #[arg(long)]
    mixed_classes: bool,
    #[arg(long)]
    persist: bool,
    #[arg(long, value_delimiter = ',', value_parser = part)]
    plan: Vec<Part>,
}

#[derive(Debug, Args)]
struct ReaderArgs {
    #[arg(long)]
    dir: PathBuf,
    #[arg(long, value_parser = target)]
    target: TargetKind,
    #[arg(long)]
    close: bool,
}

#[derive(Debug, Args)]
struct EaterArgs {
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    mb: usize,
}

fn target(word: &str) -> Result<TargetKind, String> {
    TargetKind::from_word(word).ok_or_else(|| format!("no target {word}"))
}

fn part(word: &str) -> Result<Part, String> {
    Part::from_word(word).ok_or_else(|| format!("no part {word}"))
}

impl From<WriterArgs> for Writing {
    fn from(args: WriterArgs) -> Self {
        let script = Script {
            seed: args.seed,
            writers: args.writers,
            keys: args.keys,
            value_bytes_max: args.value_bytes_max,
            large_bytes_max: args.large_bytes_max,
            large_percent: args.large_percent,
            mixed_classes: args.mixed_classes,
        };
        let WriterArgs {
            dir,
            target,
            epoch,
            plan,
            persist,
            ..
        } = args;
        Self {
            dir,
            target,
            script,
            epoch,
            plan,
            persist,
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().verb {
        Verb::Writer(args) => Writing::from(args).perform()?,
        Verb::Reader(ReaderArgs { dir, target, close }) => {
            Reading { dir, target, close }.perform()?;
        }
        Verb::Eater(EaterArgs { mb, .. }) => {
            let eaten = std::hint::black_box(vec![1_u8; mb << 20]);
            Line::Done(u64::try_from(eaten.len())?).say()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
