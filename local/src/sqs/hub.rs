//! Where the pure account meets the world: its lock, its clock, long polls, and an alarm for each
//! queue.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::account::{Account, Receive};
use super::clock::{Clock, Timestamp};
use super::error::Error;
use super::queue::{Bell, Delivery};
use super::settings::AttributeMap;

/// Shared by all requests.
pub(crate) struct Hub {
    account: Mutex<Account>,
    clock: Clock,
    account_id: String,
    base_url: String,
    closing: watch::Receiver<bool>,
}

impl Hub {
    /// `closing` turning true, or its sender going away, ends all waiting.
    pub(crate) fn new(account: Account, base_url: String, closing: watch::Receiver<bool>) -> Self {
        Self {
            account_id: account.account_id().to_owned(),
            account: Mutex::new(account),
            clock: Clock::start(),
            base_url,
            closing,
        }
    }

    /// Does `work` on the account at the present moment. Nothing may wait in it.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Account, Timestamp) -> T) -> T {
        let mut account = self.lock();
        // Read under the lock, so that time never runs backwards from one piece of work to the
        // next.
        let now = self.clock.now();
        work(&mut account, now)
    }

    /// Creates a queue and starts its alarm.
    ///
    /// # Errors
    /// As [`Account::create`].
    pub(crate) fn create(
        self: &Arc<Self>,
        name: &str,
        attributes: &AttributeMap,
    ) -> Result<(), Error> {
        let created = self.with(|account, now| account.create(name, attributes, now))?;
        if let Some((id, bell)) = created {
            tokio::spawn(ring_when_due(Arc::clone(self), name.to_owned(), id, bell));
        }
        Ok(())
    }

    /// Receives, waiting up to `wait` (`None`: the queue's own setting) until there is something.
    ///
    /// # Errors
    /// As [`Account::receive`], except that a long poll waits out `OverLimit`, as on AWS.
    pub(crate) async fn receive(
        &self,
        name: &str,
        receive: Receive,
        wait: Option<Duration>,
    ) -> Result<Vec<Delivery>, Error> {
        let wait = match wait {
            Some(wait) => wait,
            None => self.with(|account, _| {
                account
                    .queue(name)
                    .map(|queue| queue.settings().receive_wait)
            })?,
        };
        let deadline = Instant::now() + wait;
        loop {
            let bell = self.with(|account, _| account.queue(name).map(|queue| queue.bell()))?;
            let mut arrival = pin!(bell.arrivals.notified());
            // In line before looking, or a message sent between looking and waiting would go
            // unnoticed.
            arrival.as_mut().enable();
            let received = self.with(|account, now| account.receive(name, receive, now));
            let expired = Instant::now() >= deadline;
            match received {
                Ok(deliveries) if deliveries.is_empty() && !expired => {}
                Err(Error::OverLimit(_)) if !wait.is_zero() => {
                    if expired {
                        return Ok(Vec::new());
                    }
                }
                settled => return settled,
            }
            tokio::select! {
                () = self.closed() => return Ok(Vec::new()),
                () = arrival => {}
                () = sleep_until(deadline) => {}
            }
        }
    }

    /// The account that all queues here belong to.
    pub(crate) fn account_id(&self) -> &str {
        &self.account_id
    }

    /// The URL of a queue of this name.
    pub(crate) fn queue_url(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.base_url, self.account_id)
    }

    async fn closed(&self) {
        // An error means that the server is gone altogether.
        let _ = self.closing.clone().wait_for(|closing| *closing).await;
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        // Nothing under the lock panics by design. Should it ever, one broken request is better
        // than an endpoint that refuses them all.
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls the receivers of one queue whenever something becomes due in it, until it is deleted.
async fn ring_when_due(hub: Arc<Hub>, name: String, id: Uuid, bell: Arc<Bell>) {
    loop {
        // A reschedule rung from here on is kept until it is waited for.
        let due = hub.with(|account, now| match account.queue(&name) {
            Ok(queue) if queue.id == id => Some(queue.ring_if_due(now)),
            _ => None,
        });
        let Some(next) = due else { return };
        let alarm = async {
            match next {
                Some(timestamp) => sleep_until(hub.clock.instant_of(timestamp)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = hub.closed() => return,
            () = bell.rescheduled.notified() => {}
            () = alarm => {}
        }
    }
}

#[cfg(test)]
mod tests;
