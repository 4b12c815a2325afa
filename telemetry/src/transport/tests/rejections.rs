//! Error texts for HTTP responses that are not a success.

use super::*;

const KEY: &str = "Bearer not/to-be-logged";

/// Returns the error text for a response with this status, content type and body.
async fn error(status: &str, content_type: &str, body: &[u8]) -> String {
    let body = std::str::from_utf8(body).unwrap();
    let length = body.len();
    let response = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let change = |otlp: &mut OtlpConfig| otlp.headers.extend([key(KEY)]);
    let (_, mut outcomes) = exchange(change, vec![request(&[b"x"])], &response).await;
    outcomes.remove(0).unwrap_err().to_string()
}

#[tokio::test]
async fn the_error_of_a_rejection_contains_the_message_of_the_collector() {
    const PLAIN: &str = "collector rejected the request: 400 Bad Request";
    for (content_type, body, message) in [
        (
            "Text/Plain; charset=utf-8",
            &b"no\r\ntenant"[..],
            " (no  tenant)",
        ),
        (
            "application/json",
            br#"{"code":3,"message":"no tenant"}"#,
            " (no tenant)",
        ),
        (
            "application/json",
            br#"{"error":"no tenant"}"#,
            " (no tenant)",
        ),
        (
            "application/x-protobuf",
            b"\x08\x03\x12\x09no tenant",
            " (no tenant)",
        ),
        ("text/html", b"<html>no tenant</html>", ""),
        ("application/json", b"[]", ""),
        ("application/x-protobuf", b"no", ""),
        ("text/plain", b"", ""),
    ] {
        let found = error("400 X", content_type, body).await;
        assert_eq!(found, format!("{PLAIN}{message}"), "{content_type}");
    }
}

#[tokio::test]
async fn the_message_of_a_rejection_is_truncated_and_contains_no_key() {
    let long = error("400 X", "text/plain", "ü".repeat(1000).as_bytes()).await;
    assert!((200..300).contains(&long.len()), "{long}");
    for body in [
        &b"the key not/to-be-logged has expired"[..],
        br#"{"message":"the key not\/to-be-logged has expired"}"#,
    ] {
        let content_type = if body.starts_with(b"{") {
            "application/json"
        } else {
            "text/plain"
        };
        let found = error("400 X", content_type, body).await;
        assert!(found.ends_with("400 Bad Request"), "{found}");
    }
}

#[tokio::test]
async fn the_hint_for_a_redirect_is_its_target_and_not_the_path() {
    let response =
        "HTTP/1.1 308 X\r\nlocation: https://collector/v1/traces\r\ncontent-length: 0\r\n\r\n";
    let (_, mut outcomes) = exchange(|_| {}, vec![request(&[b"x"])], response).await;
    let found = outcomes.remove(0).unwrap_err().to_string();
    let hint = "redirects are not followed: set the endpoint to the target of the redirect";
    assert!(found.contains(hint), "{found}");
    assert!(
        !found.contains("is not that of an OTLP receiver"),
        "{found}"
    );
}

#[tokio::test]
async fn the_hint_for_an_unsupported_media_type_includes_the_compression() {
    let found = error("415 X", "text/plain", b"").await;
    assert!(found.contains("compression"), "{found}");
    let found = error("404 X", "text/plain", b"").await;
    assert!(!found.contains("compression"), "{found}");
}

#[tokio::test]
async fn the_hint_for_a_base_url_names_no_variable() {
    let change = |otlp: &mut OtlpConfig| {
        otlp.endpoint.path = "/v1/traces/v1/traces".into();
    };
    let response = "HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n";
    let (_, mut outcomes) = exchange(change, vec![request(&[b"x"])], response).await;
    let found = outcomes.remove(0).unwrap_err().to_string();
    assert!(
        found.contains("has to be a base URL without /v1/traces"),
        "{found}"
    );
    assert!(!found.contains("OTEL_"), "{found}");
}
