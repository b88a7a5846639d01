//! Many keys at once: `import` and `export` of JSON lines and CSV.

mod entry;
mod export;
mod import;
mod meter;
mod open;
mod place;
mod read;
mod write;

pub(crate) use export::export;
pub(crate) use import::import;

use std::path::Path;

use crate::cli::TransferFormat;

/// The format that was asked for, or the one that the file's name says, or JSON lines.
fn format_of(said: Option<TransferFormat>, file: &Path) -> TransferFormat {
    let by_name = match file.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => TransferFormat::Csv,
        _ => TransferFormat::Jsonl,
    };
    said.unwrap_or(by_name)
}

/// Whether a file name stands for standard input or output.
fn is_pipe(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// The file with an ending of ours put behind its name.
fn beside(file: &Path, ending: &str) -> std::path::PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    file.with_file_name(name)
}
