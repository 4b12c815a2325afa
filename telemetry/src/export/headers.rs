//! Headers of the export that the environment names and does not hold: keys in a store of secrets.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderMap;
use tracing::warn;

use crate::config::{Config, HEADERS_SECRET};
use crate::logs;

mod content;
mod held;

pub use content::{InvalidHeaders, parse_headers};
pub(crate) use held::{HeldHeaders, Renewed};

/// What a [`HeaderSource`] answers, when it is ready.
pub type Fetching<'a> =
    Pin<Box<dyn Future<Output = Result<HeaderMap, Box<dyn Error + Send + Sync>>> + Send + 'a>>;

/// Where headers of the export come from that stand in no variable, usually one with a key.
///
/// They are fetched when telemetry starts, and again after the collector has answered 401 or 403.
/// Errors are logged, with their causes: they must not repeat what was fetched.
pub trait HeaderSource: fmt::Debug + Send + Sync {
    /// Asks for the headers as they are now. The future is dropped when there is no more time for
    /// it.
    fn fetch(&self) -> Fetching<'_>;
}

/// Makes a source of what `OTEL_EXPORTER_OTLP_HEADERS_SECRET` says, or says what is wrong with it.
pub type OpenHeaderSource =
    fn(reference: &str) -> Result<Box<dyn HeaderSource>, Box<dyn Error + Send + Sync>>;

/// Has every signal that goes to a collector take headers from what the environment refers to.
/// Returns them, for a first fetch.
///
/// What is wrong is one line in the log: signals are then exported with what the other variables
/// hold.
pub(crate) fn open(
    config: &mut Config,
    open: Option<OpenHeaderSource>,
) -> Option<Arc<HeldHeaders>> {
    let reference = config.headers_secret.take()?;
    let exports = [&mut config.traces, &mut config.metrics, &mut config.logs];
    let exports: Vec<_> = exports
        .into_iter()
        .filter_map(|export| export.otlp_mut())
        .collect();
    if exports.is_empty() {
        return None;
    }
    let Some(open) = open else {
        ignored("expected to be unset, for this build is without the feature `secrets`");
        return None;
    };
    match open(&reference) {
        Ok(source) => {
            let held = Arc::new(HeldHeaders::new(source));
            for otlp in exports {
                otlp.held_headers = Some(Arc::clone(&held));
            }
            Some(held)
        }
        Err(error) => {
            ignored(&logs::chain(&*error));
            None
        }
    }
}

/// The first fetch, where there is something to fetch.
pub(crate) async fn start(held_headers: Option<&HeldHeaders>) {
    if let Some(held_headers) = held_headers {
        held_headers.start().await;
    }
}

fn ignored(problem: &str) {
    warn!(
        variable = HEADERS_SECRET,
        "configuration ignored: {HEADERS_SECRET}: {problem}; signals are exported without its headers"
    );
}

#[cfg(test)]
pub(crate) mod tests;
