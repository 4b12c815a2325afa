//! All queues of the endpoint's one account. Pure, like the queues.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::clock::Timestamp;
use super::draft::{Checked, Digests, Draft};
use super::error::Error;
use super::limits::{self, MAX_DELAY_SECONDS, MAX_MESSAGE_BYTES, MAX_QUEUES, MAX_STORED_BYTES};
use super::message::Content;
use super::queue::{Bell, Delivery, Queue};
use super::receipt::Receipt;
use super::settings::{AttributeMap, Redrive, Settings};

/// What an account is set up with.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) region: String,
    pub(crate) account_id: String,
    pub(crate) purge_interval: Duration,
    pub(crate) recreate_after: Duration,
}

/// A receive as asked for; `None` takes the queue's own setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receive {
    pub(crate) most: usize,
    pub(crate) visibility: Option<Duration>,
}

/// What a sender learns about its message.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) message_id: String,
    pub(crate) digests: Digests,
}

/// Where AWS says which limit a message broke: it words it differently in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SentAs {
    Single,
    BatchEntry,
}

/// The queues.
pub(crate) struct Account {
    identity: Identity,
    queues: BTreeMap<String, Queue>,
    deleted: HashMap<String, Timestamp>,
}

impl Account {
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            identity,
            queues: BTreeMap::new(),
            deleted: HashMap::new(),
        }
    }

    /// Creates a queue; `Some` with what its alarm needs if there was none of this name.
    ///
    /// # Errors
    /// `QueueNameExists` if there is one and a given attribute differs; what [`Settings::with`]
    /// refuses; a bad name; too many queues.
    pub(crate) fn create(
        &mut self,
        name: &str,
        attributes: &AttributeMap,
        now: Timestamp,
    ) -> Result<Option<(Uuid, Arc<Bell>)>, Error> {
        limits::check_queue_name(name)?;
        let settings = Settings::default().with(attributes)?;
        if let Some(existing) = self.queues.get(name) {
            let difference = existing.settings().first_difference(attributes);
            return difference.map_or(Ok(None), |attribute| Err(Error::QueueNameExists(attribute)));
        }
        self.check_redrive_target(settings.redrive.as_ref())?;
        let recreate_after = self.identity.recreate_after;
        self.deleted
            .retain(|_, deleted_at| now < deleted_at.after(recreate_after));
        if self.deleted.contains_key(name) {
            return Err(Error::QueueDeletedRecently);
        }
        if self.queues.len() >= MAX_QUEUES {
            return Err(Error::OverLimit(format!(
                "This endpoint holds at most {MAX_QUEUES} queues."
            )));
        }
        let queue = Queue::new(self.arn(name), settings, now);
        let created = (queue.id, queue.bell());
        self.queues.insert(name.to_owned(), queue);
        Ok(Some(created))
    }

    /// # Errors
    /// `QueueDoesNotExist`.
    pub(crate) fn queue(&mut self, name: &str) -> Result<&mut Queue, Error> {
        self.queues.get_mut(name).ok_or(Error::QueueDoesNotExist)
    }

    /// Names of queues that start with `prefix` and come after `after`, at most `most`.
    pub(crate) fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Vec<String> {
        let from = after.map_or(Bound::Included(prefix), |after| {
            Bound::Excluded(after.max(prefix))
        });
        let names = self
            .queues
            .range::<str, _>((from, Bound::Unbounded))
            .map(|(name, _)| name);
        names
            .take_while(|name| name.starts_with(prefix))
            .take(most)
            .cloned()
            .collect()
    }

    /// Deletes the queue with its messages, and wakes who waits for it.
    ///
    /// # Errors
    /// `QueueDoesNotExist`.
    pub(crate) fn delete_queue(&mut self, name: &str, now: Timestamp) -> Result<(), Error> {
        let queue = self.queues.remove(name).ok_or(Error::QueueDoesNotExist)?;
        let bell = queue.bell();
        bell.arrivals.notify_waiters();
        bell.rescheduled.notify_one();
        self.deleted.insert(name.to_owned(), now);
        Ok(())
    }

    /// Changes settings of the queue: all of `attributes` or, on an error, none.
    ///
    /// # Errors
    /// What [`Settings::with`] refuses; a dead-letter target that does not exist.
    pub(crate) fn set_attributes(
        &mut self,
        name: &str,
        attributes: &AttributeMap,
        now: Timestamp,
    ) -> Result<(), Error> {
        let settings = self.queue(name)?.settings().with(attributes)?;
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
        message: Checked,
        sent_as: SentAs,
        now: Timestamp,
    ) -> Result<Accepted, Error> {
        let stored: usize = self.queues.values().map(Queue::bytes).sum();
        let queue = self.queue(name)?;
        let Checked { draft, digests } = message;
        check_size(draft.size(), queue.settings().maximum_message_size, sent_as)?;
        if stored + draft.size() > MAX_STORED_BYTES {
            let reason = format!(
                "This endpoint holds at most {MAX_STORED_BYTES} bytes of messages and is full."
            );
            return Err(Error::OverLimit(reason));
        }
        let delay = delay_of(&draft)?.unwrap_or(queue.settings().delay);
        let accepted = Accepted {
            message_id: Uuid::new_v4().to_string(),
            digests,
        };
        let content = Content {
            id: accepted.message_id.clone(),
            body_md5: accepted.digests.body.clone(),
            trace_header: draft.trace_header(),
            body: draft.body,
            attributes: draft.attributes,
            group_id: draft.group_id,
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
        receive: Receive,
        now: Timestamp,
    ) -> Result<Vec<Delivery>, Error> {
        let policy = self.queue(name)?.settings().redrive.clone();
        let redrive = policy
            .and_then(|policy| Some((self.name_of(&policy.target_arn)?, policy.max_receive_count)));
        let queue = self.queue(name)?;
        let visibility = receive
            .visibility
            .unwrap_or(queue.settings().visibility_timeout);
        let limit = redrive.as_ref().map(|(_, limit)| *limit);
        let taken = queue.receive(receive.most, visibility, limit, now)?;
        let source = queue.arn.clone();
        if let Some((target, _)) = redrive {
            let target = self.queue(&target)?;
            for letter in taken.dead {
                target.accept(letter, &source, now);
            }
        }
        Ok(taken.deliveries)
    }

    /// # Errors
    /// `ReceiptHandleIsInvalid` if it is not a handle of this queue. A stale one is no error.
    pub(crate) fn delete(&mut self, name: &str, handle: &str, now: Timestamp) -> Result<(), Error> {
        let queue = self.queue(name)?;
        let receipt = receipt_of(queue, handle)?;
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
        let receipt = receipt_of(queue, handle)?;
        let reason = format!(
            "VisibilityTimeout must be an integer between 0 and {}.",
            limits::MAX_VISIBILITY_SECONDS
        );
        let seconds = limits::in_range(
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
        let interval = self.identity.purge_interval;
        self.queue(name)?.purge(name, interval, now)
    }

    /// The account that queue URLs name.
    pub(crate) fn account_id(&self) -> &str {
        &self.identity.account_id
    }

    fn arn(&self, name: &str) -> String {
        format!(
            "arn:aws:sqs:{}:{}:{name}",
            self.identity.region, self.identity.account_id
        )
    }

    /// The name of the existing queue with this ARN.
    fn name_of(&self, arn: &str) -> Option<String> {
        let name = arn.rsplit(':').next().unwrap_or_default();
        self.queues
            .get(name)
            .filter(|queue| queue.arn == arn)
            .map(|_| name.to_owned())
    }

    fn check_redrive_target(&self, redrive: Option<&Redrive>) -> Result<(), Error> {
        match redrive {
            Some(policy) if self.name_of(&policy.target_arn).is_none() => Err(Error::parameter(
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
pub(crate) fn check_batch_size<'a>(drafts: impl Iterator<Item = &'a Draft>) -> Result<(), Error> {
    let sent: usize = drafts.map(Draft::size).sum();
    if sent > MAX_MESSAGE_BYTES {
        return Err(Error::BatchRequestTooLong {
            limit: MAX_MESSAGE_BYTES,
            sent,
        });
    }
    Ok(())
}

fn check_size(size: usize, most: usize, sent_as: SentAs) -> Result<(), Error> {
    if size <= most {
        return Ok(());
    }
    let verdict = if sent_as == SentAs::Single {
        "are invalid"
    } else {
        "cannot be validated"
    };
    Err(Error::InvalidParameterValue(format!(
        "One or more parameters {verdict}. Reason: Message must be shorter than {most} bytes."
    )))
}

fn delay_of(draft: &Draft) -> Result<Option<Duration>, Error> {
    let Some(seconds) = draft.delay_seconds else {
        return Ok(None);
    };
    let reason = format!("DelaySeconds must be >= 0 and <= {MAX_DELAY_SECONDS}.");
    let seconds = limits::in_range(seconds, 0..=MAX_DELAY_SECONDS, "DelaySeconds", &reason)?;
    Ok(Some(Duration::from_secs(seconds)))
}

fn receipt_of(queue: &Queue, handle: &str) -> Result<Receipt, Error> {
    let receipt = Receipt::parse(handle)?;
    if receipt.queue == queue.id {
        Ok(receipt)
    } else {
        Err(Error::ReceiptHandleIsInvalid(handle.to_owned()))
    }
}

#[cfg(test)]
mod tests;
