//! The messages that a handler of whole batches gets.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::Context;
use tracing::warn;

use crate::failure::Failure;
use crate::message::Message;

/// The messages of a batch, for a handler of [whole batches](crate::ConsumerBuilder::run_batch).
///
/// Dereferences to a slice of [`Message`]s, in the order of the event. Messages whose body cannot
/// be decoded have already failed and are not in it.
///
/// ```
/// use std::sync::Arc;
///
/// use baton_lambda::testing::Batch;
/// use baton_lambda::{Failure, Messages};
///
/// /// Returns the positions of the rows that were not stored.
/// async fn store(rows: &[u32]) -> Result<Vec<usize>, std::io::Error> {
///     Ok((0..rows.len()).filter(|position| rows[*position] == 0).collect())
/// }
///
/// async fn handle(messages: Arc<Messages<u32>>) -> Result<(), std::io::Error> {
///     let rows: Vec<u32> = messages.iter().map(|message| message.body).collect();
///     for position in store(&rows).await? {
///         messages.fail(position, Failure::retry("throttled", "the store is busy"));
///     }
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let batch = Batch::standard("orders").message(3).message(0);
/// assert_eq!(batch.run_batch(handle).await.failed(), ["message-2"]);
/// # }
/// ```
pub struct Messages<T> {
    messages: Vec<Message<T>>,
    settlements: Arc<Settlements>,
}

impl<T> Messages<T> {
    pub(super) fn new(messages: Vec<Message<T>>, settlements: Arc<Settlements>) -> Self {
        Self {
            messages,
            settlements,
        }
    }

    /// Fails the message at a position of the slice. A message that has been settled before keeps
    /// its first result.
    ///
    /// # Panics
    ///
    /// Panics if there is no message at the position. The panic fails all messages that have not
    /// been settled.
    pub fn fail(&self, position: usize, failure: impl Into<Failure>) {
        self.settlements.settle(position, Err(failure.into()));
    }

    /// Completes the message at a position of the slice. SQS deletes it even if the handler later
    /// returns an error, panics or is cancelled. A message that has been settled before keeps its
    /// first result.
    ///
    /// # Panics
    ///
    /// Panics if there is no message at the position. The panic fails all messages that have not
    /// been settled.
    pub fn complete(&self, position: usize) {
        self.settlements.settle(position, Ok(()));
    }

    /// Returns the context of the message at a position of the slice. It holds the message's span,
    /// which continues the trace of the producer. Use it for work on this message alone, with
    /// [`FutureExt::with_context`](opentelemetry::context::FutureExt::with_context).
    ///
    /// # Panics
    ///
    /// Panics if there is no message at the position.
    #[must_use]
    pub fn context(&self, position: usize) -> &Context {
        &self.settlements.contexts[position]
    }
}

impl<T> Deref for Messages<T> {
    type Target = [Message<T>];

    fn deref(&self) -> &[Message<T>] {
        &self.messages
    }
}

/// Omits the bodies, which must not be logged by accident.
impl<T> fmt::Debug for Messages<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.messages).finish()
    }
}

/// Results of the messages of a batch, by their positions in [`Messages`].
pub(crate) struct Settlements {
    contexts: Vec<Context>,
    results: Mutex<Vec<Option<Result<(), Failure>>>>,
}

impl Settlements {
    /// Creates the results of messages with these contexts, none of which is settled.
    pub(crate) fn new(contexts: Vec<Context>) -> Self {
        let results = contexts.iter().map(|_| None).collect();
        Self {
            contexts,
            results: Mutex::new(results),
        }
    }

    /// Takes the results. `None` stands for a message that the handler has not settled.
    pub(crate) fn take(&self) -> Vec<Option<Result<(), Failure>>> {
        std::mem::take(&mut *self.lock())
    }

    fn settle(&self, position: usize, result: Result<(), Failure>) {
        assert!(
            position < self.contexts.len(),
            "no message at position {position}: the batch has {}",
            self.contexts.len()
        );
        let ignored = match self.lock().get_mut(position) {
            Some(settlement) if settlement.is_none() => {
                *settlement = Some(result);
                return;
            }
            Some(_) => Some(result),
            None => None,
        };
        // A rejected failure is dropped after the lock has been released, because its destructor is
        // the user's code.
        if ignored.is_none() {
            let _active = self.contexts[position].clone().attach();
            warn!("message not settled: the handler of its batch has already returned");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Result<(), Failure>>>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
