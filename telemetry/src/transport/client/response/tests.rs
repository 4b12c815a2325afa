//! Valid and invalid responses.

use proptest::prelude::*;

use super::*;

fn parse_open(received: &str) -> Result<Option<ParsedResponse>, RequestError> {
    parse(received.as_bytes(), None)
}

fn response(status: u16, body: &'static str, is_reusable: bool) -> ParsedResponse {
    ParsedResponse {
        response: HttpResponse {
            status: StatusCode::from_u16(status).unwrap(),
            body: Ok(Bytes::from_static(body.as_bytes())),
            content_type: None,
            location: None,
            retry_after: None,
        },
        is_reusable,
    }
}

/// Received bytes with the expected status, body and reusability. Every proper prefix is
/// incomplete.
const COMPLETE: [(&str, u16, &str, bool); 10] = [
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        200,
        "hi",
        true,
    ),
    ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, "", true),
    ("HTTP/1.1 204 No Content\r\n\r\n", 204, "", true),
    (
        "HTTP/1.1 503 X\r\ncontent-length: 1\r\nconnection: Keep, Close\r\n\r\nx",
        503,
        "x",
        false,
    ),
    (
        "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx",
        200,
        "x",
        false,
    ),
    (
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 X\r\ncontent-length: 1\r\n\r\nx",
        400,
        "x",
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n4;a=b\r\n you\r\n0\r\n\r\n",
        200,
        "hi you",
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n1\r\nx\r\n0\r\na: b\r\n\r\n",
        200,
        "x",
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n0\r\n\r\n",
        200,
        "",
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
        200,
        "x",
        true,
    ),
];

#[test]
fn a_response_is_complete_at_its_last_byte_and_not_before() {
    for (received, status, body, is_reusable) in COMPLETE {
        let expected = response(status, body, is_reusable);
        assert_eq!(
            parse_open(received).unwrap(),
            Some(expected),
            "{received:?}"
        );
        for length in 0..received.len() {
            let part = parse_open(&received[..length]).unwrap();
            assert_eq!(part, None, "{:?}", &received[..length]);
        }
    }
}

#[test]
fn without_a_length_the_body_ends_with_the_connection() {
    let received = "HTTP/1.1 200 OK\r\n\r\nhi";
    assert_eq!(parse_open(received).unwrap(), None);
    let closed = parse(received.as_bytes(), Some(EndOfStream::Closed)).unwrap();
    assert_eq!(closed, Some(response(200, "hi", false)));
}

#[test]
fn a_connection_with_extra_bytes_after_the_response_is_not_reused() {
    let received = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxHTTP/1.1";
    assert_eq!(
        parse_open(received).unwrap(),
        Some(response(200, "x", false))
    );
}

#[test]
fn bytes_that_are_not_http_are_an_error() {
    for received in ["SSH-2.0-x\r\n", "HTTP/1.1 99 OK\r\n\r\n"] {
        let error = parse_open(received).unwrap_err();
        assert!(
            matches!(error, RequestError::Malformed(_)),
            "{received:?}: {error}"
        );
    }
}

/// A response whose body could not be read. Its connection is not reused.
fn incomplete(status: u16, reason: IncompleteBody) -> Option<ParsedResponse> {
    let mut parsed = response(status, "", false);
    parsed.response.body = Err(reason);
    Some(parsed)
}

#[test]
fn a_body_that_cannot_be_read_is_an_error_but_the_status_is_returned() {
    use IncompleteBody::{Malformed, TooLong};
    let filler = "x".repeat(MAX_RESPONSE + 1);
    let length = MAX_RESPONSE + 1;
    let headers = "x: y\r\n".repeat(MAX_HEADERS + 1);
    for (rest, reason) in [
        ("content-length: -1\r\n\r\n", Malformed),
        ("content-length: +1\r\n\r\nx", Malformed),
        ("content-length: 1\r\ncontent-length: 2\r\n\r\nx", Malformed),
        (&format!("content-length: {length}\r\n\r\n"), TooLong),
        (&format!("\r\n{filler}"), TooLong),
        (&format!("{headers}content-length: 0\r\n\r\n"), Malformed),
        ("transfer-encoding: chunked\r\n\r\nx\r\n", Malformed),
        ("transfer-encoding: chunked\r\n\r\n1\r\nxy\r\n", Malformed),
        (
            "transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            TooLong,
        ),
        (
            &format!("transfer-encoding: chunked\r\n\r\n{length:x}\r\n"),
            TooLong,
        ),
        (
            &format!("transfer-encoding: chunked\r\n\r\n0\r\n{headers}"),
            Malformed,
        ),
    ] {
        let received = format!("HTTP/1.1 200 OK\r\n{rest}");
        let expected = incomplete(200, reason);
        assert_eq!(parse_open(&received).unwrap(), expected, "{rest:.99}");
    }
}

#[test]
fn a_response_that_ends_in_its_body_is_incomplete_and_one_that_ends_in_its_head_is_missing() {
    for (end, reason) in [
        (EndOfStream::Closed, IncompleteBody::Truncated),
        (EndOfStream::Broken, IncompleteBody::Truncated),
        (EndOfStream::TimedOut, IncompleteBody::TimedOut),
    ] {
        let truncated = parse(b"HTTP/1.1 503 X\r\ncontent-length: 2\r\n\r\nx", Some(end));
        assert_eq!(truncated.unwrap(), incomplete(503, reason));
        let truncated = parse(b"HTTP/1.1 503 X\r\ncontent-length: 2\r\n", Some(end));
        assert_eq!(truncated.unwrap(), None);
    }
}

#[test]
fn a_body_without_a_length_is_complete_only_if_the_connection_is_closed_cleanly() {
    for (end, reason) in [
        (EndOfStream::Broken, IncompleteBody::Truncated),
        (EndOfStream::TimedOut, IncompleteBody::TimedOut),
    ] {
        let open = parse(b"HTTP/1.1 200 OK\r\n\r\nhi", Some(end)).unwrap();
        assert_eq!(open, incomplete(200, reason));
    }
}

#[test]
fn a_body_has_a_content_type_and_a_redirect_a_location_without_keys() {
    let found = |received: &str| {
        let response = parse_open(received).unwrap().unwrap().response;
        (response.content_type, response.location)
    };
    let with_body =
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nContent-Type: text/a; b\r\nlocation: /x\r\n\r\nx";
    assert_eq!(found(with_body), (Some("text/a; b".into()), None));
    let empty = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-type: text/a\r\n\r\n";
    assert_eq!(found(empty), (None, None));
    for (location, expected) in [
        ("/login?next=%2Fv1#top", "/login"),
        ("/@me/login", "/@me/login"),
        (
            "https://user:key@a.example:1/@b?c",
            "https://a.example:1/@b",
        ),
        ("https://key@a.example", "https://a.example"),
    ] {
        let redirect =
            format!("HTTP/1.1 302 X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(found(&redirect), (None, Some(expected.into())));
    }
}

#[test]
fn a_head_without_an_end_is_too_long() {
    let received = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(MAX_RESPONSE));
    let error = parse_open(&received).unwrap_err();
    assert!(matches!(error, RequestError::ResponseTooLong), "{error}");
}

proptest! {
    #[test]
    fn the_chunks_of_a_body_are_joined(chunks in proptest::collection::vec("[ -~]{1,40}", 0..20)) {
        let mut received = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
        for chunk in &chunks {
            received += &format!("{:X}\r\n{chunk}\r\n", chunk.len());
        }
        received += "0\r\n\r\n";
        let parsed = parse_open(&received).unwrap().unwrap();
        prop_assert_eq!(parsed.response.body.unwrap(), chunks.concat());
        prop_assert!(parsed.is_reusable);
    }

    #[test]
    fn parsing_never_panics(received in proptest::collection::vec(any::<u8>(), 0..200), is_closed: bool) {
        let end = is_closed.then_some(EndOfStream::Closed);
        let _ = parse(&received, end);
        let mut with_head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        with_head.extend(received);
        let _ = parse(&with_head, end);
    }
}
