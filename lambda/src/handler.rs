//! What can handle a message.

use std::future::Future;

use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::message::Message;

/// An asynchronous function of one [`Message`], with or without the state given to the
/// [builder](crate::Builder::state).
///
/// Implemented for every `async fn(Message<T>) -> Result<(), E>` and `async fn(Message<T>, S) ->
/// Result<(), E>` where the error turns into a [`Failure`]; `Args` only tells the two apart and is
/// inferred. There is no need to implement it by hand.
#[diagnostic::on_unimplemented(
    message = "this is no handler of messages",
    label = "expected `async fn(Message<T>) -> Result<(), E>`, or `async fn(Message<T>, S)` with the state given to the builder",
    note = "a second argument is what `Consumer::builder().state(…)` was given: its type has to be the same, and `Clone`",
    note = "`T` has to be `DeserializeOwned`, and `E` a type that implements `std::error::Error`, or `Failure`: for a boxed error there is `Failure::retry`",
    note = "the function, and what it holds across an `await`, has to be `Send`"
)]
pub trait Handler<S, Args>: Send + Sync + 'static {
    /// What a message's body is decoded into.
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
