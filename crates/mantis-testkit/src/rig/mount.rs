//! Mounts of the rig: ext4 on a loop device, and tmpfs of a size. Unmounted whatever happens.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::probe::{root, run, text};

const UNMOUNT_TRIES: u32 = 100;
const UNMOUNT_PAUSE: Duration = Duration::from_millis(50);
/// `EXT4_IOC_SHUTDOWN` with 2, no flush of the journal: what a power cut leaves. perl is on every
/// Debian system; it waits for a line, so that the cut itself takes no time.
const CUTTER: &str = "$| = 1; sysopen(my $dir, $ARGV[0], 0) or die qq(open: $!); print qq(ready\\n); \
    <STDIN>; my $how = pack(q(L), 2); ioctl($dir, 0x8004587d, $how) or die qq(ioctl: $!); \
    print qq(cut\\n);";

/// A file system of ext4 in a file, mounted by a loop device.
#[derive(Debug)]
pub struct LoopExt4 {
    image: PathBuf,
    at: PathBuf,
    mounted: bool,
}

impl LoopExt4 {
    /// Whether this machine can: root, mkfs.ext4, a loop device, the shutdown call.
    ///
    /// # Errors
    /// The reason why not.
    pub fn probe(dir: &Path) -> Result<()> {
        root()?;
        let mut disk = Self::create(&dir.join("probe"), 16)?;
        fs::write(disk.path().join("unsynced"), b"x")?;
        disk.cutter()?.cut()?;
        disk.replug()?;
        ensure!(
            !disk.path().join("unsynced").exists(),
            "the cut kept an unsynced file"
        );
        Ok(())
    }

    /// Makes and mounts one of `size_mb` below `dir`.
    ///
    /// # Errors
    /// When a command fails.
    pub fn create(dir: &Path, size_mb: u64) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let (image, at) = (dir.join("disk.img"), dir.join("disk"));
        File::create(&image)?.set_len(size_mb << 20)?;
        run("mkfs.ext4", &["-qF", text(&image)?])?;
        fs::create_dir_all(&at)?;
        let mut disk = Self {
            image,
            at,
            mounted: false,
        };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Gets ready to cut the power.
    ///
    /// # Errors
    /// When perl does not start.
    pub fn cutter(&self) -> Result<Cutter> {
        let mut perl = Command::new("perl")
            .args(["-e", CUTTER])
            .arg(&self.at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting perl")?;
        let said = perl.stdout.take().context("perl has no output")?;
        let mut cutter = Cutter {
            perl,
            said: BufReader::new(said),
        };
        cutter.expect("ready")?;
        Ok(cutter)
    }

    /// After a cut: unmounts, and mounts again, which replays the journal of the file system.
    ///
    /// # Errors
    /// When a command fails; everything that used the disk must have ended.
    pub fn replug(&mut self) -> Result<()> {
        self.unmount()?;
        self.mount()
    }

    fn mount(&mut self) -> Result<()> {
        run(
            "mount",
            &["-o", "loop", text(&self.image)?, text(&self.at)?],
        )?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<()> {
        if self.mounted {
            unmount(&self.at)?;
            self.mounted = false;
        }
        Ok(())
    }
}

impl Drop for LoopExt4 {
    fn drop(&mut self) {
        if self.mounted && unmount(&self.at).is_err() {
            // Lazily is better than never: the loop device goes with the last user.
            drop(run("umount", &["-l", &self.at.to_string_lossy()]));
        }
    }
}

/// A process that waits for the order to cut.
#[derive(Debug)]
pub struct Cutter {
    perl: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Cutter {
    /// Cuts the power now.
    ///
    /// # Errors
    /// When the call is refused.
    pub fn cut(mut self) -> Result<()> {
        self.perl
            .stdin
            .take()
            .context("perl has no input")?
            .write_all(b"go\n")?;
        self.expect("cut")
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        ensure!(line.trim() == word, "perl said {line:?} instead of {word}");
        Ok(())
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        drop(self.perl.kill());
        drop(self.perl.wait());
    }
}

/// A tmpfs of a size that can grow.
#[derive(Debug)]
pub struct SizedTmpfs {
    at: PathBuf,
}

impl SizedTmpfs {
    /// Whether this machine can.
    ///
    /// # Errors
    /// The reason why not.
    pub fn probe(dir: &Path) -> Result<()> {
        root()?;
        Self::create(&dir.join("probe"), 1)?.resize(2)
    }

    /// Mounts one of `size_mb` at `at`.
    ///
    /// # Errors
    /// When mount fails.
    pub fn create(at: &Path, size_mb: u64) -> Result<Self> {
        fs::create_dir_all(at)?;
        run(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size_mb}m"),
                "tmpfs",
                text(at)?,
            ],
        )?;
        Ok(Self { at: at.to_owned() })
    }

    /// Gives it another size.
    ///
    /// # Errors
    /// When mount fails.
    pub fn resize(&self, size_mb: u64) -> Result<()> {
        run(
            "mount",
            &["-o", &format!("remount,size={size_mb}m"), text(&self.at)?],
        )
        .map(drop)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for SizedTmpfs {
    fn drop(&mut self) {
        if unmount(&self.at).is_err() {
            drop(run("umount", &["-l", &self.at.to_string_lossy()]));
        }
    }
}

/// Killed processes let go of their files a moment after they were reaped.
fn unmount(at: &Path) -> Result<()> {
    let mut last = None;
    for _ in 0..UNMOUNT_TRIES {
        match run("umount", &[text(at)?]) {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
        thread::park_timeout(UNMOUNT_PAUSE);
    }
    match last {
        Some(error) => Err(error),
        None => bail!("not tried to unmount"),
    }
}
