//! A standard queue. It is pure: the time is an argument, and its only side effect is a
//! notification through [`QueueNotifier`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use self::message_store::{MessageState, MessageStore, QueuedMessage};
use super::clock::Timestamp;
use super::error::SqsError;
use super::limits::{MAX_IN_FLIGHT, MAX_VISIBILITY_SECONDS};
use super::message::MessageContent;
use super::receipt::Receipt;
use super::settings::{QueueAttributes, QueueSettings};

mod message_store;

/// Notifications to the tasks that wait for a queue.
#[derive(Debug, Default)]
pub(crate) struct QueueNotifier {
    /// Notifies one receiver that a message is ready. A receiver that leaves messages in the queue
    /// notifies the next one.
    pub(crate) message_ready: Notify,
    /// Notifies the queue's timer that it must fire earlier than planned.
    pub(crate) timer_changed: Notify,
}

/// A message as returned to a receiver. It does not implement `Debug`, because it contains the
/// body.
pub(crate) struct ReceivedMessage {
    pub(crate) content: Arc<MessageContent>,
    pub(crate) receipt: Receipt,
    pub(crate) receive_count: u32,
    pub(crate) first_received_at: Timestamp,
    pub(crate) source_arn: Option<String>,
}

/// A message that is being moved to the dead-letter queue.
pub(crate) struct DeadLetter {
    content: Arc<MessageContent>,
    receive_count: u32,
    first_received_at: Option<Timestamp>,
}

/// Numbers of messages in a queue by state, and the age of the oldest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueDepth {
    pub(crate) visible: usize,
    pub(crate) not_visible: usize,
    pub(crate) delayed: usize,
    /// Time since the oldest message was sent; zero if there is none.
    pub(crate) oldest_age: Duration,
}

/// Messages that a receive removed from the queue or hid.
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
    /// Time for which the queue's timer is set.
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
        // A message may expire before the timer fires if the retention period is shorter now.
        self.reschedule();
    }

    pub(crate) fn notifier(&self) -> Arc<QueueNotifier> {
        Arc::clone(&self.notifier)
    }

    /// Returns the size of all messages in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.messages.bytes()
    }

    /// Returns the numbers of messages, and the age of the oldest one.
    pub(crate) fn depth(&mut self, now: Timestamp) -> QueueDepth {
        self.advance(now);
        QueueDepth {
            visible: self.messages.ready(),
            not_visible: self.messages.in_flight(),
            delayed: self.messages.delayed(),
            oldest_age: self
                .messages
                .oldest()
                .map_or(Duration::ZERO, |sent_at| now.duration_since(sent_at)),
        }
    }

    /// Returns all attributes of the queue, as in `GetQueueAttributes`.
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

    /// Adds a new message, which is delayed unless `delay` is zero.
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

    /// Adds a message from the queue `source`, of which this is the dead-letter queue. The message
    /// keeps its id and age and is ready immediately, because the queue's delay applies only to new
    /// messages.
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

    /// Receives up to `max_messages` messages and hides them for `visibility`.
    ///
    /// A message that was received `max_receives` times already is returned as a dead letter
    /// instead. AWS moves it at the same point: at the receive that would exceed the limit.
    ///
    /// # Errors
    ///
    /// Returns `OverLimit` if the number of messages in flight has reached AWS's limit.
    pub(crate) fn receive(
        &mut self,
        max_messages: usize,
        visibility: Duration,
        max_receives: Option<u32>,
        now: Timestamp,
    ) -> Result<ReceiveOutcome, SqsError> {
        self.expire(now);
        self.messages.advance(now);
        let mut outcome = ReceiveOutcome::default();
        if self.messages.in_flight() >= MAX_IN_FLIGHT {
            return Err(SqsError::OverLimit(format!(
                "Too many messages are in flight: {MAX_IN_FLIGHT} is the limit of a standard queue."
            )));
        }
        while outcome.messages.len() < max_messages
            && let Some(number) = self.messages.first_ready()
        {
            let received = self
                .messages
                .get(number)
                .map_or(0, |message| message.receive_count_in_queue);
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

    /// Deletes a message if the receipt is its latest. As on AWS, an older receipt has no effect.
    pub(crate) fn delete(&mut self, receipt: Receipt, now: Timestamp) {
        self.expire(now);
        if self.is_latest(receipt) {
            self.messages.remove(receipt.message);
            // A receiver may be waiting for the number of messages in flight to fall.
            self.notify();
        }
    }

    /// Hides a message for `timeout` from now. Zero makes it ready immediately.
    ///
    /// # Errors
    ///
    /// Returns `InvalidParameterValue` if the receipt is not the latest, or if the message would be
    /// hidden for more than twelve hours in total.
    pub(crate) fn change_visibility(
        &mut self,
        handle: &str,
        receipt: Receipt,
        timeout: Duration,
        now: Timestamp,
    ) -> Result<(), SqsError> {
        self.expire(now);
        self.messages.advance(now);
        let message = self
            .messages
            .get(receipt.message)
            .filter(|_| self.is_latest(receipt));
        let Some(message) = message else {
            let reason =
                "Message does not exist or is not available for visibility timeout change.";
            return Err(SqsError::parameter(handle, "ReceiptHandle", reason));
        };
        let visible_at = now.saturating_add(timeout);
        check_total_visibility(message, timeout, now)?;
        let state = if timeout.is_zero() {
            MessageState::Ready
        } else {
            MessageState::InFlight
        };
        // A message whose timeout has expired keeps its position if the new timeout is zero.
        if (message.state, state) != (MessageState::Ready, MessageState::Ready) {
            self.messages.update(receipt.message, |message| {
                (message.state, message.visible_at) = (state, visible_at)
            });
        }
        self.notify();
        Ok(())
    }

    /// Deletes all messages in any state.
    ///
    /// # Errors
    ///
    /// Returns `PurgeQueueInProgress` if the last purge was less than `interval` ago.
    pub(crate) fn purge(
        &mut self,
        name: &str,
        interval: Duration,
        now: Timestamp,
    ) -> Result<(), SqsError> {
        if self
            .purged_at
            .is_some_and(|purged_at| now < purged_at.saturating_add(interval))
        {
            return Err(SqsError::PurgeQueueInProgress(name.to_owned()));
        }
        self.purged_at = Some(now);
        self.messages.clear();
        Ok(())
    }

    /// Makes due messages ready and deletes expired ones. Returns the time of the next call, or
    /// `None` if nothing is pending.
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
        let message = self.messages.update(number, |message| {
            // The message is in flight even if it is hidden for zero seconds. The next call makes
            // it ready again, so that one receive does not return it twice.
            message.state = MessageState::InFlight;
            message.visible_at = now.saturating_add(visibility);
            message.receive_count = message.receive_count.saturating_add(1);
            message.receive_count_in_queue = message.receive_count_in_queue.saturating_add(1);
            message.first_received_at.get_or_insert(now);
            message.last_received_at = Some(now);
        })?;
        Some(ReceivedMessage {
            content: Arc::clone(&message.content),
            receipt: Receipt {
                queue: id,
                message: number,
                receive_number: message.receive_count_in_queue,
            },
            receive_count: message.receive_count,
            first_received_at: message.first_received_at.unwrap_or(now),
            source_arn: message.source_arn.clone(),
        })
    }

    fn is_latest(&self, receipt: Receipt) -> bool {
        receipt.queue == self.id
            && self
                .messages
                .get(receipt.message)
                .is_some_and(|message| message.receive_count_in_queue == receipt.receive_number)
    }

    /// Notifies a receiver if a message is ready, and the timer if it is set too late.
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

/// Checks that the message is hidden for at most twelve hours since its last receive, extensions
/// included.
fn check_total_visibility(
    message: &QueuedMessage,
    timeout: Duration,
    now: Timestamp,
) -> Result<(), SqsError> {
    let longest = MAX_VISIBILITY_SECONDS.unsigned_abs();
    let hidden = message.last_received_at.map_or(timeout, |received| {
        now.saturating_add(timeout).duration_since(received)
    });
    if hidden > Duration::from_secs(longest) {
        let reason = format!(
            "Total VisibilityTimeout for the message is beyond the limit [{longest} seconds]."
        );
        return Err(SqsError::parameter(
            timeout.as_secs(),
            "VisibilityTimeout",
            reason,
        ));
    }
    Ok(())
}

impl From<QueuedMessage> for DeadLetter {
    fn from(message: QueuedMessage) -> Self {
        Self {
            content: message.content,
            receive_count: message.receive_count,
            first_received_at: message.first_received_at,
        }
    }
}

#[cfg(test)]
mod tests;
