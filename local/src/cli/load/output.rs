//! The outputs of the report: the summary and the JSON.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::load::LoadReport;

/// Destination of the JSON.
#[derive(Debug)]
pub(super) enum JsonOutput {
    None,
    /// Standard output. The summary goes to standard error.
    StandardOutput,
    File(PathBuf, File),
}

/// Error in writing the report.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutputError {
    /// The file cannot be created.
    #[error("cannot create {}", path.display())]
    Create { path: PathBuf, source: io::Error },
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// Standard output cannot be written.
    #[error("cannot write the report")]
    StandardOutput(#[from] io::Error),
    /// The report cannot be converted to JSON.
    #[error("cannot convert the report to JSON")]
    Json(#[from] serde_json::Error),
}

impl JsonOutput {
    /// Creates the file, so that a wrong path is reported before the run.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, OutputError> {
        match path {
            None => Ok(Self::None),
            Some(path) if path == Path::new("-") => Ok(Self::StandardOutput),
            Some(path) => match File::create(path) {
                Ok(file) => Ok(Self::File(path.to_owned(), file)),
                Err(source) => Err(OutputError::Create {
                    path: path.to_owned(),
                    source,
                }),
            },
        }
    }

    /// Prints the summary and writes the JSON.
    pub(super) fn write(self, report: &LoadReport) -> Result<(), OutputError> {
        match self {
            Self::None => print_summary(anstream::stdout().lock(), report)?,
            Self::StandardOutput => {
                print_summary(anstream::stderr().lock(), report)?;
                let mut out = io::stdout().lock();
                writeln!(out, "{}", report.to_json()?)?;
                out.flush()?;
            }
            Self::File(path, mut file) => {
                print_summary(anstream::stdout().lock(), report)?;
                let json = report.to_json()?;
                writeln!(file, "{json}").map_err(|source| OutputError::File { path, source })?;
            }
        }
        Ok(())
    }
}

pub(super) fn print_summary(mut out: impl Write, report: &LoadReport) -> io::Result<()> {
    write!(out, "\n{report}")?;
    out.flush()
}
