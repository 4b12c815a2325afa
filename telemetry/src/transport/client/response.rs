//! HTTP/1.1 responses, parsed from the bytes received so far (RFC 9112).

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{StatusCode, header};

use super::RequestError;
use super::retry_after::RetryAfter;

/// Maximum length of a response. Collectors send a few bytes, so a longer response does not come
/// from one.
pub(crate) const MAX_RESPONSE: usize = 256 * 1024;
/// Maximum number of headers, the usual limit of servers. If a response has more, only its status
/// is read.
const MAX_HEADERS: usize = 64;
/// Maximum length of a header's value in an error, enough for a typical URL.
const MAX_LOGGED_VALUE: usize = 200;

/// A response. The body may be incomplete: for a rejection the status is enough.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) body: Result<Bytes, IncompleteBody>,
    /// `Content-Type`; `None` for an empty body, so that the usual response needs no allocation.
    pub(crate) content_type: Option<Box<str>>,
    /// `Location` of a redirect.
    pub(crate) location: Option<Box<str>>,
    /// `Retry-After` of a failure.
    pub(crate) retry_after: Option<RetryAfter>,
}

/// The reason why a body could not be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IncompleteBody {
    #[error("timed out waiting for the end of the body")]
    TimedOut,
    #[error("the connection closed before the end of the body")]
    Truncated,
    #[error("the body is longer than {MAX_RESPONSE} bytes")]
    TooLong,
    #[error("the framing of the body is malformed")]
    Malformed,
}

/// The reason why no more of a response will arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndOfStream {
    /// The peer closed the connection cleanly.
    Closed,
    /// The connection broke, or TLS ended without `close_notify`. The received bytes may be
    /// incomplete (RFC 9112, section 9.8).
    Broken,
    TimedOut,
}

/// A complete response, and the state of its connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ParsedResponse {
    pub(super) response: HttpResponse,
    /// True if the connection can carry another request: it is open, and no unexpected bytes follow
    /// the response.
    pub(super) is_reusable: bool,
}

/// The length of a body, or what ends it.
enum BodyLength {
    Length(usize),
    Chunked,
    /// The end of the connection.
    Close,
}

struct ResponseHead<'a> {
    status: StatusCode,
    content_type: Option<&'a [u8]>,
    location: Option<&'a [u8]>,
    retry_after: Option<RetryAfter>,
    body_length: Result<BodyLength, IncompleteBody>,
    keeps_alive: bool,
    /// Length of the head, including the empty line.
    length: usize,
}

/// Parses the response if it is complete, or if `end` states that no more will arrive or be waited
/// for. Each call parses from the start, because responses are short and usually arrive whole.
pub(super) fn parse(
    received: &[u8],
    end: Option<EndOfStream>,
) -> Result<Option<ParsedResponse>, RequestError> {
    let Some((head, rest)) = final_head(received)? else {
        return if is_too_long(received) {
            Err(RequestError::ResponseTooLong)
        } else {
            Ok(None)
        };
    };
    let body_length = head.body_length;
    let read = body_length.and_then(|length| read_body(length, rest, end));
    let complete = match (read, end) {
        (Ok(Some(complete)), _) => Ok(complete),
        (Ok(None), None) => return Ok(None),
        (Ok(None), Some(EndOfStream::TimedOut)) => Err(IncompleteBody::TimedOut),
        (Ok(None), Some(EndOfStream::Closed | EndOfStream::Broken)) => {
            Err(IncompleteBody::Truncated)
        }
        (Err(incomplete), _) => Err(incomplete),
    };
    let is_reusable = head.keeps_alive && end.is_none() && matches!(complete, Ok((_, [])));
    let body = complete.map(|(body, _)| body);
    let is_empty = matches!(&body, Ok(body) if body.is_empty());
    let content_type = head.content_type.filter(|_| !is_empty);
    let response = HttpResponse {
        status: head.status,
        body,
        content_type: content_type.map(printable_value),
        location: head
            .location
            .map(|url| printable_value(&strip_secrets(url))),
        retry_after: head.retry_after,
    };
    Ok(Some(ParsedResponse {
        response,
        is_reusable,
    }))
}

/// Returns the status of a response whose head is complete, and the bytes after the head.
pub(super) fn status(received: &[u8]) -> Result<Option<(StatusCode, &[u8])>, RequestError> {
    let head = final_head(received)?;
    Ok(head.map(|(head, rest)| (head.status, rest)))
}

/// A body and the bytes after it.
type BodyAndRest<'a> = (Bytes, &'a [u8]);

fn read_body(
    length: BodyLength,
    rest: &[u8],
    end: Option<EndOfStream>,
) -> Result<Option<BodyAndRest<'_>>, IncompleteBody> {
    match length {
        BodyLength::Length(length) if length > MAX_RESPONSE => Err(IncompleteBody::TooLong),
        BodyLength::Length(length) => Ok(rest
            .split_at_checked(length)
            .map(|(body, rest)| (Bytes::copy_from_slice(body), rest))),
        BodyLength::Chunked => match dechunk(rest)? {
            None if is_too_long(rest) => Err(IncompleteBody::TooLong),
            complete => Ok(complete),
        },
        BodyLength::Close if is_too_long(rest) => Err(IncompleteBody::TooLong),
        BodyLength::Close if end == Some(EndOfStream::Closed) => {
            Ok(Some((Bytes::copy_from_slice(rest), &[])))
        }
        BodyLength::Close => Ok(None),
    }
}

fn is_too_long(received: &[u8]) -> bool {
    received.len() > MAX_RESPONSE
}

/// Returns a header's value for a log line: without control characters, and cut to
/// [`MAX_LOGGED_VALUE`] characters.
fn printable_value(value: &[u8]) -> Box<str> {
    let text = String::from_utf8_lossy(value);
    let characters = text.chars().filter(|character| !character.is_control());
    let value: String = characters.take(MAX_LOGGED_VALUE).collect();
    value.into()
}

/// Returns a URL without user information, query and fragment, which may hold keys.
fn strip_secrets(url: &[u8]) -> Vec<u8> {
    const SCHEME_END: &[u8] = b"://";
    let end = url.iter().position(|byte| matches!(byte, b'?' | b'#'));
    let url = &url[..end.unwrap_or(url.len())];
    let scheme = url
        .windows(SCHEME_END.len())
        .position(|bytes| bytes == SCHEME_END);
    let Some(scheme) = scheme else {
        return url.to_vec();
    };
    let (scheme, rest) = url.split_at(scheme + SCHEME_END.len());
    let path = rest.iter().position(|byte| *byte == b'/');
    let authority = &rest[..path.unwrap_or(rest.len())];
    let user = authority.iter().rposition(|byte| *byte == b'@');
    [scheme, &rest[user.map_or(0, |at| at + 1)..]].concat()
}

/// Returns the head of the final response and the bytes after it. Informational responses (`100
/// Continue`) precede it.
fn final_head(mut received: &[u8]) -> Result<Option<(ResponseHead<'_>, &[u8])>, RequestError> {
    while let Some(head) = parse_head(received)? {
        received = &received[head.length..];
        if !head.status.is_informational() {
            return Ok(Some((head, received)));
        }
    }
    Ok(None)
}

fn parse_head(received: &[u8]) -> Result<Option<ResponseHead<'_>>, RequestError> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        received,
        &mut headers,
    );
    let (length, checked) = match parsed {
        Ok(httparse::Status::Complete(length)) => (length, Ok(())),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => (received.len(), Err(IncompleteBody::Malformed)),
        Err(error) => return Err(RequestError::Malformed(error)),
    };
    let malformed = RequestError::Malformed(httparse::Error::Status);
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(malformed)?;
    let closes =
        header_values(&response, &header::CONNECTION).any(|value| has_token(value, b"close"));
    let body_length = checked.and_then(|()| body_length(&response, status));
    // Looked up only for redirects, because most responses are successes.
    let location = if status.is_redirection() {
        header_values(&response, &header::LOCATION).next()
    } else {
        None
    };
    Ok(Some(ResponseHead {
        status,
        content_type: header_values(&response, &header::CONTENT_TYPE).next(),
        location,
        retry_after: retry_after(&response, status),
        keeps_alive: response.version == Some(1) && !closes,
        body_length,
        length,
    }))
}

/// Returns the parsed `Retry-After`. Looked up only for failures, because most responses are
/// successes.
fn retry_after(response: &httparse::Response<'_, '_>, status: StatusCode) -> Option<RetryAfter> {
    if status.is_success() {
        return None;
    }
    header_values(response, &header::RETRY_AFTER).find_map(RetryAfter::parse)
}

/// Determines the length of the body (RFC 9112, section 6.3): a transfer coding overrides
/// `Content-Length`, and without either the body ends with the connection.
fn body_length(
    response: &httparse::Response<'_, '_>,
    status: StatusCode,
) -> Result<BodyLength, IncompleteBody> {
    let has_no_body = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if has_no_body || status.is_informational() {
        return Ok(BodyLength::Length(0));
    }
    if let Some(codings) = header_values(response, &header::TRANSFER_ENCODING).last() {
        let last = codings.rsplit(|byte| *byte == b',').next();
        let is_chunked = last.is_some_and(|last| has_token(last, b"chunked"));
        return Ok(if is_chunked {
            BodyLength::Chunked
        } else {
            BodyLength::Close
        });
    }
    let mut lengths = header_values(response, &header::CONTENT_LENGTH);
    let Some(length) = lengths.next() else {
        return Ok(BodyLength::Close);
    };
    let number = std::str::from_utf8(length)
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.and_then(|text| text.parse().ok());
    match number.filter(|_| lengths.all(|other| other == length)) {
        Some(number) => Ok(BodyLength::Length(number)),
        None => Err(IncompleteBody::Malformed),
    }
}

fn header_values<'a, 'received>(
    response: &'a httparse::Response<'_, 'received>,
    name: &'a header::HeaderName,
) -> impl Iterator<Item = &'received [u8]> {
    let headers = response.headers.iter();
    headers
        .filter(|header| header.name.eq_ignore_ascii_case(name.as_str()))
        .map(|header| header.value)
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    let mut tokens = value.split(|byte| *byte == b',');
    tokens.any(|known| known.trim_ascii().eq_ignore_ascii_case(token))
}

/// Joins the chunks of a body.
fn dechunk(mut rest: &[u8]) -> Result<Option<BodyAndRest<'_>>, IncompleteBody> {
    const END_OF_LINE: &[u8] = b"\r\n";
    let mut body = Vec::new();
    loop {
        let size = httparse::parse_chunk_size(rest).map_err(|_| IncompleteBody::Malformed)?;
        let httparse::Status::Complete((start, size)) = size else {
            return Ok(None);
        };
        rest = &rest[start..];
        if size == 0 {
            return Ok(skip_trailers(rest)?.map(|rest| (body.into(), rest)));
        }
        let size = usize::try_from(size).map_err(|_| IncompleteBody::TooLong)?;
        if body.len().saturating_add(size) > MAX_RESPONSE {
            return Err(IncompleteBody::TooLong);
        }
        let Some((data, after)) = rest.split_at_checked(size) else {
            return Ok(None);
        };
        body.extend_from_slice(data);
        if after.len() < END_OF_LINE.len() {
            return Ok(None);
        }
        rest = after
            .strip_prefix(END_OF_LINE)
            .ok_or(IncompleteBody::Malformed)?;
    }
}

fn skip_trailers(rest: &[u8]) -> Result<Option<&[u8]>, IncompleteBody> {
    let mut trailers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let parsed = httparse::parse_headers(rest, &mut trailers);
    match parsed.map_err(|_| IncompleteBody::Malformed)? {
        httparse::Status::Complete((length, _)) => Ok(Some(&rest[length..])),
        httparse::Status::Partial => Ok(None),
    }
}

#[cfg(test)]
mod tests;
