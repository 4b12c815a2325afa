//! Passes the raw payload of an invocation around `lambda_runtime`.
//!
//! `lambda_runtime` deserializes the payload with `serde_json` before it calls the handler. Even as
//! a `RawValue` this scans and copies the whole payload, before this crate scans it for messages:
//! about 11,000 instructions for a message of a kilobyte. The layer in this module gives the
//! runtime `null` to deserialize, and keeps the payload in a task-local variable of the handler's
//! future.

use std::cell::Cell;
use std::mem;
use std::task::{Context, Poll};

use lambda_runtime::LambdaInvocation;
use tokio::task::futures::TaskLocalFuture;
use tower::{Layer, Service};

/// Payload that the runtime deserializes.
const NULL: &[u8] = b"null";

tokio::task_local! {
    static PAYLOAD: Cell<Vec<u8>>;
}

/// Takes the payload of the current invocation. A second call returns an empty payload, and so does
/// a call without the [layer](PayloadLayer).
pub(crate) fn take() -> Vec<u8> {
    PAYLOAD.try_with(Cell::take).unwrap_or_default()
}

/// Layer that replaces the payload by `null` and keeps it for [`take`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct PayloadLayer;

impl<S> Layer<S> for PayloadLayer {
    type Service = PayloadService<S>;

    fn layer(&self, inner: S) -> PayloadService<S> {
        PayloadService(inner)
    }
}

/// Service of the [`PayloadLayer`].
#[derive(Debug, Clone)]
pub(crate) struct PayloadService<S>(S);

impl<S: Service<LambdaInvocation>> Service<LambdaInvocation> for PayloadService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = TaskLocalFuture<Cell<Vec<u8>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut invocation: LambdaInvocation) -> Self::Future {
        let payload = mem::replace(&mut invocation.body, NULL.into());
        PAYLOAD.scope(Cell::new(payload.into()), self.0.call(invocation))
    }
}
