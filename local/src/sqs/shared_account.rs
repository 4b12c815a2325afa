//! An account with a lock, a clock, long polls, and a timer for each queue.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::account::{Account, ReceiveOptions};
use super::clock::{Clock, Timestamp};
use super::error::SqsError;
use super::queue::{QueueNotifier, ReceivedMessage};
use super::settings::QueueAttributes;

/// Account that all requests share.
pub(crate) struct SharedAccount {
    account: Mutex<Account>,
    clock: Clock,
    account_id: String,
    base_url: String,
    closing: watch::Receiver<bool>,
}

impl SharedAccount {
    /// Wraps an account. All long polls and timers end when `closing` becomes true or its sender is
    /// dropped.
    pub(crate) fn new(account: Account, base_url: String, closing: watch::Receiver<bool>) -> Self {
        Self {
            account_id: account.account_id().to_owned(),
            account: Mutex::new(account),
            clock: Clock::start(),
            base_url,
            closing,
        }
    }

    /// Locks the account and runs `work` on it with the current time. `work` must not block.
    pub(crate) fn access<T>(&self, work: impl FnOnce(&mut Account, Timestamp) -> T) -> T {
        let mut account = self.lock();
        // The time is read under the lock, so that it never runs backwards from one call to the
        // next.
        let now = self.clock.now();
        work(&mut account, now)
    }

    /// Creates a queue and starts its timer.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Account::create_queue`].
    pub(crate) fn create_queue(
        self: &Arc<Self>,
        name: &str,
        attributes: &QueueAttributes,
    ) -> Result<(), SqsError> {
        let created = self.access(|account, now| account.create_queue(name, attributes, now))?;
        if let Some((id, notifier)) = created {
            tokio::spawn(run_timer(Arc::clone(self), name.to_owned(), id, notifier));
        }
        Ok(())
    }

    /// Receives messages, and waits for one up to `wait`, or up to the queue's own setting if
    /// `wait` is `None`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Account::receive`]. As on AWS, a long poll does not return
    /// `OverLimit` but waits.
    pub(crate) async fn receive(
        &self,
        name: &str,
        options: ReceiveOptions,
        wait: Option<Duration>,
    ) -> Result<Vec<ReceivedMessage>, SqsError> {
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
            // Waiting must begin before the queue is checked. Otherwise a message that is sent in
            // between would not wake this receiver.
            arrival.as_mut().enable();
            let received = self.access(|account, now| account.receive(name, options, now));
            let expired = Instant::now() >= deadline;
            match received {
                Ok(messages) if messages.is_empty() && !expired => {}
                Err(SqsError::OverLimit(_)) if !wait.is_zero() => {
                    if expired {
                        return Ok(Vec::new());
                    }
                }
                settled => return settled,
            }
            tokio::select! {
                () = self.wait_until_closed() => return Ok(Vec::new()),
                () = arrival => {}
                () = sleep_until(deadline) => {}
            }
        }
    }

    /// Returns the id of the account.
    pub(crate) fn account_id(&self) -> &str {
        &self.account_id
    }

    /// Returns the URL of the queue with this name.
    pub(crate) fn queue_url(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.base_url, self.account_id)
    }

    async fn wait_until_closed(&self) {
        // An error means that the server has been dropped.
        let _ = self.closing.clone().wait_for(|closing| *closing).await;
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        // No code under the lock is meant to panic. If it does, one failed request is better than
        // an endpoint that fails all of them.
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notifies the receivers of a queue whenever a message becomes due, until the queue is deleted.
async fn run_timer(
    account: Arc<SharedAccount>,
    name: String,
    id: Uuid,
    notifier: Arc<QueueNotifier>,
) {
    loop {
        // `Notify` stores a notification that is sent from here on until the task waits for it.
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
            () = account.wait_until_closed() => return,
            () = notifier.timer_changed.notified() => {}
            () = timer => {}
        }
    }
}

#[cfg(test)]
mod tests;
