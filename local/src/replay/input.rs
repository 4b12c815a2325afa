//! Files to look for spans in.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::container_lines::join_container_lines;
use super::unpack::{UnpackContext, unpack};

/// Where a log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InputPath {
    StandardInput,
    File(PathBuf),
}

/// A log that is open.
pub(super) struct LogInput {
    /// For people.
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

    /// Returns the log's text, unpacked, and with split lines joined. Parts that cannot be read are
    /// reported to the context.
    pub(super) fn into_text(self, context: &UnpackContext) -> impl Read {
        join_container_lines(unpack(self.reader, context))
    }
}

fn open_file(path: &PathBuf) -> io::Result<File> {
    let file = File::open(path)?;
    // A folder can be opened, and fails only when it is read.
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

/// For people.
impl fmt::Display for InputPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandardInput => formatter.write_str("standard input"),
            Self::File(path) => path.display().fmt(formatter),
        }
    }
}
