//! One standard queue. Pure: the time comes as an argument, and the only effect outwards is ringing
//! the [`QueueNotifier`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use self::message_store::{MessageState, MessageStore, QueuedMessage};
use super::clock::Timestamp;
use super::error::Error;
use super::limits::{MAX_IN_FLIGHT, MAX_VISIBILITY_SECONDS};
use super::message::MessageContent;
use super::receipt::Receipt;
use super::settings::{QueueAttributes, QueueSettings};

mod message_store;

/// How a queue calls those who wait for it.
#[derive(Debug, Default)]
pub(crate) struct QueueNotifier {
    /// Rung when messages are ready, once; who takes one and leaves some rings again.
    pub(crate) message_ready: Notify,
    /// Rung when something becomes due earlier than the alarm is set for.
    pub(crate) timer_changed: Notify,
}

/// A message as handed to a receiver. No `Debug`, as it holds the body.
pub(crate) struct ReceivedMessage {
    pub(crate) content: Arc<MessageContent>,
    pub(crate) receipt: Receipt,
    pub(crate) receive_count: u32,
    pub(crate) first_received_at: Timestamp,
    pub(crate) source_arn: Option<String>,
}

/// A message on its way to the dead-letter queue.
pub(crate) struct DeadLetter {
    content: Arc<MessageContent>,
    receive_count: u32,
    first_received_at: Option<Timestamp>,
}

/// What a receive took out of a queue.
#[derive(Default)]
pub(crate) struct ReceiveOutcome {
    pub(crate) messages: Vec<ReceivedMessage>,
    pub(crate) dead_letters: Vec<DeadLetter>,
}

/// A standard queue.
pub(crate) struct StandardQueue {
    pub(crate) id: Uuid,
    pub(crate) arn: String,
    created_at: Timestamp,
    modified_at: Timestamp,
    settings: QueueSettings,
    messages: MessageStore,
    purged_at: Option<Timestamp>,
    /// When the alarm will look at this queue next.
    timer_at: Option<Timestamp>,
    notifier: Arc<QueueNotifier>,
}

impl StandardQueue {
    pub(crate) fn new(arn: String, settings: QueueSettings, now: Timestamp) -> Self {
        Self {
            id: Uuid::new_v4(),
            arn,
            created_at: now,
            modified_at: now,
            settings,
            messages: MessageStore::default(),
            purged_at: None,
            timer_at: None,
            notifier: Arc::default(),
        }
    }

    pub(crate) fn settings(&self) -> &QueueSettings {
        &self.settings
    }

    pub(crate) fn change_settings(&mut self, settings: QueueSettings, now: Timestamp) {
        self.settings = settings;
        self.modified_at = now;
        // A shorter retention may make something due before the alarm rings.
        self.reschedule();
    }

    pub(crate) fn notifier(&self) -> Arc<QueueNotifier> {
        Arc::clone(&self.notifier)
    }

    /// Bytes of all messages.
    pub(crate) fn bytes(&self) -> usize {
        self.messages.bytes()
    }

    /// All attributes of the queue, as `GetQueueAttributes` shows them.
    pub(crate) fn attributes(&mut self, now: Timestamp) -> QueueAttributes {
        self.advance(now);
        let mut attributes = self.settings.attributes();
        let mut add = |name: &str, value: String| attributes.insert(name.to_owned(), value);
        add("QueueArn", self.arn.clone());
        add("CreatedTimestamp", self.created_at.seconds().to_string());
        add(
            "LastModifiedTimestamp",
            self.modified_at.seconds().to_string(),
        );
        add(
            "ApproximateNumberOfMessages",
            self.messages.ready().to_string(),
        );
        add(
            "ApproximateNumberOfMessagesNotVisible",
            self.messages.in_flight().to_string(),
        );
        add(
            "ApproximateNumberOfMessagesDelayed",
            self.messages.delayed().to_string(),
        );
        attributes
    }

    /// Takes in a new message, hidden for `delay` if that is not zero.
    pub(crate) fn send(&mut self, content: MessageContent, delay: Duration, now: Timestamp) {
        self.messages.insert(QueuedMessage {
            content: Arc::new(content),
            state: if delay.is_zero() {
                MessageState::Ready
            } else {
                MessageState::Delayed
            },
            visible_at: now.saturating_add(delay),
            receive_count: 0,
            receive_count_in_queue: 0,
            first_received_at: None,
            last_received_at: None,
            source_arn: None,
        });
        self.notify();
    }

    /// Takes in a message that `source` gave up on: same id and age, ready at once whatever the
    /// queue's delay.
    pub(crate) fn redrive(&mut self, message: DeadLetter, source: &str, now: Timestamp) {
        self.messages.insert(QueuedMessage {
            content: message.content,
            state: MessageState::Ready,
            visible_at: now,
            receive_count: message.receive_count,
            receive_count_in_queue: 0,
            first_received_at: message.first_received_at,
            last_received_at: None,
            source_arn: Some(source.to_owned()),
        });
        self.notify();
    }

    /// Receives up to `most` messages and hides them for `visibility`.
    ///
    /// A message that was received `max_receives` times already comes out as dead instead, which is
    /// when AWS moves it, too: at the receive that would have been one too many.
    ///
    /// # Errors
    /// `OverLimit` if as many messages are in flight as AWS allows.
    pub(crate) fn receive(
        &mut self,
        max_messages: usize,
        visibility: Duration,
        max_receives: Option<u32>,
        now: Timestamp,
    ) -> Result<ReceiveOutcome, Error> {
        self.expire(now);
        self.messages.advance(now);
        let mut outcome = ReceiveOutcome::default();
        if self.messages.in_flight() >= MAX_IN_FLIGHT {
            return Err(Error::OverLimit(format!(
                "Too many messages are in flight: {MAX_IN_FLIGHT} is the limit of a standard queue."
            )));
        }
        while outcome.messages.len() < max_messages
            && let Some(number) = self.messages.first_ready()
        {
            let received = self
                .messages
                .get(number)
                .map_or(0, |entry| entry.receive_count_in_queue);
            if max_receives.is_some_and(|limit| received >= limit) {
                outcome
                    .dead_letters
                    .extend(self.messages.remove(number).map(DeadLetter::from));
            } else {
                outcome
                    .messages
                    .extend(self.start_receive(number, visibility, now));
            }
        }
        self.notify();
        Ok(outcome)
    }

    /// Deletes the message if the receipt is its latest; a stale one changes nothing, as on AWS.
    pub(crate) fn delete(&mut self, receipt: Receipt, now: Timestamp) {
        self.expire(now);
        if self.is_latest(receipt) {
            self.messages.remove(receipt.message);
            // Somebody may be waiting for fewer messages to be in flight.
            self.notify();
        }
    }

    /// Hides the message for `timeout` from now on; zero makes it ready at once.
    ///
    /// # Errors
    /// `InvalidParameterValue` if the receipt is stale, or the message would be hidden for more
    /// than twelve hours in all.
    pub(crate) fn change_visibility(
        &mut self,
        handle: &str,
        receipt: Receipt,
        timeout: Duration,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.expire(now);
        self.messages.advance(now);
        let entry = self
            .messages
            .get(receipt.message)
            .filter(|_| self.is_latest(receipt));
        let Some(entry) = entry else {
            let reason =
                "Message does not exist or is not available for visibility timeout change.";
            return Err(Error::parameter(handle, "ReceiptHandle", reason));
        };
        let visible_at = now.saturating_add(timeout);
        check_total_visibility(entry, timeout, now)?;
        let state = if timeout.is_zero() {
            MessageState::Ready
        } else {
            MessageState::InFlight
        };
        // What timed out before keeps its place when the new timeout is zero.
        if (entry.state, state) != (MessageState::Ready, MessageState::Ready) {
            self.messages.update(receipt.message, |entry| {
                (entry.state, entry.visible_at) = (state, visible_at)
            });
        }
        self.notify();
        Ok(())
    }

    /// Deletes all messages, whatever their state.
    ///
    /// # Errors
    /// `PurgeQueueInProgress` if the last purge was less than `interval` ago.
    pub(crate) fn purge(
        &mut self,
        name: &str,
        interval: Duration,
        now: Timestamp,
    ) -> Result<(), Error> {
        if self
            .purged_at
            .is_some_and(|purged_at| now < purged_at.saturating_add(interval))
        {
            return Err(Error::PurgeQueueInProgress(name.to_owned()));
        }
        self.purged_at = Some(now);
        self.messages.clear();
        Ok(())
    }

    /// Makes ready what is due, drops what is too old, and says when to call again; `None` if
    /// nothing is planned.
    pub(crate) fn process_due(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.advance(now);
        self.timer_at = self.next_due_time();
        self.timer_at
    }

    fn advance(&mut self, now: Timestamp) {
        self.expire(now);
        if self.messages.advance(now) > 0 {
            self.notifier.message_ready.notify_one();
        }
    }

    fn expire(&mut self, now: Timestamp) {
        self.messages
            .expire(now.saturating_sub(self.settings.retention));
    }

    fn start_receive(
        &mut self,
        number: u64,
        visibility: Duration,
        now: Timestamp,
    ) -> Option<ReceivedMessage> {
        let id = self.id;
        let entry = self.messages.update(number, |entry| {
            // Hidden for no time at all is ready again, at the end of the line, so that one receive
            // cannot take it twice before others.
            entry.state = MessageState::InFlight;
            entry.visible_at = now.saturating_add(visibility);
            entry.receive_count = entry.receive_count.saturating_add(1);
            entry.receive_count_in_queue = entry.receive_count_in_queue.saturating_add(1);
            entry.first_received_at.get_or_insert(now);
            entry.last_received_at = Some(now);
        })?;
        Some(ReceivedMessage {
            content: Arc::clone(&entry.content),
            receipt: Receipt {
                queue: id,
                message: number,
                receive_number: entry.receive_count_in_queue,
            },
            receive_count: entry.receive_count,
            first_received_at: entry.first_received_at.unwrap_or(now),
            source_arn: entry.source_arn.clone(),
        })
    }

    fn is_latest(&self, receipt: Receipt) -> bool {
        receipt.queue == self.id
            && self
                .messages
                .get(receipt.message)
                .is_some_and(|entry| entry.receive_count_in_queue == receipt.receive_number)
    }

    /// Calls a receiver if there is something to receive, and the alarm if it is set too late.
    fn notify(&mut self) {
        if self.messages.first_ready().is_some() {
            self.notifier.message_ready.notify_one();
        }
        self.reschedule();
    }

    fn reschedule(&mut self) {
        if let Some(next) = self.next_due_time()
            && self.timer_at.is_none_or(|timer_at| next < timer_at)
        {
            self.timer_at = Some(next);
            self.notifier.timer_changed.notify_one();
        }
    }

    fn next_due_time(&self) -> Option<Timestamp> {
        let expiry = self
            .messages
            .oldest()
            .map(|sent_at| sent_at.saturating_add(self.settings.retention));
        self.messages.next_due().into_iter().chain(expiry).min()
    }
}

/// Checks that the message is hidden for at most twelve hours since it was received, however often
/// that is extended.
fn check_total_visibility(
    entry: &QueuedMessage,
    timeout: Duration,
    now: Timestamp,
) -> Result<(), Error> {
    let longest = MAX_VISIBILITY_SECONDS.unsigned_abs();
    let hidden = entry.last_received_at.map_or(timeout, |received| {
        now.saturating_add(timeout).duration_since(received)
    });
    if hidden > Duration::from_secs(longest) {
        let reason = format!(
            "Total VisibilityTimeout for the message is beyond the limit [{longest} seconds]."
        );
        return Err(Error::parameter(
            timeout.as_secs(),
            "VisibilityTimeout",
            reason,
        ));
    }
    Ok(())
}

impl From<QueuedMessage> for DeadLetter {
    fn from(entry: QueuedMessage) -> Self {
        Self {
            content: entry.content,
            receive_count: entry.receive_count,
            first_received_at: entry.first_received_at,
        }
    }
}

#[cfg(test)]
mod tests;
