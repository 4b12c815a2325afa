//! Log files and standard input.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::container_lines::join_container_lines;
use super::unpack::{UnpackContext, unpack};

/// Path of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InputPath {
    StandardInput,
    File(PathBuf),
}

/// An open log.
pub(super) struct LogInput {
    /// Name in reports and errors.
    pub(super) name: String,
    reader: Box<dyn Read + Send>,
}

impl LogInput {
    pub(super) fn open(path: &InputPath) -> io::Result<Self> {
        let reader: Box<dyn Read + Send> = match path {
            InputPath::StandardInput => Box::new(io::stdin()),
            InputPath::File(path) => Box::new(open_file(path)?),
        };
        Ok(Self {
            name: path.to_string(),
            reader,
        })
    }

    /// Returns the unpacked text of the log with split lines joined. Parts that cannot be read are
    /// reported to `context`.
    pub(super) fn into_text(self, context: &UnpackContext) -> impl Read {
        join_container_lines(unpack(self.reader, context))
    }
}

fn open_file(path: &PathBuf) -> io::Result<File> {
    let file = File::open(path)?;
    // Opening a directory succeeds, and only reading it would fail.
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

impl fmt::Display for InputPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandardInput => formatter.write_str("standard input"),
            Self::File(path) => path.display().fmt(formatter),
        }
    }
}
