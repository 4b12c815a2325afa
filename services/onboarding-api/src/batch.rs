//! `POST /onboarding/batch`: several onboardings in one request. The crate documentation gives the
//! reasons for the statuses.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;

use crate::document::Document;
use crate::onboarding::{FieldError, Onboarding};
use crate::problem::{Problem, RETRY_AFTER_SECONDS};
use crate::queue::OnboardingQueue;
use crate::request_limits::RequestDeadline;
use crate::wire::{BatchItem, BatchResponse};

/// Maximum number of items. With the longest values, they have about 45 KB, which fits into a body.
pub(crate) const MAX_ITEMS: usize = 100;

const NOT_AN_ARRAY: &str = "must be a JSON array of 1 to 100 onboardings";

/// Returns the items of a body.
///
/// # Errors
///
/// Returns a problem if the body is not an array with a valid number of items.
pub(crate) fn parse_items(document: Document) -> Result<Vec<Document>, Problem> {
    match document {
        Document::Array(items) if (1..=MAX_ITEMS).contains(&items.len()) => Ok(items),
        _ => Err(Problem::invalid_fields(vec![FieldError::for_body(
            NOT_AN_ARRAY,
        )])),
    }
}

/// Sends the valid items. Returns the results of all items in the same order: the id of the
/// message, or a problem. Sends that have not ended shortly before the deadline are cancelled.
///
/// # Errors
///
/// Returns a problem if no item was sent.
pub(crate) async fn send(
    queue: &OnboardingQueue,
    items: &[Document],
    deadline: RequestDeadline,
) -> Result<Vec<Result<String, Problem>>, Problem> {
    let onboardings: Vec<Result<Onboarding, Problem>> =
        items.iter().map(parse_onboarding).collect();
    let valid = onboardings.iter().filter_map(|item| item.as_ref().ok());
    let mut sent = queue.send_all(valid, deadline).await?.into_iter();
    let results = onboardings.into_iter().map(|item| {
        item.and_then(|_| {
            // There is a result for each valid item.
            sent.next().unwrap_or_else(|| Err(Problem::not_sent()))
        })
    });
    Ok(results.collect())
}

fn parse_onboarding(item: &Document) -> Result<Onboarding, Problem> {
    let result = match item {
        Document::Object(fields) => Onboarding::from_fields(fields),
        Document::Array(_) | Document::Scalar => {
            Err(vec![FieldError::for_body("must be a JSON object")])
        }
    };
    result.map_err(Problem::invalid_fields)
}

/// Returns the response for the results of the items.
pub(crate) fn build_response(
    results: &[Result<String, Problem>],
    trace_id: Option<String>,
) -> Response {
    let status = if results.iter().all(Result::is_ok) {
        StatusCode::ACCEPTED
    } else {
        StatusCode::MULTI_STATUS
    };
    let body = BatchResponse {
        trace_id,
        results: results.iter().map(to_batch_item).collect(),
    };
    let mut response = (status, Json(body)).into_response();
    let is_unavailable = |result: &Result<String, Problem>| {
        let problem = result.as_ref().err();
        problem.is_some_and(|problem| problem.status() == StatusCode::SERVICE_UNAVAILABLE)
    };
    if results.iter().any(is_unavailable) {
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

fn to_batch_item(result: &Result<String, Problem>) -> BatchItem<'_> {
    match result {
        Ok(message_id) => BatchItem {
            status: StatusCode::ACCEPTED.as_u16(),
            message_id: Some(message_id),
            problem: None,
        },
        Err(problem) => BatchItem {
            status: problem.status().as_u16(),
            message_id: None,
            problem: Some(problem.document()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_states_the_maximum() {
        assert!(NOT_AN_ARRAY.contains(&format!("1 to {MAX_ITEMS} ")));
    }
}
