//! Stdout, for lines other than the log: spilled spans, metrics in CloudWatch's embedded format,
//! and the console exporter.

use std::io::{self, Write};
#[cfg(test)]
use std::sync::{Arc, Mutex, PoisonError};

/// The destination of these lines.
#[derive(Debug, Clone, Default)]
pub(crate) enum Output {
    #[default]
    Stdout,
    #[cfg(test)]
    Captured(Arc<Mutex<Vec<u8>>>),
}

impl Output {
    /// Writes complete lines. Log lines cannot interleave with them.
    pub(crate) fn write(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                write(&mut stdout)?;
                stdout.flush()
            }
            #[cfg(test)]
            Self::Captured(lines) => {
                write(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }
}

#[cfg(test)]
impl Output {
    pub(crate) fn captured() -> Self {
        Self::Captured(Arc::default())
    }

    /// Returns the written lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let Self::Captured(lines) = self else {
            return Vec::new();
        };
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8(lines.clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}
