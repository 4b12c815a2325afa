//! Classification of statuses, and the text of errors.

use super::*;
use crate::transport::status::MAX_MESSAGE;
use crate::transport::tests::grpc_server::{GrpcServer, Reply};
use crate::transport::tests::{key, otlp, request, soon};
use crate::transport::wrong_endpoint::UnexpectedResponse;
use crate::transport::{OtlpProtocol, Signal, Transport, TransportError};

/// A `google.rpc.Status` of code 14 with a `RetryInfo` of 7 seconds among its details.
const RETRY_IN_7_SECONDS: &str =
    "CA4aMAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIECgIIBw==";

const SECRET: &str = "Bearer tell-nobody";

/// Returns a description of the outcome of a call with this response, and whether it is
/// unauthorized.
async fn outcome_of(reply: Reply) -> (String, bool) {
    let server = GrpcServer::start(&[reply]).await;
    let mut otlp = otlp(&format!("http://{}", server.address), OtlpProtocol::Grpc);
    otlp.headers.extend([key(SECRET)]);
    let transport = Transport::new(Signal::Traces, &otlp);
    match transport.send(request(&[b"x"]), soon()).await {
        Ok(_) => ("accepted".to_owned(), false),
        Err(error) => {
            let is_unauthorized = error.is_unauthorized();
            let outcome = match error {
                TransportError::Retryable {
                    status,
                    retry_after: None,
                } => format!("{status}, retryable"),
                TransportError::Retryable {
                    status,
                    retry_after: Some(after),
                } => format!("{status}, retryable after {after:?}"),
                TransportError::WrongEndpoint(wrong) => match wrong.response {
                    UnexpectedResponse::Status(status) => format!("{status}, wrong endpoint"),
                    other => other.to_string(),
                },
                TransportError::NonRetryable(status) => format!("{status}, not retryable"),
                other => other.to_string(),
            };
            (outcome, is_unauthorized)
        }
    }
}

fn status(code: &str, message: &str, details: &str) -> Vec<(&'static str, String)> {
    let pairs = [(STATUS, code), (MESSAGE, message), (DETAILS, details)];
    let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    pairs
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
}

#[tokio::test]
async fn a_code_determines_whether_and_when_a_call_is_retryable() {
    let retry = RETRY_IN_7_SECONDS;
    for (code, details, expected) in [
        ("0", "", "accepted"),
        ("1", "", "gRPC CANCELLED, retryable"),
        ("2", "", "gRPC UNKNOWN, not retryable"),
        ("3", "", "gRPC INVALID_ARGUMENT, not retryable"),
        ("4", "", "gRPC DEADLINE_EXCEEDED, retryable"),
        ("7", "", "gRPC PERMISSION_DENIED, retryable"),
        ("8", "", "gRPC RESOURCE_EXHAUSTED, not retryable"),
        ("8", retry, "gRPC RESOURCE_EXHAUSTED, retryable after 7s"),
        ("10", "", "gRPC ABORTED, retryable"),
        ("11", "", "gRPC OUT_OF_RANGE, retryable"),
        ("12", "", "gRPC UNIMPLEMENTED, wrong endpoint"),
        ("13", retry, "gRPC INTERNAL, not retryable"),
        ("14", "", "gRPC UNAVAILABLE, retryable"),
        ("14", retry, "gRPC UNAVAILABLE, retryable after 7s"),
        ("15", "", "gRPC DATA_LOSS, retryable"),
        ("16", "", "gRPC UNAUTHENTICATED, retryable"),
        ("17", "", "gRPC code 17, not retryable"),
        ("x", "", "gRPC UNKNOWN, not retryable"),
    ] {
        let is_unauthorized = ["7", "16"].contains(&code);
        let expected = (expected.to_owned(), is_unauthorized);
        for reply in [
            Reply::Trailers(status(code, "", details)),
            Reply::Headers(200, status(code, "", details)),
        ] {
            assert_eq!(outcome_of(reply.clone()).await, expected, "{reply:?}");
        }
    }
}

#[tokio::test]
async fn the_http_status_is_used_if_there_is_no_grpc_status() {
    for (code, expected) in [
        (200, "the response is not gRPC"),
        (
            401,
            "gRPC UNAUTHENTICATED (HTTP 401 Unauthorized), retryable",
        ),
        (
            403,
            "gRPC PERMISSION_DENIED (HTTP 403 Forbidden), retryable",
        ),
        (302, "gRPC UNKNOWN (HTTP 302 Found), wrong endpoint"),
        (
            404,
            "gRPC UNIMPLEMENTED (HTTP 404 Not Found), wrong endpoint",
        ),
        (
            415,
            "gRPC UNKNOWN (HTTP 415 Unsupported Media Type), wrong endpoint",
        ),
        (
            429,
            "gRPC UNAVAILABLE (HTTP 429 Too Many Requests), retryable",
        ),
        (
            503,
            "gRPC UNAVAILABLE (HTTP 503 Service Unavailable), retryable",
        ),
        (
            500,
            "gRPC UNKNOWN (HTTP 500 Internal Server Error), not retryable",
        ),
    ] {
        let (outcome, _) = outcome_of(Reply::Headers(code, Vec::new())).await;
        assert_eq!(outcome, expected);
    }
}

#[tokio::test]
async fn the_error_contains_the_message_unless_it_contains_a_key() {
    let long = "x".repeat(MAX_MESSAGE + 1);
    let truncated = format!("gRPC INTERNAL ({})", &long[1..]);
    for (code, message, expected) in [
        ("13", "out%20of%20order", "gRPC INTERNAL (out of order)"),
        ("13", "two%0Alines", "gRPC INTERNAL (two lines)"),
        ("13", "f%C3%BCnf", "gRPC INTERNAL (fünf)"),
        ("13", "%FF", "gRPC INTERNAL (\u{fffd})"),
        ("13", "tell-nobody is unknown", "gRPC INTERNAL"),
        ("13", "tell%2Dnobody is unknown", "gRPC INTERNAL"),
        ("16", "the key of John", "gRPC UNAUTHENTICATED"),
        ("13", &long, &truncated),
    ] {
        let (outcome, _) = outcome_of(Reply::Headers(200, status(code, message, ""))).await;
        let shown = outcome.rsplit_once(", ").unwrap().0;
        assert_eq!(shown, expected, "{message}");
    }
}
