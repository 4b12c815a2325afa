//! Tower layer that checks host names, for axum routers and tonic servers.

use std::pin::pin;
use std::task::{Context, Poll};

use bytes::Buf;
use futures_util::future::{BoxFuture, Either};
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use hyper::body::Body;
use tower::{Layer, Service};

use super::{AllowedHosts, HostCheckError};

/// Limit on the bytes of a rejected request that are read before the connection closes. A client
/// whose connection closes while it writes does not see the response. The value is the size of the
/// largest request that any listener accepts.
const MAX_DRAINED_BYTES: usize = 20 * 1024 * 1024;

/// Builds the response to a rejected request in the format that its headers ask for.
type RespondFn<R> = fn(&HostCheckError, &HeaderMap) -> R;

/// Rejects requests for hosts that are not allowed before they reach the inner service.
#[derive(Debug)]
pub(crate) struct HostCheckLayer<R> {
    allowed: AllowedHosts,
    respond: RespondFn<R>,
}

/// Service of [`HostCheckLayer`].
#[derive(Debug)]
pub(crate) struct HostCheck<S, R> {
    allowed: AllowedHosts,
    respond: RespondFn<R>,
    inner: S,
}

impl<R> HostCheckLayer<R> {
    /// Creates a layer that builds the responses to rejected requests with `respond`.
    pub(crate) fn new(allowed: AllowedHosts, respond: RespondFn<R>) -> Self {
        Self { allowed, respond }
    }
}

// A derived impl would require `R: Clone`.
impl<R> Clone for HostCheckLayer<R> {
    fn clone(&self) -> Self {
        Self::new(self.allowed.clone(), self.respond)
    }
}

impl<S, R> Layer<S> for HostCheckLayer<R> {
    type Service = HostCheck<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        HostCheck {
            allowed: self.allowed.clone(),
            respond: self.respond,
            inner,
        }
    }
}

impl<S: Clone, R> Clone for HostCheck<S, R> {
    fn clone(&self) -> Self {
        Self {
            allowed: self.allowed.clone(),
            respond: self.respond,
            inner: self.inner.clone(),
        }
    }
}

impl<S, B, R> Service<Request<B>> for HostCheck<S, R>
where
    S: Service<Request<B>, Response = R>,
    S::Error: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    R: Send + 'static,
{
    type Response = R;
    type Error = S::Error;
    type Future = Either<S::Future, BoxFuture<'static, Result<R, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.allowed.check(request.uri(), request.headers()) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(error) => {
                tracing::debug!(%error, "request rejected");
                let response = (self.respond)(&error, request.headers());
                let body = request.into_body();
                Either::Right(Box::pin(async move {
                    drain(body).await;
                    Ok(response)
                }))
            }
        }
    }
}

async fn drain(body: impl Body) {
    let mut body = pin!(body);
    let mut drained = 0;
    while let Some(Ok(frame)) = body.frame().await {
        drained += frame.data_ref().map_or(0, Buf::remaining);
        if drained > MAX_DRAINED_BYTES {
            return;
        }
    }
}
