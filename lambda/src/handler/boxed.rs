//! Boxed handlers, which the rest of the crate calls without knowing their types.

use std::sync::Arc;

use super::layers::HandlerLayers;
use super::messages::{Messages, Settlements};
use super::{BatchHandler, BoxedHandlerFuture, Handler, MessageBody};
use crate::envelope::Envelope;
use crate::event::SqsBatch;
use crate::message::{BodyError, Message};

/// A handler with its state and layers.
pub(crate) type MessageFn<T> = Arc<dyn Fn(Message<T>) -> BoxedHandlerFuture + Send + Sync>;

/// Starts the handler for the record at a position of a batch.
type RecordFn =
    dyn Fn(&Arc<SqsBatch>, usize, Envelope) -> Result<BoxedHandlerFuture, BodyError> + Send + Sync;

/// A handler of any body type, with its state and layers.
pub(crate) struct BoxedMessageHandler(Box<RecordFn>);

impl BoxedMessageHandler {
    pub(crate) fn new<H, T, S, L, Args>(handler: H, state: S, layers: L) -> Self
    where
        H: Handler<S, Args, Body = T>,
        S: Send + Sync + 'static,
        T: MessageBody,
        L: HandlerLayers<T>,
    {
        let handler = layers.wrap(Arc::new(move |message| handler.handle(message, &state)));
        Self(Box::new(move |batch, index, envelope| {
            Message::decode(batch, index, envelope).map(|message| handler(message))
        }))
    }

    /// Decodes the record's body and starts the handler.
    pub(crate) fn start(
        &self,
        batch: &Arc<SqsBatch>,
        index: usize,
        envelope: Envelope,
    ) -> Result<BoxedHandlerFuture, BodyError> {
        (self.0)(batch, index, envelope)
    }
}

/// A handler of whole batches of any body type, with its state.
pub(crate) struct BoxedBatchHandler(Box<dyn Fn() -> Box<dyn DecodedBatch> + Send + Sync>);

/// Messages of a batch that has not been given to the handler yet.
pub(crate) trait DecodedBatch: Send {
    /// Decodes the body of the record at `index`, and adds the message.
    fn decode(
        &mut self,
        batch: &Arc<SqsBatch>,
        index: usize,
        envelope: Envelope,
    ) -> Result<(), BodyError>;

    /// Calls the handler with the messages.
    fn handle(self: Box<Self>, settlements: Arc<Settlements>) -> BoxedHandlerFuture;
}

impl BoxedBatchHandler {
    pub(crate) fn new<H, S, Args>(handler: H, state: S) -> Self
    where
        H: BatchHandler<S, Args>,
        S: Send + Sync + 'static,
    {
        let handler: BatchFn<H::Body> = Arc::new(move |messages| handler.handle(messages, &state));
        Self(Box::new(move || {
            Box::new(TypedBatch {
                handler: Arc::clone(&handler),
                messages: Vec::new(),
            })
        }))
    }

    /// Returns an empty batch for the handler.
    pub(crate) fn start(&self) -> Box<dyn DecodedBatch> {
        (self.0)()
    }
}

type BatchFn<T> = Arc<dyn Fn(Arc<Messages<T>>) -> BoxedHandlerFuture + Send + Sync>;

struct TypedBatch<T> {
    handler: BatchFn<T>,
    messages: Vec<Message<T>>,
}

impl<T: MessageBody> DecodedBatch for TypedBatch<T> {
    fn decode(
        &mut self,
        batch: &Arc<SqsBatch>,
        index: usize,
        envelope: Envelope,
    ) -> Result<(), BodyError> {
        self.messages.push(Message::decode(batch, index, envelope)?);
        Ok(())
    }

    fn handle(self: Box<Self>, settlements: Arc<Settlements>) -> BoxedHandlerFuture {
        (self.handler)(Arc::new(Messages::new(self.messages, settlements)))
    }
}
