//! Export headers that are fetched at run time, usually from a secret store.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderMap;
use tracing::warn;

use crate::config::{HEADERS_SECRET, TelemetryConfig};
use crate::error_chain::ErrorChain;

mod fetched;
mod parse;

pub(crate) use fetched::{FetchedHeaders, TransportHeaders};
pub use parse::{InvalidHeaders, parse_headers};

/// The future that [`HeaderSource::fetch`] returns.
pub type HeadersFuture<'a> =
    Pin<Box<dyn Future<Output = Result<HeaderMap, Box<dyn Error + Send + Sync>>> + Send + 'a>>;

/// A source of export headers that are not in the environment, usually because they hold a key.
///
/// The headers are fetched when telemetry starts, and again after the collector has responded with
/// 401 or 403. Errors are logged with their causes, so they must not contain the fetched values.
///
/// ```
/// use baton_telemetry::{HeaderSource, HeadersFuture, parse_headers};
///
/// #[derive(Debug)]
/// struct KeyFile(&'static str);
///
/// impl HeaderSource for KeyFile {
///     fn fetch(&self) -> HeadersFuture<'_> {
///         Box::pin(async {
///             let content = std::fs::read_to_string(self.0)?;
///             Ok(parse_headers(&content)?)
///         })
///     }
/// }
/// ```
pub trait HeaderSource: fmt::Debug + Send + Sync {
    /// Fetches the current headers. The future is dropped if it takes too long.
    fn fetch(&self) -> HeadersFuture<'_>;
}

/// Opens the source that `OTEL_EXPORTER_OTLP_HEADERS_SECRET` refers to, or returns the reason why
/// the reference is invalid.
pub type OpenHeaderSource =
    fn(reference: &str) -> Result<Box<dyn HeaderSource>, Box<dyn Error + Send + Sync>>;

/// Opens the source of headers that the environment refers to, if any signal goes to a collector.
///
/// An invalid reference is logged; signals are then exported with the headers of the other
/// variables.
pub(crate) fn open(
    config: &TelemetryConfig,
    open: Option<OpenHeaderSource>,
) -> Option<Arc<FetchedHeaders>> {
    let reference = config.headers_secret.as_deref()?;
    let exporters = [&config.traces, &config.metrics, &config.logs];
    if exporters.iter().all(|exporter| exporter.otlp().is_none()) {
        return None;
    }
    let Some(open) = open else {
        log_ignored("requires a build with the feature `secrets`");
        return None;
    };
    match open(reference) {
        Ok(source) => Some(Arc::new(FetchedHeaders::new(source))),
        Err(error) => {
            log_ignored(&ErrorChain::new(&*error).to_text());
            None
        }
    }
}

/// Fetches the headers for the first time, if there is a source.
pub(crate) async fn fetch_first(fetched_headers: Option<&FetchedHeaders>) {
    if let Some(fetched_headers) = fetched_headers {
        fetched_headers.fetch_first().await;
    }
}

fn log_ignored(problem: &str) {
    warn!(
        variable = HEADERS_SECRET,
        "invalid configuration: {HEADERS_SECRET}: {problem}; telemetry is exported without the secret's headers"
    );
}

#[cfg(test)]
pub(crate) mod tests;
