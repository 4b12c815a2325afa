//! The room in the buffer.

use std::sync::Arc;

use tokio::sync::{AcquireError, Semaphore, TryAcquireError};
use tokio::time::Instant;

use super::config::WhenFull;
use super::entry::Room;
use crate::error::QueueSendError;
use crate::limits::MAX_MESSAGE_BYTES;

/// The limits of the buffer. A message counts until SQS has confirmed it or its send has failed.
/// The message of a dropped send counts only while its call is in progress.
#[derive(Debug)]
pub(super) struct Capacity {
    max_messages: usize,
    max_bytes: usize,
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

impl Capacity {
    /// Creates the limits: at least one message, and room for a message of the largest size.
    pub(super) fn new(max_messages: usize, max_bytes: usize) -> Self {
        let max_messages = max_messages.clamp(1, Semaphore::MAX_PERMITS);
        let max_bytes = max_bytes.clamp(MAX_MESSAGE_BYTES, Semaphore::MAX_PERMITS);
        Self {
            max_messages,
            max_bytes,
            messages: Arc::new(Semaphore::new(max_messages)),
            bytes: Arc::new(Semaphore::new(max_bytes)),
        }
    }

    /// Reserves room for a message of this size. The room is free again when the result is dropped.
    pub(super) async fn reserve(
        &self,
        bytes: usize,
        when_full: WhenFull,
        deadline: Instant,
    ) -> Result<Room, QueueSendError> {
        // A message has at most 1 MiB.
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        match self.try_reserve(permits) {
            Ok(room) => return Ok(room),
            Err(TryAcquireError::Closed) => return Err(QueueSendError::Closed),
            Err(TryAcquireError::NoPermits) => {}
        }
        let WhenFull::Wait(longest) = when_full else {
            return Err(self.full());
        };
        let give_up_at = deadline.min(Instant::now() + longest);
        let reserved = tokio::time::timeout_at(give_up_at, self.wait(permits)).await;
        let reserved = reserved.map_err(|_| self.full())?;
        reserved.map_err(|_| QueueSendError::Closed)
    }

    /// Makes all reservations fail from now on.
    pub(super) fn close(&self) {
        self.messages.close();
        self.bytes.close();
    }

    fn try_reserve(&self, bytes: u32) -> Result<Room, TryAcquireError> {
        Ok(Room {
            _message: Arc::clone(&self.messages).try_acquire_owned()?,
            _bytes: Arc::clone(&self.bytes).try_acquire_many_owned(bytes)?,
        })
    }

    async fn wait(&self, bytes: u32) -> Result<Room, AcquireError> {
        Ok(Room {
            _message: Arc::clone(&self.messages).acquire_owned().await?,
            _bytes: Arc::clone(&self.bytes).acquire_many_owned(bytes).await?,
        })
    }

    fn full(&self) -> QueueSendError {
        QueueSendError::BufferFull {
            messages: self.max_messages - self.messages.available_permits(),
            bytes: self.max_bytes - self.bytes.available_permits(),
        }
    }
}
