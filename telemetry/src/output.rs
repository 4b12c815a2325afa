//! Stdout, for lines other than the log: spilled spans, metrics in CloudWatch's embedded format,
//! and the console exporter.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
#[cfg(test)]
use std::sync::{Mutex, PoisonError};

/// The destination of these lines.
#[derive(Clone, Default)]
pub(crate) enum Output {
    #[default]
    Stdout,
    /// A function that gets the lines, for tests of functions.
    Function(Arc<LineFn>),
    #[cfg(test)]
    Captured(Arc<Mutex<Vec<u8>>>),
}

type LineFn = dyn Fn(&[u8]) + Send + Sync;

impl fmt::Debug for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Stdout => "Stdout",
            Self::Function(_) => "Function",
            #[cfg(test)]
            Self::Captured(_) => "Captured",
        })
    }
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
            Self::Function(function) => {
                let mut lines = Vec::new();
                write(&mut lines)?;
                function(&lines);
                Ok(())
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
