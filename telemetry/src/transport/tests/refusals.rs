//! Texts of errors for answers of HTTP that are not a success.

use super::*;

const KEY: &str = "Bearer not/to-be-logged";

/// Returns the text of the error for an answer of this status, content type and body.
async fn error(status: &str, content_type: &str, body: &[u8]) -> String {
    let body = std::str::from_utf8(body).unwrap();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let change = |otlp: &mut Otlp| otlp.headers.extend([key(KEY)]);
    let (_, mut outcomes) = exchange(change, vec![request(&[b"x"])], &answer).await;
    outcomes.remove(0).unwrap_err().to_string()
}

#[tokio::test]
async fn a_refusal_carries_the_message_of_the_collector() {
    const PLAIN: &str = "the collector refused the request with 400 Bad Request";
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
async fn the_message_of_a_refusal_is_cut_and_repeats_no_key() {
    let long = error("400 X", "text/plain", "ü".repeat(1000).as_bytes()).await;
    assert!((200..300).contains(&long.len()), "{long}");
    for body in [
        &b"the key not/to-be-logged has expired"[..],
        br#"{"message":"the key not\/to-be-logged has expired"}"#,
    ] {
        let content_type = match body.starts_with(b"{") {
            true => "application/json",
            false => "text/plain",
        };
        let found = error("400 X", content_type, body).await;
        assert!(found.ends_with("400 Bad Request"), "{found}");
    }
}
