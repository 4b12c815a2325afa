//! An HTTP/1.1 answer, from the bytes that have arrived so far (RFC 9112).

use super::SendError;
use super::retry_after::RetryAfter;
use bytes::Bytes;
use http::{StatusCode, header};
use std::mem::MaybeUninit;

/// Collectors answer with a few bytes; whoever sends more than this is none.
pub(crate) const MAX_RESPONSE: usize = 256 * 1024;
/// As many as servers commonly take themselves. With more, the status is all that is read of an answer.
const MAX_HEADERS: usize = 64;

/// An answer. The peer has decided when it sends the status: whatever is wrong with the rest does not take that back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    /// Empty, if it could not be read to its end.
    pub(crate) body: Bytes,
    /// Where the peer did not do what it was asked for, and says when it may.
    pub(crate) retry_after: Option<RetryAfter>,
}

/// A complete answer, and what becomes of its connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) response: Response,
    /// The peer is ready for another request, and has sent nothing that was not asked for.
    pub(super) is_reusable: bool,
}

/// Where the body ends.
enum Framing {
    Length(usize),
    Chunked,
    /// With the connection.
    Close,
}

struct Head {
    status: StatusCode,
    retry_after: Option<RetryAfter>,
    framing: Result<Framing, SendError>,
    keeps_open: bool,
    /// Bytes of the head, the empty line included.
    length: usize,
}

/// Reads the answer, if it is complete. `is_over` says that nothing more will arrive, or be waited for. What was read before is read again:
/// answers are short, and usually arrive whole.
pub(super) fn parse(received: &[u8], is_over: bool) -> Result<Option<Parsed>, SendError> {
    let Some((head, rest)) = final_head(received)? else {
        return within_limit(received);
    };
    let framing = head.framing;
    let read = framing.and_then(|framing| read_body(framing, rest, is_over));
    if !is_over && matches!(read, Ok(None)) {
        return Ok(None);
    }
    let whole = read.ok().flatten();
    let is_reusable = head.keeps_open && !is_over && matches!(whole, Some((_, [])));
    let response = Response {
        status: head.status,
        body: whole.map_or_else(Bytes::new, |(body, _)| body),
        retry_after: head.retry_after,
    };
    Ok(Some(Parsed {
        response,
        is_reusable,
    }))
}

/// A body, and what follows it.
type Body<'a> = (Bytes, &'a [u8]);

fn read_body(framing: Framing, rest: &[u8], is_over: bool) -> Result<Option<Body<'_>>, SendError> {
    match framing {
        Framing::Length(length) if length > MAX_RESPONSE => Err(SendError::ResponseTooLong),
        Framing::Length(length) => Ok(rest
            .split_at_checked(length)
            .map(|(body, left)| (Bytes::copy_from_slice(body), left))),
        Framing::Chunked => match dechunk(rest)? {
            None => within_limit(rest),
            whole => Ok(whole),
        },
        Framing::Close if is_over => Ok(Some((Bytes::copy_from_slice(rest), &[]))),
        Framing::Close => within_limit(rest),
    }
}

fn within_limit<T>(received: &[u8]) -> Result<Option<T>, SendError> {
    match received.len() > MAX_RESPONSE {
        true => Err(SendError::ResponseTooLong),
        false => Ok(None),
    }
}

/// The head of the answer itself, and what follows it: informational answers (`100 Continue`) come before it.
fn final_head(mut received: &[u8]) -> Result<Option<(Head, &[u8])>, SendError> {
    while let Some(head) = parse_head(received)? {
        received = &received[head.length..];
        if !head.status.is_informational() {
            return Ok(Some((head, received)));
        }
    }
    Ok(None)
}

fn parse_head(received: &[u8]) -> Result<Option<Head>, SendError> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        received,
        &mut headers,
    );
    let (length, framed) = match parsed {
        Ok(httparse::Status::Complete(length)) => (length, Ok(())),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error @ httparse::Error::TooManyHeaders) => (received.len(), Err(error)),
        Err(error) => return Err(SendError::Malformed(error)),
    };
    let malformed = SendError::Malformed(httparse::Error::Status);
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(malformed)?;
    let closes = values(&response, &header::CONNECTION).any(|value| has_token(value, b"close"));
    let framing = framed
        .map_err(SendError::Malformed)
        .and_then(|()| framing(&response, status));
    Ok(Some(Head {
        status,
        retry_after: retry_after(&response, status),
        keeps_open: response.version == Some(1) && !closes,
        framing,
        length,
    }))
}

/// Looked for only where it has a meaning: answers are usually successes.
fn retry_after(response: &httparse::Response<'_, '_>, status: StatusCode) -> Option<RetryAfter> {
    if status.is_success() {
        return None;
    }
    values(response, &header::RETRY_AFTER).find_map(RetryAfter::parse)
}

/// RFC 9112, section 6.3: the transfer coding wins over a length, and without either the body ends with the connection.
fn framing(
    response: &httparse::Response<'_, '_>,
    status: StatusCode,
) -> Result<Framing, SendError> {
    let has_no_body = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if has_no_body || status.is_informational() {
        return Ok(Framing::Length(0));
    }
    if let Some(codings) = values(response, &header::TRANSFER_ENCODING).last() {
        let last = codings.rsplit(|byte| *byte == b',').next();
        let is_chunked = last.is_some_and(|last| has_token(last, b"chunked"));
        return Ok(if is_chunked {
            Framing::Chunked
        } else {
            Framing::Close
        });
    }
    let mut lengths = values(response, &header::CONTENT_LENGTH);
    let Some(length) = lengths.next() else {
        return Ok(Framing::Close);
    };
    let number = std::str::from_utf8(length)
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.and_then(|text| text.parse().ok());
    match number.filter(|_| lengths.all(|other| other == length)) {
        Some(number) => Ok(Framing::Length(number)),
        None => Err(SendError::Malformed(httparse::Error::HeaderValue)),
    }
}

fn values<'a>(
    response: &'a httparse::Response<'_, '_>,
    name: &'a header::HeaderName,
) -> impl Iterator<Item = &'a [u8]> {
    let headers = response.headers.iter();
    headers
        .filter(|header| header.name.eq_ignore_ascii_case(name.as_str()))
        .map(|header| header.value)
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    let mut tokens = value.split(|byte| *byte == b',');
    tokens.any(|known| known.trim_ascii().eq_ignore_ascii_case(token))
}

/// Puts a body's chunks together.
fn dechunk(mut rest: &[u8]) -> Result<Option<Body<'_>>, SendError> {
    const END_OF_LINE: &[u8] = b"\r\n";
    let malformed = || SendError::Malformed(httparse::Error::NewLine);
    let mut body = Vec::new();
    loop {
        let size = httparse::parse_chunk_size(rest).map_err(|_| malformed())?;
        let httparse::Status::Complete((start, size)) = size else {
            return Ok(None);
        };
        rest = &rest[start..];
        if size == 0 {
            return Ok(behind_trailers(rest)?.map(|left| (body.into(), left)));
        }
        let size = usize::try_from(size).map_err(|_| SendError::ResponseTooLong)?;
        if body.len().saturating_add(size) > MAX_RESPONSE {
            return Err(SendError::ResponseTooLong);
        }
        let Some((data, behind)) = rest.split_at_checked(size) else {
            return Ok(None);
        };
        body.extend_from_slice(data);
        if behind.len() < END_OF_LINE.len() {
            return Ok(None);
        }
        rest = behind.strip_prefix(END_OF_LINE).ok_or_else(malformed)?;
    }
}

fn behind_trailers(rest: &[u8]) -> Result<Option<&[u8]>, SendError> {
    let mut trailers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    match httparse::parse_headers(rest, &mut trailers).map_err(SendError::Malformed)? {
        httparse::Status::Complete((length, _)) => Ok(Some(&rest[length..])),
        httparse::Status::Partial => Ok(None),
    }
}

#[cfg(test)]
mod tests;
