//! The payload as it arrived, past the runtime's reading of it.
//!
//! `lambda_runtime` hands a handler what `serde_json` makes of the payload. Even as a `RawValue`
//! that is a walk over all of it and a copy, before the walk that finds the messages: about 11,000
//! instructions for a message of a kilobyte. Here the runtime is given `null` to read, and the
//! payload waits beside the handler's future until that asks for it.

use std::cell::Cell;
use std::mem;
use std::task::{Context, Poll};

use lambda_runtime::LambdaInvocation;
use tokio::task::futures::TaskLocalFuture;
use tower::{Layer, Service};

/// What the runtime reads in place of the payload.
const NULL: &[u8] = b"null";

tokio::task_local! {
    static PAYLOAD: Cell<Vec<u8>>;
}

/// The payload of the invocation whose future runs, once: after that, and without the
/// [layer](PayloadLayer), it is empty.
pub(crate) fn take() -> Vec<u8> {
    PAYLOAD.try_with(Cell::take).unwrap_or_default()
}

/// Keeps the payload from the runtime, for [`take`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct PayloadLayer;

impl<S> Layer<S> for PayloadLayer {
    type Service = PayloadService<S>;

    fn layer(&self, inner: S) -> PayloadService<S> {
        PayloadService(inner)
    }
}

/// A service with [`PayloadLayer`] around it.
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
