//! Responses to calls.

use std::future::poll_fn;
use std::pin::Pin;

use ::http::{HeaderMap, Response, StatusCode};
use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};

use super::message;
use super::status::CallStatus;
use crate::otlp::PartialSuccess;
use crate::transport::client::{MAX_RESPONSE, RequestError};
use crate::transport::status::ResponseClass;
use crate::transport::wrong_endpoint::{EndpointHint, UnexpectedResponse, WrongEndpoint};
use crate::transport::{ResponseStatus, TransportError};

/// A complete response.
#[derive(Debug)]
pub(super) struct GrpcResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

impl GrpcResponse {
    pub(super) async fn read(response: Response<Incoming>) -> Result<Self, RequestError> {
        let (head, mut incoming) = response.into_parts();
        let mut body = BytesMut::new();
        let mut trailers = None;
        while let Some(frame) = poll_fn(|context| Pin::new(&mut incoming).poll_frame(context)).await
        {
            match frame.map_err(super::connection_error)?.into_data() {
                Ok(data) if body.len() + data.len() > MAX_RESPONSE => {
                    return Err(RequestError::ResponseTooLong);
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

    /// Returns the message of a successful response. `sent` are the headers of the request.
    ///
    /// Unlike an HTTP status, a gRPC status follows the message and can come only from a gRPC
    /// server. It is therefore the acknowledgement, and an unreadable message is ignored.
    pub(super) fn into_outcome(
        self,
        sent: &HeaderMap,
        hint: EndpointHint,
    ) -> Result<PartialSuccess, TransportError> {
        let call_status = self.call_status(sent)?;
        match call_status.classify() {
            ResponseClass::Accepted => {
                let message = message::decode(self.body);
                Ok(PartialSuccess::from_protobuf(&message).unwrap_or_default())
            }
            ResponseClass::WrongEndpoint => {
                let response = UnexpectedResponse::Status(ResponseStatus::Grpc(call_status.status));
                Err(WrongEndpoint { response, hint }.into())
            }
            ResponseClass::Retryable => {
                let status = ResponseStatus::Grpc(call_status.status);
                Err(TransportError::retryable(status, call_status.retry_after))
            }
            ResponseClass::NonRetryable => Err(TransportError::NonRetryable(ResponseStatus::Grpc(
                call_status.status,
            ))),
        }
    }

    fn call_status(&self, sent: &HeaderMap) -> Result<CallStatus, RequestError> {
        let trailers = self.trailers.as_ref();
        let found = trailers.and_then(|trailers| CallStatus::read(trailers, sent));
        // A response without a message has its status in the headers ("Trailers-Only").
        let found = found.or_else(|| CallStatus::read(&self.headers, sent));
        match found {
            Some(status) => Ok(status),
            None if self.status == StatusCode::OK => Err(RequestError::NotGrpc),
            None => Ok(CallStatus::from_http(self.status)),
        }
    }
}
