//! The meaning of a response for the records of its batch, according to AWS's rules for
//! `ReportBatchItemFailures`. Pure functions.

use std::collections::HashSet;

use serde_json::Value;

/// Outcome of a batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BatchOutcome {
    /// Every record is deleted.
    Success,
    /// All records are deleted except those with these message ids.
    PartialFailure(HashSet<String>),
    /// Nothing is deleted, because AWS does not accept the response.
    Failure(InvalidResponse),
}

/// Reason why a response fails its whole batch.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidResponse {
    /// The response is not JSON.
    #[error("the response is not JSON")]
    NotJson,
    /// The response is neither an object nor null.
    #[error("the response is not a JSON object")]
    NotAnObject,
    /// `batchItemFailures` is neither a list nor null.
    #[error("batchItemFailures is not a list")]
    NotAList,
    /// An entry is not an object, or its `itemIdentifier` is not a string.
    #[error("the itemIdentifier of entry {index} in batchItemFailures is missing or not a string")]
    NoIdentifier {
        /// Position in the list.
        index: usize,
    },
    /// An `itemIdentifier` is the empty string.
    #[error("the itemIdentifier of entry {index} in batchItemFailures is empty")]
    EmptyIdentifier {
        /// Position in the list.
        index: usize,
    },
    /// An `itemIdentifier` is not the id of a message in the batch.
    #[error("entry {index} in batchItemFailures names {identifier:?}, which is not in the batch")]
    UnknownIdentifier {
        /// Position in the list.
        index: usize,
        /// The identifier.
        identifier: String,
    },
}

/// Parses the response of a function with `ReportBatchItemFailures`.
///
/// An empty response, null, an object without `batchItemFailures`, and an empty or null list mean
/// success. Anything other than a list of message ids of this batch fails the whole batch, because
/// the records that succeeded are then unknown.
///
/// # Examples
///
/// ```
/// use baton_local::mapping::{BatchOutcome, parse_response};
///
/// let response = br#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#;
/// let outcome = parse_response(response, ["a", "b"]);
/// assert_eq!(outcome, BatchOutcome::PartialFailure(["b".to_owned()].into()));
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
        Value::Array(entries) => parse_failures(&entries, &message_ids.into_iter().collect())
            .map_or_else(BatchOutcome::Failure, BatchOutcome::PartialFailure),
        _ => BatchOutcome::Failure(InvalidResponse::NotAList),
    }
}

fn parse_failures(
    entries: &[Value],
    batch: &HashSet<&str>,
) -> Result<HashSet<String>, InvalidResponse> {
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
