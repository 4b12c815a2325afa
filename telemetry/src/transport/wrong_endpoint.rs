//! Responses that show that an endpoint does not accept this form of OTLP, regardless of the
//! request's content, and their probable cause.

use std::fmt;

use ::http::StatusCode;

use super::ResponseStatus;
use crate::config::{Endpoint, OtlpProtocol};
use crate::otlp::Signal;
use crate::transport::client::RequestError;

/// An endpoint that is probably misconfigured: no request succeeds until the configuration changes.
#[derive(Debug, thiserror::Error)]
pub(crate) struct WrongEndpoint {
    pub(super) response: UnexpectedResponse,
    pub(super) hint: EndpointHint,
}

/// A response from something other than an OTLP receiver.
#[derive(Debug)]
pub(crate) enum UnexpectedResponse {
    Status(ResponseStatus),
    Redirect {
        status: StatusCode,
        location: Option<Box<str>>,
    },
    /// Success with a body that is not an `Export…ServiceResponse`, such as a web page.
    NotOtlp {
        status: StatusCode,
        content_type: Option<Box<str>>,
    },
    /// A response in another protocol.
    Protocol(RequestError),
}

impl fmt::Display for UnexpectedResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(formatter, "the collector responded with {status}"),
            Self::Redirect { status, location } => {
                write!(formatter, "the collector responded with {status}")?;
                match location {
                    Some(location) => write!(formatter, ", a redirect to {location}"),
                    None => formatter.write_str(", a redirect without a location"),
                }
            }
            Self::NotOtlp {
                status,
                content_type,
            } => {
                write!(
                    formatter,
                    "the collector responded with {status}, but its body"
                )?;
                match content_type {
                    Some(content_type) => write!(formatter, " of content type {content_type}")?,
                    None => formatter.write_str(" without a content type")?,
                }
                formatter.write_str(" is not an OTLP response")
            }
            Self::Protocol(error) => error.fmt(formatter),
        }
    }
}

/// The probable mistake in the configuration of an endpoint that does not accept OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndpointHint {
    /// The base URL already ends in the path that is appended to it.
    BaseUrl(&'static str),
    /// The endpoint of one signal does not end in the path of that signal.
    SignalUrl(Signal),
    Http,
    #[cfg(feature = "grpc")]
    Grpc,
}

impl EndpointHint {
    pub(super) fn new(signal: Signal, protocol: OtlpProtocol, endpoint: &Endpoint) -> Self {
        match protocol {
            OtlpProtocol::HttpProtobuf => Self::from_path(signal, &endpoint.path),
            #[cfg(feature = "grpc")]
            OtlpProtocol::Grpc => Self::Grpc,
        }
    }

    fn from_path(signal: Signal, path: &str) -> Self {
        let Some(base) = path.trim_end_matches('/').strip_suffix(signal.path()) else {
            return Self::SignalUrl(signal);
        };
        let [traces, metrics, logs] =
            [Signal::Traces, Signal::Metrics, Signal::Logs].map(Signal::path);
        let mut suffixes = [traces, metrics, logs, "/v1"].into_iter();
        match suffixes.find(|suffix| base.ends_with(suffix)) {
            Some(suffix) => Self::BaseUrl(suffix),
            None => Self::Http,
        }
    }
}

impl fmt::Display for WrongEndpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}; ", self.response)?;
        if matches!(self.response, UnexpectedResponse::Redirect { .. }) {
            return formatter.write_str(
                "redirects are not followed: set the endpoint to the target of the redirect, in a base URL without the path of the signal",
            );
        }
        formatter.write_str("the endpoint's path or port is not that of an OTLP receiver")?;
        // A receiver with the right path responds with this status too.
        let is_media_type_unsupported = matches!(
            self.response,
            UnexpectedResponse::Status(ResponseStatus::Http {
                code: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                ..
            })
        );
        if is_media_type_unsupported {
            formatter.write_str(
                ", or the receiver does not support protobuf or the compression of the request",
            )?;
        }
        match self.hint {
            EndpointHint::BaseUrl(path) => write!(
                formatter,
                "; the endpoint has to be a base URL without {path}, because the path of the signal is added to it"
            ),
            EndpointHint::SignalUrl(signal) => write!(
                formatter,
                "; the endpoint of a single signal is used as it is, and usually ends in {}",
                signal.path()
            ),
            EndpointHint::Http => {
                formatter.write_str("; http/protobuf usually uses port 4318, and grpc port 4317")
            }
            #[cfg(feature = "grpc")]
            EndpointHint::Grpc => {
                formatter.write_str("; grpc usually uses port 4317, and http/protobuf port 4318")
            }
        }
    }
}
