//! `cargo xtask openapi`: writes openapi/openapi.json, or checks that it is the one that is served.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::tree::{cargo, root};

/// The test that compares the committed document with the generated one.
const TEST: &str = "openapi::tests::the_committed_document_is_the_generated_one";

/// Makes that test write the document first.
const WRITE: &str = "MANTIS_OPENAPI_WRITE";

/// Writes the document; with `--check` only compares.
///
/// # Errors
/// For other arguments, and when cargo cannot be run. An old document is an exit code.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let writes = match arguments {
        [] => true,
        [only] if only == "--check" => false,
        _ => bail!("openapi takes --check or nothing"),
    };
    let mut command = Command::new(cargo());
    command.args(["test", "--quiet", "--package", "mantis-http", "--lib"]);
    command.args(["--", "--exact", TEST]).current_dir(root()?);
    command.env_remove(WRITE).stderr(Stdio::inherit());
    if writes {
        command.env(WRITE, "1");
    }
    let output = command.output().context("cannot run cargo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        print!("{said}");
        return Ok(ExitCode::FAILURE);
    }
    // A test of another name would let everything pass.
    if !ran_one(&said) {
        bail!("mantis-http has no test {TEST}");
    }
    println!("openapi/openapi.json is the document that is served");
    Ok(ExitCode::SUCCESS)
}

fn ran_one(said: &str) -> bool {
    said.contains("test result: ok. 1 passed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_the_test_is_no_success() {
        assert!(ran_one(
            "test result: ok. 1 passed; 0 failed; 90 filtered out"
        ));
        assert!(!ran_one(
            "test result: ok. 0 passed; 0 failed; 91 filtered out"
        ));
    }

    #[test]
    fn other_arguments_are_refused() {
        let error = run(&["--chekc".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("--check"), "{error}");
    }
}
