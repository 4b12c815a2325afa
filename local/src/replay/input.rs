//! Files to look for spans in.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::context::Context;
use super::embedded::Embedded;
use super::joined::joined;
use super::unpacked::Unpacked;
use super::yaml::unfolded;

/// Where a log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    StandardInput,
    File(PathBuf),
}

/// A log that is open.
pub(super) struct Input {
    /// For people.
    pub(super) name: String,
    reader: Box<dyn Read + Send>,
}

impl Input {
    pub(super) fn open(place: &Place) -> io::Result<Self> {
        let reader: Box<dyn Read + Send> = match place {
            Place::StandardInput => Box::new(io::stdin()),
            Place::File(path) => Box::new(file(path)?),
        };
        Ok(Self {
            name: place.to_string(),
            reader,
        })
    }

    /// Returns the log's text, unpacked, and with split lines joined. Parts that cannot be read are
    /// reported to the context.
    pub(super) fn text(self, context: &Context) -> impl Read {
        joined(text(self.reader, context))
    }
}

/// Returns the text in data that may be packed. Split lines are not joined yet.
pub(super) fn text(reader: Box<dyn Read>, context: &Context) -> Box<dyn Read> {
    let unpacked = Unpacked::new(reader, context.clone());
    Box::new(Embedded::new(unfolded(unpacked), context.clone()))
}

fn file(path: &PathBuf) -> io::Result<File> {
    let file = File::open(path)?;
    // A folder can be opened, and fails only when it is read.
    match file.metadata()?.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => Ok(file),
    }
}

/// For people.
impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandardInput => formatter.write_str("standard input"),
            Self::File(path) => path.display().fmt(formatter),
        }
    }
}
