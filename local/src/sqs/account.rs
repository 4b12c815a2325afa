//! All queues of the endpoint's account. It is pure, like the queues.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::clock::Timestamp;
use super::error::SqsError;
use super::limits::{self, MAX_DELAY_SECONDS, MAX_MESSAGE_BYTES, MAX_QUEUES, MAX_STORED_BYTES};
use super::message::MessageContent;
use super::new_message::{MessageDigests, NewMessage, ValidatedMessage};
use super::queue::{QueueNotifier, ReceivedMessage, StandardQueue};
use super::receipt::Receipt;
use super::settings::{QueueAttributes, QueueSettings, RedrivePolicy};

/// Configuration of an account.
#[derive(Debug, Clone)]
pub(crate) struct AccountConfig {
    pub(crate) region: String,
    pub(crate) account_id: String,
    pub(crate) purge_interval: Duration,
    pub(crate) recreate_after: Duration,
}

/// Options of a receive; `None` stands for the queue's own setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceiveOptions {
    pub(crate) max_messages: usize,
    pub(crate) visibility: Option<Duration>,
}

/// Result of sending a message.
#[derive(Debug)]
pub(crate) struct SentMessage {
    pub(crate) message_id: String,
    pub(crate) digests: MessageDigests,
}

/// Form of a send. AWS words the error for a message that is too large differently in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendKind {
    Single,
    BatchEntry,
}

/// An account with its queues.
pub(crate) struct Account {
    config: AccountConfig,
    queues: BTreeMap<String, StandardQueue>,
    deleted: HashMap<String, Timestamp>,
}

impl Account {
    pub(crate) fn new(config: AccountConfig) -> Self {
        Self {
            config,
            queues: BTreeMap::new(),
            deleted: HashMap::new(),
        }
    }

    /// Creates a queue. Returns its id and notifier, or `None` if a queue with this name and these
    /// attributes exists.
    ///
    /// # Errors
    ///
    /// Returns `QueueNameExists` if a queue with this name has a different value for one of the
    /// attributes, and otherwise an error for an invalid name, an invalid attribute (see
    /// [`QueueSettings::with_attributes`]), or too many queues.
    pub(crate) fn create_queue(
        &mut self,
        name: &str,
        attributes: &QueueAttributes,
        now: Timestamp,
    ) -> Result<Option<(Uuid, Arc<QueueNotifier>)>, SqsError> {
        limits::check_queue_name(name)?;
        let settings = QueueSettings::default().with_attributes(attributes)?;
        if let Some(existing) = self.queues.get(name) {
            let difference = existing.settings().first_difference(attributes);
            return difference.map_or(Ok(None), |attribute| {
                Err(SqsError::QueueNameExists(attribute))
            });
        }
        self.check_redrive_target(settings.redrive.as_ref())?;
        let recreate_after = self.config.recreate_after;
        self.deleted
            .retain(|_, deleted_at| now < deleted_at.saturating_add(recreate_after));
        if self.deleted.contains_key(name) {
            return Err(SqsError::QueueDeletedRecently);
        }
        if self.queues.len() >= MAX_QUEUES {
            return Err(SqsError::OverLimit(format!(
                "This endpoint supports at most {MAX_QUEUES} queues."
            )));
        }
        let queue = StandardQueue::new(self.arn(name), settings, now);
        let created = (queue.id, queue.notifier());
        self.queues.insert(name.to_owned(), queue);
        Ok(Some(created))
    }

    /// Returns the queue with this name.
    ///
    /// # Errors
    ///
    /// Returns `QueueDoesNotExist`.
    pub(crate) fn queue(&mut self, name: &str) -> Result<&mut StandardQueue, SqsError> {
        self.queues.get_mut(name).ok_or(SqsError::QueueDoesNotExist)
    }

    /// Returns all queues with their names.
    pub(crate) fn queues(&mut self) -> impl Iterator<Item = (&str, &mut StandardQueue)> {
        self.queues
            .iter_mut()
            .map(|(name, queue)| (name.as_str(), queue))
    }

    /// Returns at most `limit` names of queues that start with `prefix` and sort after `after`.
    pub(crate) fn list_queues(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<String> {
        let from = after.map_or(Bound::Included(prefix), |after| {
            Bound::Excluded(after.max(prefix))
        });
        let names = self
            .queues
            .range::<str, _>((from, Bound::Unbounded))
            .map(|(name, _)| name);
        names
            .take_while(|name| name.starts_with(prefix))
            .take(limit)
            .cloned()
            .collect()
    }

    /// Deletes a queue with its messages and wakes the tasks that wait for it.
    ///
    /// # Errors
    ///
    /// Returns `QueueDoesNotExist`.
    pub(crate) fn delete_queue(&mut self, name: &str, now: Timestamp) -> Result<(), SqsError> {
        let queue = self
            .queues
            .remove(name)
            .ok_or(SqsError::QueueDoesNotExist)?;
        let notifier = queue.notifier();
        notifier.message_ready.notify_waiters();
        notifier.timer_changed.notify_one();
        self.deleted.insert(name.to_owned(), now);
        Ok(())
    }

    /// Sets attributes of a queue: all of `attributes`, or none if one is invalid.
    ///
    /// # Errors
    ///
    /// Returns an error for an invalid attribute (see [`QueueSettings::with_attributes`]), or for a
    /// dead-letter queue that does not exist.
    pub(crate) fn set_attributes(
        &mut self,
        name: &str,
        attributes: &QueueAttributes,
        now: Timestamp,
    ) -> Result<(), SqsError> {
        let settings = self.queue(name)?.settings().with_attributes(attributes)?;
        if attributes.contains_key("RedrivePolicy") {
            self.check_redrive_target(settings.redrive.as_ref())?;
        }
        self.queue(name)?.change_settings(settings, now);
        Ok(())
    }

    /// Sends one message.
    ///
    /// # Errors
    ///
    /// Returns `QueueDoesNotExist`, an error for a size or delay that the queue does not accept, or
    /// `OverLimit` if this endpoint is full.
    pub(crate) fn send(
        &mut self,
        name: &str,
        message: ValidatedMessage,
        kind: SendKind,
        now: Timestamp,
    ) -> Result<SentMessage, SqsError> {
        let stored: usize = self.queues.values().map(StandardQueue::bytes).sum();
        let queue = self.queue(name)?;
        let ValidatedMessage { message, digests } = message;
        check_size(message.size(), queue.settings().maximum_message_size, kind)?;
        if stored + message.size() > MAX_STORED_BYTES {
            let reason = format!(
                "This endpoint is full. It stores at most {MAX_STORED_BYTES} bytes of messages."
            );
            return Err(SqsError::OverLimit(reason));
        }
        let delay = parse_delay(&message)?.unwrap_or(queue.settings().delay);
        let accepted = SentMessage {
            message_id: Uuid::new_v4().to_string(),
            digests,
        };
        let content = MessageContent {
            id: accepted.message_id.clone(),
            body_md5: accepted.digests.body.clone(),
            trace_header: message.trace_header(),
            body: message.body,
            attributes: message.attributes,
            group_id: message.group_id,
            sent_at: now,
        };
        queue.send(content, delay, now);
        Ok(accepted)
    }

    /// Receives messages, and moves those that were received too often to the dead-letter queue.
    ///
    /// If that queue has been deleted, no message is moved, so that none is lost.
    ///
    /// # Errors
    ///
    /// Returns `QueueDoesNotExist`, or `OverLimit` if too many messages are in flight.
    pub(crate) fn receive(
        &mut self,
        name: &str,
        options: ReceiveOptions,
        now: Timestamp,
    ) -> Result<Vec<ReceivedMessage>, SqsError> {
        let policy = self.queue(name)?.settings().redrive.clone();
        let redrive = policy.and_then(|policy| {
            Some((
                self.queue_name(&policy.target_arn)?,
                policy.max_receive_count,
            ))
        });
        let queue = self.queue(name)?;
        let visibility = options
            .visibility
            .unwrap_or(queue.settings().visibility_timeout);
        let limit = redrive.as_ref().map(|(_, limit)| *limit);
        let outcome = queue.receive(options.max_messages, visibility, limit, now)?;
        let source = queue.arn.clone();
        if let Some((target, _)) = redrive {
            let target = self.queue(&target)?;
            for message in outcome.dead_letters {
                target.redrive(message, &source, now);
            }
        }
        Ok(outcome.messages)
    }

    /// Deletes a message. A receipt handle that is not the latest has no effect.
    ///
    /// # Errors
    ///
    /// Returns `ReceiptHandleIsInvalid` if the handle is not one of this queue.
    pub(crate) fn delete(
        &mut self,
        name: &str,
        handle: &str,
        now: Timestamp,
    ) -> Result<(), SqsError> {
        let queue = self.queue(name)?;
        let receipt = parse_receipt(queue, handle)?;
        queue.delete(receipt, now);
        Ok(())
    }

    /// Changes the visibility timeout of a message.
    ///
    /// # Errors
    ///
    /// Returns `ReceiptHandleIsInvalid`, or the errors of [`StandardQueue::change_visibility`].
    pub(crate) fn change_visibility(
        &mut self,
        name: &str,
        handle: &str,
        seconds: i64,
        now: Timestamp,
    ) -> Result<(), SqsError> {
        let queue = self.queue(name)?;
        let receipt = parse_receipt(queue, handle)?;
        let reason = format!(
            "VisibilityTimeout must be an integer between 0 and {}.",
            limits::MAX_VISIBILITY_SECONDS
        );
        let seconds = limits::check_range(
            seconds,
            0..=limits::MAX_VISIBILITY_SECONDS,
            "VisibilityTimeout",
            &reason,
        )?;
        queue.change_visibility(handle, receipt, Duration::from_secs(seconds), now)
    }

    /// Deletes all messages of a queue.
    ///
    /// # Errors
    ///
    /// Returns `QueueDoesNotExist` or `PurgeQueueInProgress`.
    pub(crate) fn purge(&mut self, name: &str, now: Timestamp) -> Result<(), SqsError> {
        let interval = self.config.purge_interval;
        self.queue(name)?.purge(name, interval, now)
    }

    /// Returns the account id in queue URLs.
    pub(crate) fn account_id(&self) -> &str {
        &self.config.account_id
    }

    /// Returns the region in ARNs.
    pub(crate) fn region(&self) -> &str {
        &self.config.region
    }

    fn arn(&self, name: &str) -> String {
        format!(
            "arn:aws:sqs:{}:{}:{name}",
            self.config.region, self.config.account_id
        )
    }

    /// Returns the name of the queue with this ARN, if it exists.
    fn queue_name(&self, arn: &str) -> Option<String> {
        let name = arn.rsplit(':').next().unwrap_or_default();
        self.queues
            .get(name)
            .filter(|queue| queue.arn == arn)
            .map(|_| name.to_owned())
    }

    fn check_redrive_target(&self, redrive: Option<&RedrivePolicy>) -> Result<(), SqsError> {
        match redrive {
            Some(policy) if self.queue_name(&policy.target_arn).is_none() => {
                Err(SqsError::parameter(
                    &policy.source,
                    "RedrivePolicy",
                    "Dead letter target does not exist.",
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Checks the size of a whole batch, attributes included.
///
/// # Errors
///
/// Returns `BatchRequestTooLong`.
pub(crate) fn check_batch_size<'a>(
    messages: impl Iterator<Item = &'a NewMessage>,
) -> Result<(), SqsError> {
    let sent: usize = messages.map(NewMessage::size).sum();
    if sent > MAX_MESSAGE_BYTES {
        return Err(SqsError::BatchRequestTooLong {
            limit: MAX_MESSAGE_BYTES,
            sent,
        });
    }
    Ok(())
}

fn check_size(size: usize, limit: usize, kind: SendKind) -> Result<(), SqsError> {
    if size <= limit {
        return Ok(());
    }
    let verdict = if kind == SendKind::Single {
        "are invalid"
    } else {
        "cannot be validated"
    };
    Err(SqsError::InvalidParameterValue(format!(
        "One or more parameters {verdict}. Reason: Message must be shorter than {limit} bytes."
    )))
}

fn parse_delay(message: &NewMessage) -> Result<Option<Duration>, SqsError> {
    let Some(seconds) = message.delay_seconds else {
        return Ok(None);
    };
    let reason = format!("DelaySeconds must be >= 0 and <= {MAX_DELAY_SECONDS}.");
    let seconds = limits::check_range(seconds, 0..=MAX_DELAY_SECONDS, "DelaySeconds", &reason)?;
    Ok(Some(Duration::from_secs(seconds)))
}

fn parse_receipt(queue: &StandardQueue, handle: &str) -> Result<Receipt, SqsError> {
    let receipt = Receipt::parse(handle)?;
    if receipt.queue == queue.id {
        Ok(receipt)
    } else {
        Err(SqsError::ReceiptHandleIsInvalid(handle.to_owned()))
    }
}

#[cfg(test)]
mod tests;
