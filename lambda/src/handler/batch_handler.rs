//! The traits of handlers of whole batches.

use std::sync::Arc;

use super::messages::Messages;
use super::{BoxedHandlerFuture, HandlerFuture, HandlerResult, MessageBody};

/// An asynchronous function that handles a whole batch.
///
/// Implemented for all functions of the form `async fn(Arc<Messages<T>>) -> Result<(), E>` and
/// `async fn(Arc<Messages<T>>, S) -> Result<(), E>` whose error converts into a
/// [`Failure`](crate::Failure). `S` is the state given to the
/// [builder](crate::ConsumerBuilder::state). `Args` distinguishes the two forms and is inferred.
/// Programs do not implement the trait themselves.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of whole batches",
    label = "expected `async fn(Arc<Messages<T>>) -> Result<(), E>`, or `async fn(Arc<Messages<T>>, S)` with the state given to the builder",
    note = "the type of the second argument must be the type given to `Consumer::builder().state(…)`; a handler of `Message<T>`, and a `Router`, need `run` instead of `run_batch`"
)]
pub trait BatchHandler<S, Args>: Send + Sync + 'static {
    /// Type that message bodies are decoded into.
    type Body: MessageBody;

    /// Handles one batch.
    fn handle(&self, messages: Arc<Messages<Self::Body>>, state: &S) -> BoxedHandlerFuture;
}

impl<H, S, Args> BatchHandler<S, Args> for H
where
    H: BatchHandlerFn<S, Args> + Send + Sync + 'static,
    H::Body: MessageBody,
    H::Future: HandlerFuture + Send + 'static,
    <H::Future as HandlerFuture>::Output: HandlerResult,
    S: Clone,
{
    type Body = H::Body;

    fn handle(&self, messages: Arc<Messages<Self::Body>>, state: &S) -> BoxedHandlerFuture {
        let result = self.call(messages, state).into_future();
        Box::pin(async { result.await.into_result() })
    }
}

/// A function with the arguments of a handler of whole batches. Implemented for functions of both
/// forms and any return type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of whole batches",
    label = "expected `async fn(Arc<Messages<T>>) -> Result<(), E>`, or `async fn(Arc<Messages<T>>, S)` with the state given to the builder",
    note = "the type of the second argument must be the type given to `Consumer::builder().state(…)`; a handler of `Message<T>`, and a `Router`, need `run` instead of `run_batch`"
)]
pub trait BatchHandlerFn<S, Args> {
    /// Type that message bodies are decoded into.
    type Body;
    /// Type that the function returns.
    type Future;

    /// Calls the function.
    fn call(&self, messages: Arc<Messages<Self::Body>>, state: &S) -> Self::Future
    where
        S: Clone;
}

impl<F, Fut, T, S> BatchHandlerFn<S, (T,)> for F
where
    F: Fn(Arc<Messages<T>>) -> Fut,
{
    type Body = T;
    type Future = Fut;

    fn call(&self, messages: Arc<Messages<T>>, _: &S) -> Fut {
        self(messages)
    }
}

impl<F, Fut, T, S> BatchHandlerFn<S, (T, S)> for F
where
    F: Fn(Arc<Messages<T>>, S) -> Fut,
{
    type Body = T;
    type Future = Fut;

    fn call(&self, messages: Arc<Messages<T>>, state: &S) -> Fut
    where
        S: Clone,
    {
        self(messages, state.clone())
    }
}
