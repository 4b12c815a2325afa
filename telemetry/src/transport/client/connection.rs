//! One connection, driven by the task that uses it.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf as _;
use tokio::io::ReadBuf;

use super::dial::{Dialer, IoStream, RawConnection};
use super::response::{self, EndOfStream, ParsedResponse};
use super::{BufList, RequestError};

/// Maximum number of bytes per read, more than a collector's usual response.
const READ_BYTES: usize = 1024;
/// Maximum number of buffers per write. A usual request has four.
const MAX_SLICES: usize = 8;

pub(super) struct HttpConnection(RawConnection);

impl fmt::Debug for HttpConnection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpConnection")
            .finish_non_exhaustive()
    }
}

impl HttpConnection {
    pub(super) async fn open(dialer: &Dialer) -> Result<Self, RequestError> {
        dialer.dial().await.map(Self)
    }

    /// Writes a request and reads the response. If the future is dropped, `received` holds the
    /// bytes that have arrived.
    pub(super) async fn send(
        &mut self,
        request: BufList,
        received: &mut Vec<u8>,
    ) -> Result<ParsedResponse, RequestError> {
        let mut round_trip = RoundTrip {
            stream: &mut *self.0.stream,
            request,
            is_written: false,
            write_error: None,
            received,
        };
        poll_fn(|context| round_trip.poll(context)).await
    }

    /// Returns true if the peer has not closed the connection since the last response. Checks once
    /// and does not wait. Unexpected bytes are the end of the connection, or a response to no
    /// request, which must not be read as the response to the next one.
    pub(super) async fn is_open(&mut self) -> bool {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        // TLS may hold decrypted bytes, so the stream is read before the socket is checked.
        let is_quiet = poll_fn(|context| {
            let read = Pin::new(&mut *self.0.stream).poll_read(context, &mut buffer);
            Poll::Ready(read.is_pending())
        });
        let is_quiet = is_quiet.await;
        let unread = self.0.socket.peek(&mut [0]);
        is_quiet && unread.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// A request and the received part of its response.
struct RoundTrip<'a> {
    stream: &'a mut dyn IoStream,
    request: BufList,
    is_written: bool,
    /// The error that stopped writing. It counts only if no response arrives: a collector that
    /// rejects a long request responds and then stops reading.
    write_error: Option<io::Error>,
    received: &'a mut Vec<u8>,
}

impl RoundTrip<'_> {
    /// Reads while it writes, because the response may arrive before the request is complete.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<ParsedResponse, RequestError>> {
        if !self.is_written && self.write_error.is_none() {
            match self.poll_write(context) {
                Poll::Ready(Ok(())) => self.is_written = true,
                Poll::Ready(Err(error)) => self.write_error = Some(error),
                Poll::Pending => {}
            }
        }
        loop {
            let end: Option<(EndOfStream, io::Error)> = match ready!(self.poll_read(context)) {
                Ok(0) => Some((EndOfStream::Closed, io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => None,
                Err(error) => Some((EndOfStream::Broken, error)),
            };
            let end_of_stream = end.as_ref().map(|(end, _)| *end);
            if let Some(mut parsed) = response::parse(self.received, end_of_stream)? {
                parsed.is_reusable &= self.is_written;
                return Poll::Ready(Ok(parsed));
            }
            if let Some((_, error)) = end {
                return Poll::Ready(Err(self.connection_error(error)));
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.request.has_remaining() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let count = self.request.chunks_vectored(&mut slices);
            let stream = Pin::new(&mut *self.stream);
            match ready!(stream.poll_write_vectored(context, &slices[..count]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.request.advance(written),
            }
        }
        Pin::new(&mut *self.stream).poll_flush(context)
    }

    /// Returns the number of bytes read; 0 at the end of the connection.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut bytes = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut *self.stream).poll_read(context, &mut buffer))?;
        self.received.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn connection_error(&mut self, error: io::Error) -> RequestError {
        RequestError::Broken(self.write_error.take().unwrap_or(error))
    }
}
