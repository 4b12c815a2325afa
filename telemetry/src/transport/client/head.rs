//! The part of a request's head that is the same for all requests to an endpoint.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::config::Endpoint;

/// Headers that only the client sets.
const RESERVED_HEADERS: [HeaderName; 3] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];

/// The head from the path to the shared headers. It may contain keys.
pub(super) struct RequestHead {
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RequestHead")
            .finish_non_exhaustive()
    }
}

impl RequestHead {
    pub(super) fn new(endpoint: &Endpoint, headers: HeaderMap) -> Self {
        let mut bytes = format!(" {} HTTP/1.1\r\n", endpoint.path).into_bytes();
        // An `Endpoint`'s authority consists of a parsed host and a number.
        if let Ok(host) = HeaderValue::try_from(endpoint.authority()) {
            put_header(&mut bytes, &header::HOST, &host);
        }
        for (name, value) in &headers {
            if !RESERVED_HEADERS.contains(name) {
                put_header(&mut bytes, name, value);
            }
        }
        Self { headers, bytes }
    }

    /// Sets headers. They replace headers of the same name.
    pub(super) fn set_headers(&mut self, endpoint: &Endpoint, headers: HeaderMap) {
        let mut all = std::mem::take(&mut self.headers);
        all.extend(headers);
        *self = Self::new(endpoint, all);
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

pub(super) fn put_header(head: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    head.extend_from_slice(name.as_str().as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value.as_bytes());
    head.extend_from_slice(b"\r\n");
}
