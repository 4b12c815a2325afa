//! Layers around the handler of each message.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::TryFutureExt as _;
use futures_util::future::MapErr;
use tower::layer::util::{Identity, Stack};
use tower::{BoxError, Layer, Service};

use super::BoxedHandlerFuture;
use super::boxed::MessageFn;
use crate::failure::Failure;
use crate::message::Message;

/// The handler of a consumer as a tower service, which its innermost
/// [layer](crate::ConsumerBuilder::layer) wraps.
///
/// The error is a boxed [`HandlerError`](crate::HandlerError) with the handler's failure. The
/// service is always ready. Clones share the handler.
pub struct HandlerService<T>(MessageFn<T>);

impl<T> Clone for HandlerService<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for HandlerService<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HandlerService")
            .finish_non_exhaustive()
    }
}

impl<T> Service<Message<T>> for HandlerService<T> {
    type Response = ();
    type Error = BoxError;
    type Future = MapErr<BoxedHandlerFuture, fn(Failure) -> BoxError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, message: Message<T>) -> Self::Future {
        let box_failure: fn(Failure) -> BoxError = |failure| failure.into_error().into();
        (self.0)(message).map_err(box_failure)
    }
}

/// The layers of a consumer. Implemented for [`Identity`], which is a consumer without layers, and
/// for a [`Stack`] of layers that turn the handler of a `Message<T>` into a service for the same
/// message.
#[diagnostic::on_unimplemented(
    message = "the consumer's layers do not fit a handler of `Message<{T}>`",
    note = "a layer must turn a `Service<Message<T>, Response = ()>` into another one that is `Clone`, and whose error converts into `tower::BoxError`"
)]
pub trait HandlerLayers<T> {
    /// Wraps the handler.
    #[doc(hidden)]
    fn wrap(self, handler: MessageFn<T>) -> MessageFn<T>;
}

impl<T> HandlerLayers<T> for Identity {
    fn wrap(self, handler: MessageFn<T>) -> MessageFn<T> {
        handler
    }
}

/// The layers of a consumer of whole batches. Implemented for [`Identity`] only.
#[diagnostic::on_unimplemented(
    message = "layers do not apply to a handler of whole batches",
    label = "remove the layers of this consumer",
    note = "a layer wraps the handler of one message: use `run` with a handler of `Message<T>`"
)]
pub trait NoLayers {}

impl NoLayers for Identity {}

impl<T, Inner, Outer> HandlerLayers<T> for Stack<Inner, Outer>
where
    T: Send + 'static,
    Stack<Inner, Outer>: Layer<HandlerService<T>>,
    <Self as Layer<HandlerService<T>>>::Service: Service<Message<T>, Response = (), Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
{
    fn wrap(self, handler: MessageFn<T>) -> MessageFn<T> {
        // Few layers create a service that is `Sync`. The lock makes it `Sync`.
        let service = Mutex::new(self.layer(HandlerService(handler)));
        Arc::new(move |message| {
            let service = service.lock().unwrap_or_else(PoisonError::into_inner);
            let mut service = service.clone();
            Box::pin(async move {
                let ready = poll_fn(|context| service.poll_ready(context)).await;
                ready.map_err(box_error)?;
                service.call(message).await.map_err(box_error)?;
                Ok(())
            })
        })
    }
}

fn box_error(error: impl Into<BoxError>) -> BoxError {
    error.into()
}

#[cfg(test)]
mod tests;
