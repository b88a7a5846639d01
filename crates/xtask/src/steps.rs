//! The steps of `cargo xtask ci`, and those that the gate runs besides. A new step is one line here.

/// Something that is run, timed and counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// As the table and the command line name it.
    pub(crate) name: &'static str,
    /// Words separated by blanks; the first one `xtask` means this program.
    pub(crate) command: &'static str,
    /// Set for this step only.
    pub(crate) env: &'static [(&'static str, &'static str)],
    /// What must be there, in the words of `needs.rs`; otherwise the step is skipped with the reason.
    pub(crate) needs: &'static [&'static str],
}

/// Short for a step without environment and needs.
const fn plain(name: &'static str, command: &'static str) -> Step {
    Step {
        name,
        command,
        env: &[],
        needs: &[],
    }
}

/// Per commit. Cheap steps stand first, so that a slip shows early.
pub(crate) const CI: &[Step] = &[
    plain("fmt", "cargo fmt --all --check"),
    Step {
        needs: &["tool:git"],
        ..plain("tidy", "xtask tidy")
    },
    plain(
        "clippy",
        "cargo clippy --workspace --all-targets -- -D warnings",
    ),
    plain(
        "test",
        "cargo test --workspace --lib --bins --tests --examples --no-fail-fast -- --show-output",
    ),
    plain("doctest", "cargo test --workspace --doc --no-fail-fast"),
    Step {
        env: &[("RUSTDOCFLAGS", "-D warnings")],
        ..plain("docs", "cargo doc --workspace --no-deps --quiet")
    },
];

/// Steps of the gate beside [`CI`]; its other parts stand in `gate/parts.rs`.
pub(crate) const GATE: &[Step] = &[plain(
    "test-release",
    "cargo test --workspace --release --no-fail-fast -- --show-output",
)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::needs;

    #[test]
    fn steps_have_names_of_their_own_and_known_needs() {
        let all: Vec<_> = CI.iter().chain(GATE).collect();
        for (index, step) in all.iter().enumerate() {
            assert!(
                all[..index].iter().all(|other| other.name != step.name),
                "{} twice",
                step.name
            );
            assert!(
                matches!(step.command.split(' ').next(), Some("cargo" | "xtask")),
                "{}",
                step.name
            );
            for need in step.needs {
                assert!(needs::is_known(need), "{} needs {need}", step.name);
            }
        }
    }
}
