//! Length-prefixed messages ("gRPC over HTTP2", "Length-Prefixed-Message").

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};

use crate::transport::client::BufList;

/// Length of the prefix: a byte for the compression flag and four for the length.
pub(super) const PREFIX_BYTES: usize = 5;

/// The body of a request: the prefix and the message, in buffers that are not copied.
pub(super) struct LengthPrefixedMessage(BufList);

impl LengthPrefixedMessage {
    pub(super) fn new(mut message: BufList, is_compressed: bool) -> Self {
        // Requests are a thousandth of the maximum.
        let length = u32::try_from(message.remaining()).unwrap_or(u32::MAX);
        let mut prefix = BytesMut::with_capacity(PREFIX_BYTES);
        prefix.put_u8(is_compressed.into());
        prefix.put_u32(length);
        message.prepend(prefix.freeze());
        Self(message)
    }
}

impl Body for LengthPrefixedMessage {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop().map(|buffer| Ok(Frame::data(buffer))))
    }

    fn is_end_stream(&self) -> bool {
        !self.0.has_remaining()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.remaining() as u64)
    }
}

/// Returns the message in the body of a response. Returns an empty message if the body has none, or
/// a compressed one, which the client never requests. The outcome of the call is in the trailers.
pub(super) fn decode(mut body: Bytes) -> Bytes {
    const PLAIN: u8 = 0;
    if body.len() < PREFIX_BYTES || body.get_u8() != PLAIN {
        return Bytes::new();
    }
    let length = body.get_u32() as usize;
    if length > body.len() {
        return Bytes::new();
    }
    body.split_to(length)
}
