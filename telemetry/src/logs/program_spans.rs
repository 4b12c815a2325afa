//! Selects spans of the program's own code. Spans of libraries describe their internals and are
//! left out of traces and logs.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{LevelFilter, Targets};

/// Level of `#[instrument]` and `info_span!`. Spans of this level are created at any log level, so
/// that a service that logs only warnings keeps its traces and the span fields on its lines.
const DEFAULT_LEVEL: Level = Level::INFO;

/// Crates whose spans describe their internals: an invocation would have twenty of them.
const LIBRARIES: [&str; 20] = [
    "aws_config",
    "aws_credential_types",
    "aws_runtime",
    "aws_sigv4",
    "axum",
    "baton_lambda",
    "baton_producer",
    "baton_telemetry",
    "h2",
    "hyper",
    "hyper_rustls",
    "hyper_util",
    "lambda_runtime",
    "lambda_runtime_api_client",
    "reqwest",
    "rustls",
    "tokio_util",
    "tonic",
    "tower",
    "tower_http",
];
/// Prefix of the AWS SDK's crates.
const LIBRARY_FAMILIES: [&str; 2] = ["aws_sdk_", "aws_smithy_"];

/// Returns `true` if a span or an event does not belong to one of these libraries.
pub(crate) fn belongs_to_program(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let (name, _) = target.split_once("::").unwrap_or((target, ""));
    let is_library = LIBRARIES.binary_search(&name).is_ok()
        || LIBRARY_FAMILIES
            .iter()
            .any(|family| name.starts_with(family));
    !is_library
}

/// Returns `true` if the span is created with the log filter `logs`: spans of the default level,
/// and finer ones if `logs` enables finer lines.
pub(crate) fn is_created(span: &Metadata<'_>, logs: &Targets) -> bool {
    let (target, level) = (span.target(), span.level());
    has_default_level(span) || belongs_to_program(span) && logs.would_enable(target, level)
}

/// Returns `true` if the span belongs to the program and is not finer than the default level.
pub(crate) fn has_default_level(span: &Metadata<'_>) -> bool {
    belongs_to_program(span) && *span.level() <= DEFAULT_LEVEL
}

/// Returns the most verbose level that `logs` enables for lines or spans.
pub(crate) fn finest_level(logs: &Targets) -> LevelFilter {
    let levels = logs.iter().map(|(_, level)| level);
    levels
        .chain(logs.default_level())
        .fold(LevelFilter::from_level(DEFAULT_LEVEL), Ord::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_libraries_is_sorted() {
        assert!(LIBRARIES.is_sorted());
    }
}
