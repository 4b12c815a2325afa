//! All queues of the endpoint's one account. Pure, like the queues.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::clock::Timestamp;
use super::error::Error;
use super::limits::{self, MAX_DELAY_SECONDS, MAX_MESSAGE_BYTES, MAX_QUEUES, MAX_STORED_BYTES};
use super::message::MessageContent;
use super::new_message::{MessageDigests, NewMessage, ValidatedMessage};
use super::queue::{QueueNotifier, ReceivedMessage, StandardQueue};
use super::receipt::Receipt;
use super::settings::{QueueAttributes, QueueSettings, RedrivePolicy};

/// What an account is set up with.
#[derive(Debug, Clone)]
pub(crate) struct AccountConfig {
    pub(crate) region: String,
    pub(crate) account_id: String,
    pub(crate) purge_interval: Duration,
    pub(crate) recreate_after: Duration,
}

/// A receive as asked for; `None` takes the queue's own setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceiveOptions {
    pub(crate) max_messages: usize,
    pub(crate) visibility: Option<Duration>,
}

/// What a sender learns about its message.
#[derive(Debug)]
pub(crate) struct AcceptedMessage {
    pub(crate) message_id: String,
    pub(crate) digests: MessageDigests,
}

/// Where AWS says which limit a message broke: it words it differently in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendKind {
    Single,
    BatchEntry,
}

/// The queues.
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

    /// Creates a queue; `Some` with what its alarm needs if there was none of this name.
    ///
    /// # Errors
    /// `QueueNameExists` if there is one and a given attribute differs; what [`QueueSettings::with_attributes`]
    /// refuses; a bad name; too many queues.
    pub(crate) fn create_queue(
        &mut self,
        name: &str,
        attributes: &QueueAttributes,
        now: Timestamp,
    ) -> Result<Option<(Uuid, Arc<QueueNotifier>)>, Error> {
        limits::check_queue_name(name)?;
        let settings = QueueSettings::default().with_attributes(attributes)?;
        if let Some(existing) = self.queues.get(name) {
            let difference = existing.settings().first_difference(attributes);
            return difference.map_or(Ok(None), |attribute| Err(Error::QueueNameExists(attribute)));
        }
        self.check_redrive_target(settings.redrive.as_ref())?;
        let recreate_after = self.config.recreate_after;
        self.deleted
            .retain(|_, deleted_at| now < deleted_at.saturating_add(recreate_after));
        if self.deleted.contains_key(name) {
            return Err(Error::QueueDeletedRecently);
        }
        if self.queues.len() >= MAX_QUEUES {
            return Err(Error::OverLimit(format!(
                "This endpoint holds at most {MAX_QUEUES} queues."
            )));
        }
        let queue = StandardQueue::new(self.arn(name), settings, now);
        let created = (queue.id, queue.notifier());
        self.queues.insert(name.to_owned(), queue);
        Ok(Some(created))
    }

    /// # Errors
    /// `QueueDoesNotExist`.
    pub(crate) fn queue(&mut self, name: &str) -> Result<&mut StandardQueue, Error> {
        self.queues.get_mut(name).ok_or(Error::QueueDoesNotExist)
    }

    /// Names of queues that start with `prefix` and come after `after`, at most `most`.
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

    /// Deletes the queue with its messages, and wakes who waits for it.
    ///
    /// # Errors
    /// `QueueDoesNotExist`.
    pub(crate) fn delete_queue(&mut self, name: &str, now: Timestamp) -> Result<(), Error> {
        let queue = self.queues.remove(name).ok_or(Error::QueueDoesNotExist)?;
        let notifier = queue.notifier();
        notifier.message_ready.notify_waiters();
        notifier.timer_changed.notify_one();
        self.deleted.insert(name.to_owned(), now);
        Ok(())
    }

    /// Changes settings of the queue: all of `attributes` or, on an error, none.
    ///
    /// # Errors
    /// What [`QueueSettings::with_attributes`] refuses; a dead-letter target that does not exist.
    pub(crate) fn set_attributes(
        &mut self,
        name: &str,
        attributes: &QueueAttributes,
        now: Timestamp,
    ) -> Result<(), Error> {
        let settings = self.queue(name)?.settings().with_attributes(attributes)?;
        if attributes.contains_key("RedrivePolicy") {
            self.check_redrive_target(settings.redrive.as_ref())?;
        }
        self.queue(name)?.change_settings(settings, now);
        Ok(())
    }

    /// Takes in one message.
    ///
    /// # Errors
    /// `QueueDoesNotExist`, a size or delay that the queue does not take, or `OverLimit` when this
    /// endpoint is full.
    pub(crate) fn send(
        &mut self,
        name: &str,
        message: ValidatedMessage,
        kind: SendKind,
        now: Timestamp,
    ) -> Result<AcceptedMessage, Error> {
        let stored: usize = self.queues.values().map(StandardQueue::bytes).sum();
        let queue = self.queue(name)?;
        let ValidatedMessage { message, digests } = message;
        check_size(message.size(), queue.settings().maximum_message_size, kind)?;
        if stored + message.size() > MAX_STORED_BYTES {
            let reason = format!(
                "This endpoint holds at most {MAX_STORED_BYTES} bytes of messages and is full."
            );
            return Err(Error::OverLimit(reason));
        }
        let delay = parse_delay(&message)?.unwrap_or(queue.settings().delay);
        let accepted = AcceptedMessage {
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

    /// Receives, moving what was received too often to the dead-letter queue.
    ///
    /// Without that queue (it may have been deleted) nothing is moved: a message is never dropped
    /// for want of a place.
    ///
    /// # Errors
    /// `QueueDoesNotExist`, or `OverLimit` for too many messages in flight.
    pub(crate) fn receive(
        &mut self,
        name: &str,
        options: ReceiveOptions,
        now: Timestamp,
    ) -> Result<Vec<ReceivedMessage>, Error> {
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

    /// # Errors
    /// `ReceiptHandleIsInvalid` if it is not a handle of this queue. A stale one is no error.
    pub(crate) fn delete(&mut self, name: &str, handle: &str, now: Timestamp) -> Result<(), Error> {
        let queue = self.queue(name)?;
        let receipt = parse_receipt(queue, handle)?;
        queue.delete(receipt, now);
        Ok(())
    }

    /// # Errors
    /// `ReceiptHandleIsInvalid`, or what [`Queue::change_visibility`] refuses.
    pub(crate) fn change_visibility(
        &mut self,
        name: &str,
        handle: &str,
        seconds: i64,
        now: Timestamp,
    ) -> Result<(), Error> {
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

    /// # Errors
    /// `QueueDoesNotExist`, `PurgeQueueInProgress`.
    pub(crate) fn purge(&mut self, name: &str, now: Timestamp) -> Result<(), Error> {
        let interval = self.config.purge_interval;
        self.queue(name)?.purge(name, interval, now)
    }

    /// The account that queue URLs name.
    pub(crate) fn account_id(&self) -> &str {
        &self.config.account_id
    }

    fn arn(&self, name: &str) -> String {
        format!(
            "arn:aws:sqs:{}:{}:{name}",
            self.config.region, self.config.account_id
        )
    }

    /// The name of the existing queue with this ARN.
    fn queue_name(&self, arn: &str) -> Option<String> {
        let name = arn.rsplit(':').next().unwrap_or_default();
        self.queues
            .get(name)
            .filter(|queue| queue.arn == arn)
            .map(|_| name.to_owned())
    }

    fn check_redrive_target(&self, redrive: Option<&RedrivePolicy>) -> Result<(), Error> {
        match redrive {
            Some(policy) if self.queue_name(&policy.target_arn).is_none() => Err(Error::parameter(
                &policy.source,
                "RedrivePolicy",
                "Dead letter target does not exist.",
            )),
            _ => Ok(()),
        }
    }
}

/// Checks the size of a whole batch, attributes counted.
///
/// # Errors
/// `BatchRequestTooLong`.
pub(crate) fn check_batch_size<'a>(
    messages: impl Iterator<Item = &'a NewMessage>,
) -> Result<(), Error> {
    let sent: usize = messages.map(NewMessage::size).sum();
    if sent > MAX_MESSAGE_BYTES {
        return Err(Error::BatchRequestTooLong {
            limit: MAX_MESSAGE_BYTES,
            sent,
        });
    }
    Ok(())
}

fn check_size(size: usize, limit: usize, kind: SendKind) -> Result<(), Error> {
    if size <= limit {
        return Ok(());
    }
    let verdict = if kind == SendKind::Single {
        "are invalid"
    } else {
        "cannot be validated"
    };
    Err(Error::InvalidParameterValue(format!(
        "One or more parameters {verdict}. Reason: Message must be shorter than {limit} bytes."
    )))
}

fn parse_delay(message: &NewMessage) -> Result<Option<Duration>, Error> {
    let Some(seconds) = message.delay_seconds else {
        return Ok(None);
    };
    let reason = format!("DelaySeconds must be >= 0 and <= {MAX_DELAY_SECONDS}.");
    let seconds = limits::check_range(seconds, 0..=MAX_DELAY_SECONDS, "DelaySeconds", &reason)?;
    Ok(Some(Duration::from_secs(seconds)))
}

fn parse_receipt(queue: &StandardQueue, handle: &str) -> Result<Receipt, Error> {
    let receipt = Receipt::parse(handle)?;
    if receipt.queue == queue.id {
        Ok(receipt)
    } else {
        Err(Error::ReceiptHandleIsInvalid(handle.to_owned()))
    }
}

#[cfg(test)]
mod tests;
