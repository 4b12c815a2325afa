//! `AWS_LAMBDA_LOG_FORMAT`, which Lambda sets from a function's logging configuration.

use super::reader::Reader;

/// The form of the lines on stdout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Objects of one line each, for machines.
    #[default]
    Json,
    /// For people.
    Text,
}

/// In any case, as the level is read.
pub(super) fn read(reader: &mut Reader<'_>) -> LogFormat {
    let format = reader.parsed("AWS_LAMBDA_LOG_FORMAT", "JSON or Text", |name| {
        match name.to_ascii_lowercase().as_str() {
            "json" => Some(LogFormat::Json),
            "text" => Some(LogFormat::Text),
            _ => None,
        }
    });
    format.unwrap_or_default()
}
