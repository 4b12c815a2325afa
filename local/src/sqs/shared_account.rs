//! Where the pure account meets the world: its lock, its clock, long polls, and an alarm for each
//! queue.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::account::{Account, ReceiveOptions};
use super::clock::{Clock, Timestamp};
use super::error::Error;
use super::queue::{QueueNotifier, ReceivedMessage};
use super::settings::QueueAttributes;

/// Shared by all requests.
pub(crate) struct SharedAccount {
    account: Mutex<Account>,
    clock: Clock,
    account_id: String,
    base_url: String,
    closing: watch::Receiver<bool>,
}

impl SharedAccount {
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
    pub(crate) fn access<T>(&self, work: impl FnOnce(&mut Account, Timestamp) -> T) -> T {
        let mut account = self.lock();
        // Read under the lock, so that time never runs backwards from one piece of work to the
        // next.
        let now = self.clock.now();
        work(&mut account, now)
    }

    /// Creates a queue and starts its alarm.
    ///
    /// # Errors
    /// As [`Account::create_queue`].
    pub(crate) fn create_queue(
        self: &Arc<Self>,
        name: &str,
        attributes: &QueueAttributes,
    ) -> Result<(), Error> {
        let created = self.access(|account, now| account.create_queue(name, attributes, now))?;
        if let Some((id, notifier)) = created {
            tokio::spawn(run_timer(Arc::clone(self), name.to_owned(), id, notifier));
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
        options: ReceiveOptions,
        wait: Option<Duration>,
    ) -> Result<Vec<ReceivedMessage>, Error> {
        let wait = match wait {
            Some(wait) => wait,
            None => self.access(|account, _| {
                account
                    .queue(name)
                    .map(|queue| queue.settings().receive_wait)
            })?,
        };
        let deadline = Instant::now() + wait;
        loop {
            let notifier =
                self.access(|account, _| account.queue(name).map(|queue| queue.notifier()))?;
            let mut arrival = pin!(notifier.message_ready.notified());
            // In line before looking, or a message sent between looking and waiting would go
            // unnoticed.
            arrival.as_mut().enable();
            let received = self.access(|account, now| account.receive(name, options, now));
            let expired = Instant::now() >= deadline;
            match received {
                Ok(messages) if messages.is_empty() && !expired => {}
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
async fn run_timer(
    account: Arc<SharedAccount>,
    name: String,
    id: Uuid,
    notifier: Arc<QueueNotifier>,
) {
    loop {
        // A reschedule rung from here on is kept until it is waited for.
        let due = account.access(|account, now| match account.queue(&name) {
            Ok(queue) if queue.id == id => Some(queue.process_due(now)),
            _ => None,
        });
        let Some(next) = due else { return };
        let timer = async {
            match next {
                Some(timestamp) => sleep_until(account.clock.to_instant(timestamp)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = account.closed() => return,
            () = notifier.timer_changed.notified() => {}
            () = timer => {}
        }
    }
}

#[cfg(test)]
mod tests;
