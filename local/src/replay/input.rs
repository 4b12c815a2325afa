//! Files to look for spans in.

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::PathBuf;

use flate2::read::MultiGzDecoder;

use super::joined::Joined;

/// What gzip files begin with: exports to S3 consist of such.
const GZIP: [u8; 2] = [0x1f, 0x8b];

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

    /// Its text, unpacked where it is packed, and with lines whole that were cut apart.
    pub(super) fn text(mut self) -> io::Result<impl Read> {
        let mut first = Vec::new();
        self.reader
            .by_ref()
            .take(GZIP.len() as u64)
            .read_to_end(&mut first)?;
        let is_packed = first == GZIP;
        let whole = Cursor::new(first).chain(self.reader);
        let unpacked: Box<dyn Read + Send> = match is_packed {
            true => Box::new(MultiGzDecoder::new(whole)),
            false => Box::new(whole),
        };
        Ok(Joined::new(unpacked))
    }
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
