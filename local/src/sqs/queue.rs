//! One standard queue. Pure: the time comes as an argument, and the only effect outwards is ringing
//! the [`Bell`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use self::store::{Entry, State, Store};
use super::clock::Timestamp;
use super::error::Error;
use super::limits::{MAX_IN_FLIGHT, MAX_VISIBILITY_SECONDS};
use super::message::Content;
use super::receipt::Receipt;
use super::settings::{AttributeMap, Settings};

mod store;

/// How a queue calls those who wait for it.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    /// Rung when messages are ready, once; who takes one and leaves some rings again.
    pub(crate) arrivals: Notify,
    /// Rung when something becomes due earlier than the alarm is set for.
    pub(crate) rescheduled: Notify,
}

/// A message as handed to a receiver. No `Debug`, as it holds the body.
pub(crate) struct Delivery {
    pub(crate) content: Arc<Content>,
    pub(crate) receipt: Receipt,
    pub(crate) receives: u32,
    pub(crate) first_received_at: Timestamp,
    pub(crate) redriven_from: Option<String>,
}

/// A message on its way to the dead-letter queue.
pub(crate) struct DeadLetter {
    content: Arc<Content>,
    receives: u32,
    first_received_at: Option<Timestamp>,
}

/// What a receive took out of a queue.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) dead: Vec<DeadLetter>,
}

/// A standard queue.
pub(crate) struct Queue {
    pub(crate) id: Uuid,
    pub(crate) arn: String,
    created_at: Timestamp,
    modified_at: Timestamp,
    settings: Settings,
    store: Store,
    purged_at: Option<Timestamp>,
    /// When the alarm will look at this queue next.
    alarm: Option<Timestamp>,
    bell: Arc<Bell>,
}

impl Queue {
    pub(crate) fn new(arn: String, settings: Settings, now: Timestamp) -> Self {
        Self {
            id: Uuid::new_v4(),
            arn,
            created_at: now,
            modified_at: now,
            settings,
            store: Store::default(),
            purged_at: None,
            alarm: None,
            bell: Arc::default(),
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn change_settings(&mut self, settings: Settings, now: Timestamp) {
        self.settings = settings;
        self.modified_at = now;
        // A shorter retention may make something due before the alarm rings.
        self.reschedule();
    }

    pub(crate) fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// Bytes of all messages.
    pub(crate) fn bytes(&self) -> usize {
        self.store.bytes()
    }

    /// All attributes of the queue, as `GetQueueAttributes` shows them.
    pub(crate) fn attributes(&mut self, now: Timestamp) -> AttributeMap {
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
            self.store.ready().to_string(),
        );
        add(
            "ApproximateNumberOfMessagesNotVisible",
            self.store.in_flight().to_string(),
        );
        add(
            "ApproximateNumberOfMessagesDelayed",
            self.store.delayed().to_string(),
        );
        attributes
    }

    /// Takes in a new message, hidden for `delay` if that is not zero.
    pub(crate) fn send(&mut self, content: Content, delay: Duration, now: Timestamp) {
        self.store.insert(Entry {
            content: Arc::new(content),
            state: if delay.is_zero() {
                State::Ready
            } else {
                State::Delayed
            },
            visible_at: now.after(delay),
            receives: 0,
            receives_here: 0,
            first_received_at: None,
            last_received_at: None,
            redriven_from: None,
        });
        self.announce();
    }

    /// Takes in a message that `source` gave up on: same id and age, ready at once whatever the
    /// queue's delay.
    pub(crate) fn accept(&mut self, letter: DeadLetter, source: &str, now: Timestamp) {
        self.store.insert(Entry {
            content: letter.content,
            state: State::Ready,
            visible_at: now,
            receives: letter.receives,
            receives_here: 0,
            first_received_at: letter.first_received_at,
            last_received_at: None,
            redriven_from: Some(source.to_owned()),
        });
        self.announce();
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
        most: usize,
        visibility: Duration,
        max_receives: Option<u32>,
        now: Timestamp,
    ) -> Result<Taken, Error> {
        self.expire(now);
        self.store.advance(now);
        let mut taken = Taken::default();
        if self.store.in_flight() >= MAX_IN_FLIGHT {
            return Err(Error::OverLimit(format!(
                "Too many messages are in flight: {MAX_IN_FLIGHT} is the limit of a standard queue."
            )));
        }
        while taken.deliveries.len() < most
            && let Some(number) = self.store.first_ready()
        {
            let received = self
                .store
                .get(number)
                .map_or(0, |entry| entry.receives_here);
            if max_receives.is_some_and(|limit| received >= limit) {
                taken
                    .dead
                    .extend(self.store.remove(number).map(DeadLetter::from));
            } else {
                taken
                    .deliveries
                    .extend(self.deliver(number, visibility, now));
            }
        }
        self.announce();
        Ok(taken)
    }

    /// Deletes the message if the receipt is its latest; a stale one changes nothing, as on AWS.
    pub(crate) fn delete(&mut self, receipt: Receipt, now: Timestamp) {
        self.expire(now);
        if self.is_latest(receipt) {
            self.store.remove(receipt.message);
            // Somebody may be waiting for fewer messages to be in flight.
            self.announce();
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
        self.store.advance(now);
        let entry = self
            .store
            .get(receipt.message)
            .filter(|_| self.is_latest(receipt));
        let Some(entry) = entry else {
            let reason =
                "Message does not exist or is not available for visibility timeout change.";
            return Err(Error::parameter(handle, "ReceiptHandle", reason));
        };
        let visible_at = now.after(timeout);
        check_total(entry, timeout, now)?;
        let state = if timeout.is_zero() {
            State::Ready
        } else {
            State::InFlight
        };
        // What timed out before keeps its place when the new timeout is zero.
        if (entry.state, state) != (State::Ready, State::Ready) {
            self.store.update(receipt.message, |entry| {
                (entry.state, entry.visible_at) = (state, visible_at)
            });
        }
        self.announce();
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
            .is_some_and(|purged_at| now < purged_at.after(interval))
        {
            return Err(Error::PurgeQueueInProgress(name.to_owned()));
        }
        self.purged_at = Some(now);
        self.store.clear();
        Ok(())
    }

    /// Makes ready what is due, drops what is too old, and says when to call again; `None` if
    /// nothing is planned.
    pub(crate) fn ring_if_due(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.advance(now);
        self.alarm = self.next_event();
        self.alarm
    }

    fn advance(&mut self, now: Timestamp) {
        self.expire(now);
        if self.store.advance(now) > 0 {
            self.bell.arrivals.notify_one();
        }
    }

    fn expire(&mut self, now: Timestamp) {
        self.store.expire(now.before(self.settings.retention));
    }

    fn deliver(&mut self, number: u64, visibility: Duration, now: Timestamp) -> Option<Delivery> {
        let id = self.id;
        let entry = self.store.update(number, |entry| {
            // Hidden for no time at all is ready again, at the end of the line, so that one receive
            // cannot take it twice before others.
            entry.state = State::InFlight;
            entry.visible_at = now.after(visibility);
            entry.receives = entry.receives.saturating_add(1);
            entry.receives_here = entry.receives_here.saturating_add(1);
            entry.first_received_at.get_or_insert(now);
            entry.last_received_at = Some(now);
        })?;
        Some(Delivery {
            content: Arc::clone(&entry.content),
            receipt: Receipt {
                queue: id,
                message: number,
                turn: entry.receives_here,
            },
            receives: entry.receives,
            first_received_at: entry.first_received_at.unwrap_or(now),
            redriven_from: entry.redriven_from.clone(),
        })
    }

    fn is_latest(&self, receipt: Receipt) -> bool {
        receipt.queue == self.id
            && self
                .store
                .get(receipt.message)
                .is_some_and(|entry| entry.receives_here == receipt.turn)
    }

    /// Calls a receiver if there is something to receive, and the alarm if it is set too late.
    fn announce(&mut self) {
        if self.store.first_ready().is_some() {
            self.bell.arrivals.notify_one();
        }
        self.reschedule();
    }

    fn reschedule(&mut self) {
        if let Some(next) = self.next_event()
            && self.alarm.is_none_or(|alarm| next < alarm)
        {
            self.alarm = Some(next);
            self.bell.rescheduled.notify_one();
        }
    }

    fn next_event(&self) -> Option<Timestamp> {
        let expiry = self
            .store
            .oldest()
            .map(|sent_at| sent_at.after(self.settings.retention));
        self.store.next_due().into_iter().chain(expiry).min()
    }
}

/// Checks that the message is hidden for at most twelve hours since it was received, however often
/// that is extended.
fn check_total(entry: &Entry, timeout: Duration, now: Timestamp) -> Result<(), Error> {
    let longest = MAX_VISIBILITY_SECONDS.unsigned_abs();
    let hidden = entry
        .last_received_at
        .map_or(timeout, |received| now.after(timeout).since(received));
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

impl From<Entry> for DeadLetter {
    fn from(entry: Entry) -> Self {
        Self {
            content: entry.content,
            receives: entry.receives,
            first_received_at: entry.first_received_at,
        }
    }
}

#[cfg(test)]
mod tests;
