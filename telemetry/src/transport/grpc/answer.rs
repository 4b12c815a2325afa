//! What a server answers to a call.

use std::future::poll_fn;
use std::pin::Pin;

use ::http::{HeaderMap, Response, StatusCode};
use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};

use super::message;
use super::status::End;
use crate::otlp::PartialSuccess;
use crate::transport::client::{MAX_RESPONSE, SendError};
use crate::transport::status::ResponseClass;
use crate::transport::wrong_endpoint::{Hint, UnexpectedAnswer, WrongEndpoint};
use crate::transport::{Status, TransportError};

/// An answer that has been read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

impl Answer {
    pub(super) async fn read(response: Response<Incoming>) -> Result<Self, SendError> {
        let (head, mut incoming) = response.into_parts();
        let mut body = BytesMut::new();
        let mut trailers = None;
        while let Some(frame) = poll_fn(|context| Pin::new(&mut incoming).poll_frame(context)).await
        {
            match frame.map_err(super::broken)?.into_data() {
                Ok(data) if body.len() + data.len() > MAX_RESPONSE => {
                    return Err(SendError::ResponseTooLong);
                }
                Ok(data) => body.extend_from_slice(&data),
                Err(other) => trailers = other.into_trailers().ok(),
            }
        }
        Ok(Self {
            status: head.status,
            headers: head.headers,
            body: body.freeze(),
            trailers,
        })
    }

    /// The message of a server that has accepted the call. `sent` are the call's headers.
    ///
    /// Unlike an HTTP status, a gRPC status follows the message and can come only from a gRPC
    /// server. It is therefore the acknowledgement, and an unreadable message is ignored.
    pub(super) fn accepted(
        self,
        sent: &HeaderMap,
        hint: Hint,
    ) -> Result<PartialSuccess, TransportError> {
        let end = self.end(sent)?;
        match end.classify() {
            ResponseClass::Accepted => {
                let message = message::unwrapped(self.body);
                Ok(PartialSuccess::from_protobuf(&message).unwrap_or_default())
            }
            ResponseClass::WrongEndpoint => {
                let answer = UnexpectedAnswer::Status(Status::Grpc(end.status));
                Err(WrongEndpoint { answer, hint }.into())
            }
            ResponseClass::Retryable => {
                let status = Status::Grpc(end.status);
                Err(TransportError::unavailable(status, end.retry_after))
            }
            ResponseClass::NonRetryable => {
                Err(TransportError::NonRetryable(Status::Grpc(end.status)))
            }
        }
    }

    fn end(&self, sent: &HeaderMap) -> Result<End, SendError> {
        let trailers = self.trailers.as_ref();
        let end = trailers.and_then(|trailers| End::read(trailers, sent));
        // An answer that is nothing but a status has it in its headers.
        let end = end.or_else(|| End::read(&self.headers, sent));
        match end {
            Some(end) => Ok(end),
            None if self.status == StatusCode::OK => Err(SendError::NotGrpc),
            None => Ok(End::from_http(self.status)),
        }
    }
}
