//! What a part exercises, as one key: equal contents have equal keys, whatever commit they stand in.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The key of the contents of `paths` as they lie in the work tree, committed or not.
///
/// # Errors
/// When git fails or a file cannot be read.
pub(super) fn key(root: &Path, paths: &[&str]) -> Result<String> {
    let list = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
        "--",
    ];
    let listed = git(root, &[&list[..], paths].concat())?;
    let listed = String::from_utf8(listed).context("paths are UTF-8")?;
    let there: Vec<&str> = listed
        .split_terminator('\0')
        .filter(|path| root.join(path).is_file())
        .collect();
    ensure!(!there.is_empty(), "no files below {}", paths.join(", "));
    let ids = feed(root, &["hash-object", "--stdin-paths"], &there.join("\n"))?;
    let lines: Vec<String> = there
        .iter()
        .zip(ids.lines())
        .map(|(path, id)| format!("{id} {path}"))
        .collect();
    feed(root, &["hash-object", "--stdin"], &lines.join("\n"))
}

/// The commit that is checked out, with a word when there are changes beside it.
///
/// # Errors
/// When git fails.
pub(super) fn commit(root: &Path) -> Result<String> {
    let id = text(&git(root, &["rev-parse", "--short=12", "HEAD"])?);
    let page = [
        "status",
        "--porcelain",
        "--",
        ".",
        ":(exclude)docs/reliability.md",
    ];
    let changes = git(root, &page)?;
    Ok(if changes.is_empty() {
        id
    } else {
        format!("{id} with changes")
    })
}

/// The paths that git tracks and whose text holds `word`.
///
/// # Errors
/// When git fails to start.
#[cfg(test)]
pub(super) fn files_with(root: &Path, word: &str) -> Result<String> {
    let out = Command::new("git")
        .args([
            "grep",
            "--untracked",
            "-lw",
            "-e",
            word,
            "--",
            "crates",
            "fuzz",
        ])
        .current_dir(root)
        .output()?;
    Ok(text(&out.stdout))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// What git answers to `input`.
fn feed(root: &Path, arguments: &[&str], input: &str) -> Result<String> {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(root);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start git")?;
    let mut stdin = child.stdin.take().context("git has no standard input")?;
    // Written beside reading: both pipes may fill.
    let (writer, out) = std::thread::scope(|scope| {
        let writer = scope.spawn(move || stdin.write_all(input.as_bytes()));
        let out = child.wait_with_output();
        (writer.join(), out)
    });
    let out = out?;
    ensure!(matches!(writer, Ok(Ok(()))), "git does not read its input");
    ensure!(out.status.success(), "git {} failed", arguments.join(" "));
    Ok(text(&out.stdout))
}

fn git(root: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let out = Command::new("git")
        .args(arguments)
        .current_dir(root)
        .output()
        .context("cannot start git")?;
    ensure!(
        out.status.success(),
        "git {}: {}",
        arguments.first().unwrap_or(&""),
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(out.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(name: &str) -> std::path::PathBuf {
        let root = crate::tree::root().unwrap();
        let dir = root.join("target/xtask").join(name);
        if dir.exists() {
            std::fs::remove_dir_all(&dir).unwrap();
        }
        std::fs::create_dir_all(dir.join("a")).unwrap();
        std::fs::create_dir_all(dir.join("b")).unwrap();
        std::fs::write(dir.join("a/file"), "one").unwrap();
        std::fs::write(dir.join("b/file"), "one").unwrap();
        git(&dir, &["init", "-q"]).unwrap();
        save(&dir);
        dir
    }

    fn save(dir: &Path) {
        let who = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        git(dir, &["add", "."]).unwrap();
        git(dir, &[&who[..], &["commit", "-qm", "x"]].concat()).unwrap();
    }

    #[test]
    fn the_key_follows_the_contents_and_not_the_commit() {
        let dir = repository("control-key");
        let clean = key(&dir, &["a"]).unwrap();
        std::fs::write(dir.join("b/file"), "two").unwrap();
        save(&dir);
        assert_eq!(key(&dir, &["a"]).unwrap(), clean, "another path changed");
        std::fs::write(dir.join("a/file"), "two").unwrap();
        let changed = key(&dir, &["a"]).unwrap();
        assert_ne!(changed, clean);
        save(&dir);
        assert_eq!(key(&dir, &["a"]).unwrap(), changed, "it was committed");
        std::fs::write(dir.join("a/file"), "one").unwrap();
        assert_eq!(key(&dir, &["a"]).unwrap(), clean);
        std::fs::write(dir.join("a/new"), "one").unwrap();
        assert_ne!(key(&dir, &["a"]).unwrap(), clean, "a new file");
    }

    #[test]
    fn changes_beside_the_commit_are_said() {
        let dir = repository("control-commit");
        assert!(!commit(&dir).unwrap().contains(' '));
        std::fs::write(dir.join("a/file"), "two").unwrap();
        assert!(commit(&dir).unwrap().ends_with(" with changes"));
    }
}
