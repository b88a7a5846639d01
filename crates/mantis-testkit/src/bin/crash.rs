//! `cargo xtask crash`: crashes the store in every way that the machine offers, and checks what is
//! left. The children that are killed are this program, too.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use mantis_testkit::fuzz;
use mantis_testkit::rig::campaign::{Campaign, Extent};
use mantis_testkit::rig::child::Binary;
use mantis_testkit::rig::once_child::Retrying;
use mantis_testkit::rig::reading::Reading;
use mantis_testkit::rig::report::{Outcome, Report};
use mantis_testkit::rig::script::Script;
use mantis_testkit::rig::sweep::Activity;
use mantis_testkit::rig::target::TargetKind;
use mantis_testkit::rig::txn_child::{Through, Transacting};
use mantis_testkit::rig::wire::Line;
use mantis_testkit::rig::writing::{Part, Writing};
use rustix::process::{Signal, set_parent_process_death_signal};

#[derive(Debug, Parser)]
#[command(about = "Crashes the store and checks what is left; without options: short sizes of all")]
struct Cli {
    #[command(subcommand)]
    child: Option<Verb>,
    #[command(flatten)]
    parts: Parts,
}

type Run<'a> = Box<dyn FnOnce() -> anyhow::Result<Report> + 'a>;

/// Which parts, and how large.
#[derive(Debug, Args)]
struct Parts {
    /// So many kills
    #[arg(long)]
    kill: Option<u64>,
    /// So many power cuts (root, loop devices, ext4)
    #[arg(long)]
    power: Option<u64>,
    /// Kills at so many system calls (strace)
    #[arg(long, num_args = 0..=1, default_missing_value = "200")]
    syscalls: Option<usize>,
    /// Failing syncs and writes at so many system calls (strace)
    #[arg(long, num_args = 0..=1, default_missing_value = "60")]
    faults: Option<usize>,
    /// So many bit flips
    #[arg(long)]
    flip: Option<u64>,
    /// A disk that fills and grows, so many times (root, tmpfs)
    #[arg(long, num_args = 0..=1, default_missing_value = "1")]
    full: Option<u64>,
    /// Kills at every system call of one activity: 0 create, 1 commit, 2 flush, 3 compact,
    /// 4 checkpoint, 5 close
    #[arg(long, value_parser = activity)]
    syscalls_of: Option<Activity>,
    /// Failing syncs and writes at every system call of one activity, numbered as above
    #[arg(long, value_parser = activity)]
    faults_of: Option<Activity>,
    /// Simulated machines, so many seeds
    #[arg(long)]
    sim: Option<u64>,
    /// Kills amid transactions of several keys
    #[arg(long)]
    txn_kill: Option<u64>,
    /// Kills amid writes that are retried under a key
    #[arg(long)]
    once_kill: Option<u64>,
    /// Histories of so many transactions, at every level, judged
    #[arg(long)]
    histories: Option<u64>,
    /// Interleaved transactions on simulated machines, so many seeds
    #[arg(long)]
    interleaved: Option<u64>,
    /// A load of so many steps under a memory cap of 200 MiB (root, control groups)
    #[arg(long, num_args = 0..=1, default_missing_value = "2000")]
    cap: Option<u64>,
    /// Repeats a run
    #[arg(long)]
    seed: Option<u64>,
    /// Where stores are made; kept. Default: a temporary directory
    #[arg(long)]
    at: Option<PathBuf>,
    /// A part that cannot run is a failure
    #[arg(long)]
    skips_fail: bool,
    /// For a program that runs this one: says each report once more, and dies with it
    #[arg(long)]
    report: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// A writing child
    #[command(hide = true)]
    Writer(WriterArgs),
    /// A reading child
    #[command(hide = true)]
    Reader(ReaderArgs),
    /// A child that is killed amid transactions
    #[command(hide = true)]
    Transactor(TransactorArgs),
    /// A child that is killed amid retried writes
    #[command(hide = true)]
    Retrier(RetrierArgs),
    /// A child that uses memory: the control of the memory cap
    #[command(hide = true)]
    Eater(EaterArgs),
    /// Writes the well-formed inputs that fuzzing begins with, a directory for each target
    FuzzSeeds(FuzzSeedsArgs),
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
struct TransactorArgs {
    #[arg(long)]
    dir: PathBuf,
    #[arg(long, value_parser = through)]
    through: Through,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    first: u64,
    #[arg(long)]
    process: u64,
}

impl TransactorArgs {
    fn perform(self) -> std::io::Result<()> {
        let Self {
            dir,
            through,
            seed,
            first,
            process,
        } = self;
        let transacting = Transacting {
            dir,
            through,
            seed,
            first,
            process,
        };
        transacting.perform()
    }
}

#[derive(Debug, Args)]
struct RetrierArgs {
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    keyed: bool,
    #[arg(long, value_delimiter = ',')]
    again: Vec<u64>,
    #[arg(long)]
    first: Option<u64>,
}

impl RetrierArgs {
    fn perform(self) -> std::io::Result<()> {
        let Self {
            dir,
            keyed,
            again,
            first,
        } = self;
        let retrying = Retrying {
            dir,
            keyed,
            again,
            first,
        };
        retrying.perform()
    }
}

#[derive(Debug, Args)]
struct EaterArgs {
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    mb: usize,
}

#[derive(Debug, Args)]
struct FuzzSeedsArgs {
    #[arg(long)]
    dir: PathBuf,
}

impl FuzzSeedsArgs {
    fn write(&self) -> anyhow::Result<()> {
        for target in &fuzz::TARGETS {
            let dir = self.dir.join(target.name);
            std::fs::create_dir_all(&dir)?;
            for (number, seed) in (target.seeds)().iter().enumerate() {
                std::fs::write(dir.join(format!("seed-{number}")), seed)?;
            }
        }
        Ok(())
    }
}

fn target(word: &str) -> Result<TargetKind, String> {
    TargetKind::from_word(word).ok_or_else(|| format!("no target {word}"))
}

fn through(word: &str) -> Result<Through, String> {
    Through::from_word(word).ok_or_else(|| format!("no door {word}"))
}

fn activity(word: &str) -> Result<Activity, String> {
    let number = word.parse().ok();
    let activity = number.and_then(|number: usize| Activity::ALL.get(number));
    activity
        .copied()
        .ok_or_else(|| format!("no activity {word}"))
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
    let cli = Cli::parse();
    match cli.child {
        Some(Verb::Writer(args)) => Writing::from(args).perform()?,
        Some(Verb::Reader(ReaderArgs { dir, target, close })) => {
            Reading { dir, target, close }.perform()?;
        }
        Some(Verb::Transactor(args)) => args.perform()?,
        Some(Verb::Retrier(args)) => args.perform()?,
        Some(Verb::Eater(EaterArgs { mb, .. })) => {
            let eaten = std::hint::black_box(vec![1_u8; mb << 20]);
            Line::Done(u64::try_from(eaten.len())?).say()?;
        }
        Some(Verb::FuzzSeeds(args)) => args.write()?,
        None => return cli.parts.run(),
    }
    Ok(ExitCode::SUCCESS)
}

impl Parts {
    fn run(self) -> anyhow::Result<ExitCode> {
        if self.report {
            // The children end by themselves when nobody hears them.
            set_parent_process_death_signal(Some(Signal::KILL))?;
        }
        let here = tempfile::tempdir()?;
        let dir = self.at.clone().unwrap_or_else(|| here.path().to_owned());
        let seed = self.seed.unwrap_or_else(|| u64::from(std::process::id()));
        let binary = Binary::new(std::env::current_exe()?);
        let campaign = Campaign { binary, seed, dir };
        say(&format!("repeat with --seed {seed}"));
        let mut bad = 0_u32;
        for report in self.reports(&campaign) {
            let report = report?;
            say(&report.to_string());
            if self.report {
                say(&format!("REPORT {}", report.line()));
            }
            bad += match report.outcome {
                Outcome::Passed => 0,
                Outcome::Failed | Outcome::Uncalibrated(_) => 1,
                Outcome::Skipped(_) => u32::from(self.skips_fail),
            };
        }
        say(&format!("{bad} parts failed"));
        if bad > 0 {
            say(&format!("kept for a look: {}", here.keep().display()));
            return Ok(ExitCode::FAILURE);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn reports<'a>(
        &'a self,
        campaign: &'a Campaign,
    ) -> impl Iterator<Item = anyhow::Result<Report>> + 'a {
        let Self {
            kill,
            power,
            syscalls,
            faults,
            syscalls_of,
            faults_of,
            flip,
            full,
            cap,
            sim,
            txn_kill,
            once_kill,
            histories,
            interleaved,
            ..
        } = self;
        let counted = [
            kill,
            power,
            flip,
            cap,
            full,
            sim,
            txn_kill,
            once_kill,
            histories,
            interleaved,
        ];
        let all = counted.iter().all(|part| part.is_none())
            && [syscalls, faults].iter().all(|part| part.is_none())
            && [syscalls_of, faults_of].iter().all(|part| part.is_none());
        let wanted = move |part: &Option<u64>, short: u64| part.or_else(|| all.then_some(short));
        let points = move |part: &Option<usize>, short| {
            let part = part.or_else(|| all.then_some(short));
            part.map(Extent::Short)
        };
        let end = |part: &Option<Activity>| part.map(Extent::End);
        let syscalls = points(syscalls, 200).into_iter().chain(end(syscalls_of));
        let faults = points(faults, 60).into_iter().chain(end(faults_of));
        let mut runs: Vec<Run<'a>> = Vec::new();
        runs.extend(wanted(kill, 100).map(|n| Box::new(move || campaign.kill(n)) as _));
        runs.extend(wanted(power, 20).map(|n| Box::new(move || campaign.power(n)) as _));
        runs.extend(syscalls.map(|extent| Box::new(move || campaign.syscalls(extent)) as _));
        runs.extend(faults.map(|extent| Box::new(move || campaign.faults(extent)) as _));
        runs.extend(wanted(flip, 500).map(|n| Box::new(move || campaign.flip(n)) as _));
        let full = wanted(full, 1).unwrap_or(0);
        runs.extend((0..full).map(|_| Box::new(move || campaign.full()) as _));
        runs.extend(wanted(cap, 2000).map(|n| Box::new(move || campaign.cap(n)) as _));
        runs.extend(wanted(sim, 60).map(|n| Box::new(move || Ok(campaign.sim(n))) as _));
        runs.extend(wanted(txn_kill, 100).map(|n| Box::new(move || campaign.txn_kill(n)) as _));
        runs.extend(wanted(once_kill, 100).map(|n| Box::new(move || campaign.once_kill(n)) as _));
        runs.extend(
            wanted(histories, 70_000).map(|n| Box::new(move || campaign.histories(n)) as _),
        );
        let interleaved = wanted(interleaved, 60);
        runs.extend(interleaved.map(|n| Box::new(move || Ok(campaign.interleaved(n))) as _));
        runs.into_iter().map(|run| run())
    }
}

#[expect(clippy::print_stdout, reason = "the report of a command for people")]
fn say(text: &str) {
    println!("{text}");
}
