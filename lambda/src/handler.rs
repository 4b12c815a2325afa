//! The traits of message handlers.
//!
//! A wrong handler must give one compiler error that names the remedy. The compiler reports the
//! innermost bound that is not met. Each requirement is therefore a separate trait with a message.
//! [`HandlerFn`] selects the form of the handler and has no bounds, because its bounds would hide
//! these messages.

use std::future::Future;
use std::pin::Pin;

use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::message::Message;

mod batch_handler;
mod boxed;
mod layers;
mod messages;
mod router;

pub use batch_handler::{BatchHandler, BatchHandlerFn};
pub(crate) use boxed::{BoxedBatchHandler, BoxedMessageHandler, DecodedBatch};
pub use layers::{HandlerLayers, HandlerService, NoLayers};
pub use messages::Messages;
pub(crate) use messages::Settlements;
pub use router::{Router, RouterArgs};

/// An asynchronous function that handles one [`Message`].
///
/// Implemented for all functions of the form `async fn(Message<T>) -> Result<(), E>` and `async
/// fn(Message<T>, S) -> Result<(), E>` whose error converts into a [`Failure`]. `S` is the state
/// given to the [builder](crate::ConsumerBuilder::state). `Args` distinguishes the two forms and is
/// inferred. Programs do not implement the trait themselves.
///
/// ```
/// use baton_lambda::{Failure, Handler, Message};
///
/// async fn handle(message: Message<u32>) -> Result<(), std::num::TryFromIntError> {
///     let quantity = u8::try_from(message.body)?;
///     println!("{quantity} ordered");
///     Ok(())
/// }
///
/// fn is_handler<S, Args>(_: impl Handler<S, Args>) {}
/// is_handler::<(), _>(handle);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message handler",
    label = "expected `async fn(Message<T>) -> Result<(), E>`, or `async fn(Message<T>, S)` with the state given to the builder",
    note = "the type of the second argument must be the type given to `Consumer::builder().state(…)`; a handler of `Arc<Messages<T>>` needs `run_batch` instead of `run`"
)]
pub trait Handler<S, Args>: Send + Sync + 'static {
    /// Type that the message body is decoded into.
    type Body: MessageBody;

    /// Handles one message.
    fn handle(&self, message: Message<Self::Body>, state: &S) -> BoxedHandlerFuture;
}

/// Boxed future of a handler.
pub(crate) type BoxedHandlerFuture = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

impl<H, S, Args> Handler<S, Args> for H
where
    H: HandlerFn<S, Args> + Send + Sync + 'static,
    H::Body: MessageBody,
    H::Future: HandlerFuture + Send + 'static,
    <H::Future as HandlerFuture>::Output: HandlerResult,
    S: Clone,
{
    type Body = H::Body;

    fn handle(&self, message: Message<Self::Body>, state: &S) -> BoxedHandlerFuture {
        let result = self.call(message, state).into_future();
        Box::pin(async { result.await.into_result() })
    }
}

/// A function with the arguments of a handler. Implemented for functions of both forms and any
/// return type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message handler",
    label = "expected `async fn(Message<T>) -> Result<(), E>`, or `async fn(Message<T>, S)` with the state given to the builder",
    note = "the type of the second argument must be the type given to `Consumer::builder().state(…)`; a handler of `Arc<Messages<T>>` needs `run_batch` instead of `run`"
)]
pub trait HandlerFn<S, Args> {
    /// Type that the message body is decoded into.
    type Body;
    /// Type that the function returns.
    type Future;

    /// Calls the function.
    fn call(&self, message: Message<Self::Body>, state: &S) -> Self::Future
    where
        S: Clone;
}

impl<F, Fut, T, S> HandlerFn<S, (T,)> for F
where
    F: Fn(Message<T>) -> Fut,
{
    type Body = T;
    type Future = Fut;

    fn call(&self, message: Message<T>, _: &S) -> Fut {
        self(message)
    }
}

impl<F, Fut, T, S> HandlerFn<S, (T, S)> for F
where
    F: Fn(Message<T>, S) -> Fut,
{
    type Body = T;
    type Future = Fut;

    fn call(&self, message: Message<T>, state: &S) -> Fut
    where
        S: Clone,
    {
        self(message, state.clone())
    }
}

/// A type that a message body is decoded into. Implemented for all types that own their data and
/// implement `serde::Deserialize`.
#[diagnostic::on_unimplemented(
    message = "a message body cannot be decoded into `{Self}`",
    label = "`{Self}` does not implement `serde::Deserialize`",
    note = "add `#[derive(serde::Deserialize)]` to `{Self}`; a type that borrows from the body, such as one with a field `&str`, needs `Message<Raw>` instead"
)]
pub trait MessageBody: DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + Send + 'static> MessageBody for T {}

/// A future that a handler returns. Implemented for all futures.
#[diagnostic::on_unimplemented(
    message = "a handler is an `async fn`, but this function is not: it returns `{Self}`",
    label = "add `async` before `fn`"
)]
pub trait HandlerFuture {
    /// Result of the future.
    type Output;

    /// Returns the future.
    fn into_future(self) -> impl Future<Output = Self::Output> + Send
    where
        Self: Send;
}

#[diagnostic::do_not_recommend]
impl<F: Future> HandlerFuture for F {
    type Output = F::Output;

    fn into_future(self) -> impl Future<Output = F::Output> + Send
    where
        Self: Send,
    {
        self
    }
}

/// A result of a handler. Implemented for `Result<(), E>` if `E` converts into a [`Failure`].
#[diagnostic::on_unimplemented(
    message = "a handler returns `Result<(), E>`, but this one returns `{Self}`",
    label = "expected a handler that returns `Result<(), E>`",
    note = "`E` is `Failure`, or a type that `?` converts into it: one that implements `std::error::Error`, `anyhow::Error`, a boxed error, or a string"
)]
pub trait HandlerResult {
    /// Returns the result with its error as a [`Failure`].
    ///
    /// # Errors
    ///
    /// Returns the error of the handler.
    fn into_result(self) -> Result<(), Failure>;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Failure>> HandlerResult for Result<(), E> {
    fn into_result(self) -> Result<(), Failure> {
        self.map_err(Into::into)
    }
}
