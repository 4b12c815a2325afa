//! Ledger of sent spans, which prevents sending a span to an endpoint twice.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::spill_line::is_id;

/// First line of every ledger.
const TITLE: &str = "baton replay ledger 1";

/// Ids of spans that an endpoint has accepted. The ledger is a text file for all endpoints: a
/// title, then one id and endpoint per line.
#[derive(Debug)]
pub(super) struct ReplayLedger {
    path: PathBuf,
    endpoint: String,
    sent: HashSet<String>,
    /// `None` if the ledger is only read.
    file: Option<File>,
}

/// Error in reading or writing a ledger. Unless writing failed, no spans have been sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    #[error("cannot {action} the ledger {path}")]
    Io {
        path: PathBuf,
        action: &'static str,
        source: io::Error,
    },
    #[error("the ledger {0} is in use by another replay")]
    InUse(PathBuf),
    #[error(
        "invalid line {line} in the ledger {path}: expected {expected}; repair it, or name another ledger with --ledger, which resends all spans"
    )]
    Damaged {
        path: PathBuf,
        line: usize,
        expected: &'static str,
    },
}

impl ReplayLedger {
    /// Opens or creates a ledger, and locks it against other replays.
    pub(super) fn open(path: &Path, endpoint: &str) -> Result<Self, LedgerError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| io_error(path, "create", error))?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path);
        let mut file = file.map_err(|error| io_error(path, "open", error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LedgerError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(io_error(path, "lock", error)),
        }
        let mut text = String::new();
        let read = file.read_to_string(&mut text);
        read.map_err(|error| io_error(path, "read", error))?;
        if text.is_empty() {
            let written = writeln!(file, "{TITLE}").and_then(|()| file.sync_data());
            written.map_err(|error| io_error(path, "write", error))?;
        }
        Ok(Self {
            sent: parse_entries(&text, path, endpoint)?,
            path: path.to_owned(),
            endpoint: endpoint.to_owned(),
            file: Some(file),
        })
    }

    /// Reads a ledger without creating, locking or changing it.
    pub(super) fn open_read_only(path: &Path, endpoint: &str) -> Result<Self, LedgerError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(io_error(path, "read", error)),
        };
        Ok(Self {
            sent: parse_entries(&text, path, endpoint)?,
            path: path.to_owned(),
            endpoint: endpoint.to_owned(),
            file: None,
        })
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.sent.contains(id)
    }

    /// Records ids that the endpoint has accepted, and returns once they are on disk.
    pub(super) fn record<'a>(
        &mut self,
        ids: impl Iterator<Item = &'a str>,
    ) -> Result<(), LedgerError> {
        let mut text = String::new();
        for id in ids.filter(|id| !self.sent.contains(*id)) {
            text.extend([id, " ", &self.endpoint, "\n"]);
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let written = file.write_all(text.as_bytes());
        let written = written.and_then(|()| file.sync_data());
        written.map_err(|error| io_error(&self.path, "write", error))
    }
}

fn io_error(path: &Path, action: &'static str, source: io::Error) -> LedgerError {
    LedgerError::Io {
        path: path.to_owned(),
        action,
        source,
    }
}

/// Returns the ids that the endpoint has accepted.
fn parse_entries(text: &str, path: &Path, endpoint: &str) -> Result<HashSet<String>, LedgerError> {
    let damaged = |at: usize, expected| LedgerError::Damaged {
        path: path.to_owned(),
        line: at + 1,
        expected,
    };
    let mut sent = HashSet::new();
    for (at, line) in text.split_inclusive('\n').enumerate() {
        let line = line.strip_suffix('\n');
        match (at, line) {
            (0, Some(TITLE)) => {}
            (0, _) => return Err(damaged(at, "the words \"baton replay ledger 1\"")),
            (_, line) => {
                let entry = line.and_then(|line| line.split_once(' '));
                let entry = entry.filter(|(id, url)| is_id(id) && !url.contains(' '));
                let (id, url) = entry.ok_or_else(|| damaged(at, "an id and an endpoint"))?;
                if url == endpoint {
                    sent.insert(id.to_owned());
                }
            }
        }
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: &str = "http://collector:4318/v1/traces";

    #[test]
    fn recorded_ids_are_read_again_for_their_endpoint_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/ledger");
        let mut ledger = ReplayLedger::open(&path, ENDPOINT).unwrap();
        ledger.record(["a-0", "a-1"].into_iter()).unwrap();
        assert!(matches!(
            ReplayLedger::open(&path, ENDPOINT),
            Err(LedgerError::InUse(_))
        ));
        drop(ledger);
        let ledger = ReplayLedger::open(&path, ENDPOINT).unwrap();
        assert!(ledger.contains("a-0") && ledger.contains("a-1") && !ledger.contains("a-2"));
        let other = ReplayLedger::open_read_only(&path, "http://elsewhere").unwrap();
        assert!(!other.contains("a-0"));
    }

    #[test]
    fn opening_a_ledger_read_only_does_not_create_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/ledger");
        let mut ledger = ReplayLedger::open_read_only(&path, ENDPOINT).unwrap();
        ledger.record(["a-0"].into_iter()).unwrap();
        assert!(!path.exists() && !path.parent().unwrap().exists());
    }

    #[test]
    fn an_invalid_line_is_reported_with_its_number() {
        let path = Path::new("ledger");
        for (text, line) in [
            ("another file\n", 1),
            ("baton replay ledger 2\n", 1),
            ("baton replay ledger 1", 1),
            ("baton replay ledger 1\na-0 http://x\nnonsense\n", 3),
            ("baton replay ledger 1\na-0 http://x\na-1 http", 3),
            ("baton replay ledger 1\n\n", 2),
        ] {
            let error = parse_entries(text, path, ENDPOINT).unwrap_err().to_string();
            assert!(
                error.contains(&format!("invalid line {line} in")),
                "{text:?}: {error}"
            );
        }
        assert!(parse_entries("", path, ENDPOINT).unwrap().is_empty());
    }
}
