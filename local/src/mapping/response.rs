//! What a response means for the records of its batch, by AWS's rules for
//! `ReportBatchItemFailures`. Pure.

use std::collections::HashSet;

use serde_json::Value;

/// What becomes of a batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BatchOutcome {
    /// Every record is deleted.
    Success,
    /// All but the records with these message ids are deleted.
    PartialFailure(HashSet<String>),
    /// Nothing is deleted: the response is not one that AWS accepts.
    Failure(InvalidResponse),
}

/// Why a response fails its whole batch.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidResponse {
    /// It does not parse.
    #[error("the response is not json")]
    NotJson,
    /// It is neither an object nor null.
    #[error("the response is no json object")]
    NotAnObject,
    /// `batchItemFailures` is something else than a list or null.
    #[error("batchItemFailures is no list")]
    NotAList,
    /// An entry is no object, or has no `itemIdentifier`, or one that is null or no string.
    #[error("entry {index} of batchItemFailures has no itemIdentifier that is a string")]
    NoIdentifier {
        /// Position in the list.
        index: usize,
    },
    /// An `itemIdentifier` is the empty string.
    #[error("entry {index} of batchItemFailures has an empty itemIdentifier")]
    EmptyIdentifier {
        /// Position in the list.
        index: usize,
    },
    /// An `itemIdentifier` is no message id of the batch.
    #[error("entry {index} of batchItemFailures names {identifier:?}, which is not in the batch")]
    UnknownIdentifier {
        /// Position in the list.
        index: usize,
        /// What it names.
        identifier: String,
    },
}

/// Reads a response with `ReportBatchItemFailures` on.
///
/// An empty response, null, an object without `batchItemFailures`, and an empty or null list mean
/// success. Anything that is not exactly a list of message ids of this batch fails the whole batch,
/// because nobody can tell which of its records succeeded.
///
/// # Examples
///
/// ```
/// use baton_local::mapping::{BatchOutcome, parse_response};
///
/// let response = br#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#;
/// assert_eq!(parse_response(response, ["a", "b"]), BatchOutcome::PartialFailure(["b".to_owned()].into()));
/// ```
pub fn parse_response<'a>(
    response: &[u8],
    message_ids: impl IntoIterator<Item = &'a str>,
) -> BatchOutcome {
    if response.trim_ascii().is_empty() {
        return BatchOutcome::Success;
    }
    let failures = match serde_json::from_slice(response) {
        Err(_) => return BatchOutcome::Failure(InvalidResponse::NotJson),
        Ok(Value::Null) => return BatchOutcome::Success,
        Ok(Value::Object(mut document)) => document.remove("batchItemFailures").unwrap_or_default(),
        Ok(_) => return BatchOutcome::Failure(InvalidResponse::NotAnObject),
    };
    match failures {
        Value::Null => BatchOutcome::Success,
        Value::Array(entries) if entries.is_empty() => BatchOutcome::Success,
        Value::Array(entries) => failed(&entries, &message_ids.into_iter().collect())
            .map_or_else(BatchOutcome::Failure, BatchOutcome::PartialFailure),
        _ => BatchOutcome::Failure(InvalidResponse::NotAList),
    }
}

fn failed(entries: &[Value], batch: &HashSet<&str>) -> Result<HashSet<String>, InvalidResponse> {
    let identifiers = entries.iter().enumerate().map(|(index, entry)| {
        match entry.get("itemIdentifier").and_then(Value::as_str) {
            None => Err(InvalidResponse::NoIdentifier { index }),
            Some("") => Err(InvalidResponse::EmptyIdentifier { index }),
            Some(identifier) if batch.contains(identifier) => Ok(identifier.to_owned()),
            Some(identifier) => Err(InvalidResponse::UnknownIdentifier {
                index,
                identifier: identifier.to_owned(),
            }),
        }
    });
    identifiers.collect()
}

#[cfg(test)]
mod tests;
