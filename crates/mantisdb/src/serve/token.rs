//! The admin token of a server for which none was set: made at the first start, kept in the data
//! directory, printed once.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use mantis_env::{Env, OpenMode};

use crate::config::write_whole;

/// The file in the data directory.
const FILE: &str = "admin_token";

/// Random bytes in a token.
const TOKEN_BYTES: usize = 24;

/// Longest file that is taken for a token.
const FILE_BYTES_MAX: u64 = 4096;

/// The token, and whether this call made it.
#[derive(Debug)]
pub(crate) struct KeptToken {
    /// The token.
    pub(crate) token: String,
    /// Where it is kept, when it was made now: its owner has not seen it.
    pub(crate) made: Option<PathBuf>,
}

/// The token that is kept in the directory; one is made when there is none.
///
/// # Errors
/// When it cannot be read or written, or holds no token.
pub(crate) fn kept(env: &Env, dir: &Path) -> anyhow::Result<KeptToken> {
    let path = dir.join(FILE);
    match read(env, &path) {
        Ok(token) => {
            let token = token.trim_end().to_owned();
            if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
                bail!(
                    "{} holds no token: remove it, and a new one is made",
                    path.display()
                );
            }
            Ok(KeptToken { token, made: None })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let token = make(env);
            let text = format!("{token}\n");
            let written = write_whole(env, &path, text.as_bytes());
            written.with_context(|| format!("cannot write {}", path.display()))?;
            Ok(KeptToken {
                token,
                made: Some(path),
            })
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn make(env: &Env) -> String {
    let mut bytes = [0; TOKEN_BYTES];
    env.rng().fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(env: &Env, path: &Path) -> io::Result<String> {
    let file = env.fs().open(path, OpenMode::Read)?;
    let len = usize::try_from(file.len()?.min(FILE_BYTES_MAX)).unwrap_or(0);
    let mut bytes = vec![0; len];
    let count = file.read_at(0, &mut bytes)?;
    bytes.truncate(count);
    String::from_utf8(bytes).map_err(|_| io::Error::from(ErrorKind::InvalidData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_kept() {
        let env = Env::simulated(7);
        let dir = Path::new("/data");
        env.fs().create_dir(dir).unwrap();
        let first = kept(&env, dir).unwrap();
        assert!(first.made.is_some() && first.token.len() == 2 * TOKEN_BYTES);
        let again = kept(&env, dir).unwrap();
        assert_eq!((again.token, again.made), (first.token, None));
    }

    #[test]
    fn a_file_without_a_token_is_refused() {
        let env = Env::simulated(7);
        let dir = Path::new("/data");
        env.fs().create_dir(dir).unwrap();
        write_whole(&env, &dir.join(FILE), b"two words\n").unwrap();
        assert!(
            kept(&env, dir)
                .unwrap_err()
                .to_string()
                .contains("no token")
        );
    }
}
