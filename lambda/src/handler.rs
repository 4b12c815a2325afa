//! The trait of message handlers.

use std::future::Future;

use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::message::Message;

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
    note = "the type of the second argument must be the type given to `Consumer::builder().state(…)`, and implement `Clone`",
    note = "`T` must implement `DeserializeOwned`, for example with `#[derive(serde::Deserialize)]`; `E` must be `Failure` or implement `std::error::Error` (convert a boxed error with `Failure::retry`)",
    note = "the function, and all values that it holds across an `await`, must be `Send`"
)]
pub trait Handler<S, Args>: Send + Sync + 'static {
    /// Type that the message body is decoded into.
    type Body: DeserializeOwned + Send + 'static;

    /// Handles one message.
    fn call(
        &self,
        message: Message<Self::Body>,
        state: &S,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

impl<F, Fut, T, E, S> Handler<S, (T,)> for F
where
    F: Fn(Message<T>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    T: DeserializeOwned + Send + 'static,
    E: Into<Failure>,
    S: Sync,
{
    type Body = T;

    async fn call(&self, message: Message<T>, _: &S) -> Result<(), Failure> {
        self(message).await.map_err(Into::into)
    }
}

impl<F, Fut, T, E, S> Handler<S, (T, S)> for F
where
    F: Fn(Message<T>, S) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    T: DeserializeOwned + Send + 'static,
    E: Into<Failure>,
    S: Clone + Send + Sync,
{
    type Body = T;

    async fn call(&self, message: Message<T>, state: &S) -> Result<(), Failure> {
        self(message, state.clone()).await.map_err(Into::into)
    }
}
