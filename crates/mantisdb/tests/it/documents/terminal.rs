//! A shell that types the examples of a page, one after the other.

use std::io::{BufRead, BufReader, PipeReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Longest time for all examples of a page, in seconds.
const PAGE_SECONDS_MAX: &str = "300";

/// Stands behind the output of each command.
const END: &str = "--- that was all ---";

/// What the examples use.
const TOOLS: &[&str] = &["bash", "curl", "python3", "timeout"];

/// A tool that the examples use and this machine does not have.
pub(crate) fn missing_tool() -> Option<&'static str> {
    let runs = |tool: &str| {
        let mut command = Command::new(tool);
        command.arg("--version").stdin(Stdio::null());
        let output = command.output();
        output.is_ok_and(|output| output.status.success())
    };
    TOOLS.iter().copied().find(|tool| !runs(tool))
}

/// A shell in a directory of its own. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<PipeReader>,
}

impl Shell {
    /// A shell in `dir` that finds the programs of `dir/bin` first.
    pub(crate) fn start(dir: &Path) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("timeout");
        command
            .args([PAGE_SECONDS_MAX, "bash", "--noprofile", "--norc"])
            .current_dir(dir)
            .env_clear()
            .env("PATH", format!("{}:{path}", dir.join("bin").display()))
            .env("HOME", dir)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(writer.try_clone().unwrap())
            .stderr(writer);
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(reader);
        Self {
            child,
            input,
            output,
        }
    }

    /// Types a command; answers the lines that it writes to either output.
    #[track_caller]
    pub(crate) fn run(&mut self, command: &str) -> Vec<String> {
        // What a command reads must not be what is typed next.
        let typed = format!("{{ {command}\n}} < /dev/null\nprintf '\\n{END}\\n'");
        writeln!(self.input, "{typed}").unwrap();
        self.input.flush().unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let count = self.output.read_line(&mut line).unwrap();
            assert!(count > 0, "the shell ended in {command}: {lines:?}");
            if line.trim_end() == END {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        // The line end before the mark is ours, and with it an empty line when the output had one.
        if lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
