//! Gathers the messages of concurrent sends into `SendMessageBatch` calls.
//!
//! A message passes through these modules from top to bottom.
//!
//! | module | content |
//! |---|---|
//! | `config` | the settings |
//! | `capacity` | the room in the buffer |
//! | `entry` | a message in the buffer, and its result for the caller |
//! | `buffer` | decides which messages are sent together, and when |
//! | `arrival_rate` | the rate at which messages arrive |
//! | `retry_queue` | the messages that wait for a retry |
//! | `waiting_messages` | the messages that wait for a batch: of a standard queue, or of the groups of a FIFO queue |
//! | `batch` | the messages of one call |
//! | `dispatcher` | the tasks that send the batches |
//! | `call`, `call_span` | one call, and its span |
//! | `settlement`, `backoff` | the decision about a message after a call |
//! | `unsent` | the messages that a closed sender has not sent |

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::StalledStreamProtectionConfig;
use aws_sdk_sqs::config::retry::{ReconnectMode, RetryConfig};
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::dispatcher::Dispatcher;
use self::entry::{Entry, Progress};
use crate::error::QueueSendError;
use crate::queue_client::QueueClient;
use crate::tracer::SharedTracer;

mod arrival_rate;
mod backoff;
mod batch;
mod buffer;
mod call;
mod call_span;
mod capacity;
mod config;
mod dispatcher;
mod entry;
mod retry_queue;
mod settlement;
mod unsent;
mod waiting_messages;

pub(crate) use buffer::LingerPolicy;
pub(crate) use config::GatherConfig;
pub use config::{GroupOrder, WhenFull};
pub(crate) use entry::{Confirmation, Delivery, TracedMessage};
pub use unsent::UnsentMessage;

/// Interval at which a caller that waits starts the calls that are due, in case the runtime that
/// should have started them has stopped. It is far longer than the linger and a call.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The buffer of a sender, and the tasks that send its messages. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct BatchingSender(Arc<Dispatcher>);

/// Handle to a message that is in the buffer or in flight. Dropping it removes the message from the
/// buffer, unless its call is in progress.
#[derive(Debug)]
pub(crate) struct PendingDelivery {
    reply: oneshot::Receiver<Delivery>,
    progress: Arc<Progress>,
    deadline: Instant,
    /// The group that orders the message on a FIFO queue; empty on a standard queue.
    group: String,
    /// Position in the order of arrival.
    sequence: u64,
    dispatcher: Arc<Dispatcher>,
}

impl BatchingSender {
    /// Creates the sender for the queue of a client. The retries and timeouts of its SDK client do
    /// not apply.
    pub(crate) fn new(client: &QueueClient, tracer: SharedTracer, config: GatherConfig) -> Self {
        Self(Arc::new(Dispatcher::new(
            single_attempt_client(&client.client),
            client.queue.clone(),
            tracer,
            client.limit.clone(),
            config,
        )))
    }

    /// Adds a message to the buffer, once there is room for it.
    pub(crate) async fn enqueue(
        &self,
        mut traced: TracedMessage,
        policy: LingerPolicy,
    ) -> Result<PendingDelivery, QueueSendError> {
        let Self(dispatcher) = self;
        let config = &dispatcher.config;
        traced.message.check_for(&dispatcher.queue)?;
        // The timers below panic without a runtime.
        if Handle::try_current().is_err() {
            return Err(QueueSendError::NoRuntime);
        }
        let (began, size) = (Instant::now(), traced.message.size());
        let deadline = began + config.delivery_timeout;
        dispatcher
            .limit
            .shrink(&mut traced.added, size, began.into_std());
        let room = dispatcher
            .capacity
            .reserve(size + traced.added.size(), config.when_full, deadline)
            .await?;
        let group = traced.message.group_id();
        let group = group.filter(|_| dispatcher.queue.is_fifo());
        let group = group.unwrap_or_default().to_owned();
        let progress = Arc::new(Progress::default());
        let (reply, receiver) = oneshot::channel();
        let entry = Entry {
            traced: Box::new(traced),
            size,
            sequence: 0,
            due: began,
            deadline,
            attempts: 0,
            had_no_response: false,
            is_alone: false,
            progress: Arc::clone(&progress),
            reply,
            room,
        };
        Ok(PendingDelivery {
            sequence: dispatcher.submit(entry, policy)?,
            reply: receiver,
            progress,
            deadline,
            group,
            dispatcher: Arc::clone(dispatcher),
        })
    }

    /// Sends the messages that wait for others.
    pub(crate) fn flush(&self) {
        self.0.flush();
    }

    /// Accepts no more messages, sends those that are in the buffer once, and returns the ones that
    /// were not sent by the deadline.
    pub(crate) async fn close(&self, deadline: Instant) -> Vec<UnsentMessage> {
        self.0.close(deadline).await
    }
}

impl PendingDelivery {
    /// Waits for the result, at most until the deadline of the message.
    pub(crate) async fn wait(mut self) -> Result<Delivery, QueueSendError> {
        loop {
            let check_at = self.deadline.min(Instant::now() + CHECK_INTERVAL);
            match tokio::time::timeout_at(check_at, &mut self.reply).await {
                Ok(Ok(delivery)) => return Ok(delivery),
                Ok(Err(_)) => return Err(self.progress.attempts().no_runtime()),
                Err(_) if check_at < self.deadline => self.dispatcher.resume(),
                Err(_) => break,
            }
        }
        // No call of the message starts after this, unless it is already in a batch.
        self.reply.close();
        if let Ok(delivery) = self.reply.try_recv() {
            return Ok(delivery);
        }
        let was_waiting = self.dispatcher.discard(&self.group, self.sequence);
        let attempts = self.progress.attempts();
        Err(QueueSendError::DeadlineExceeded {
            timeout: self.dispatcher.config.delivery_timeout,
            may_have_been_sent: attempts.may_have_been_sent || !was_waiting,
            source: attempts.last_error,
        })
    }
}

impl Drop for PendingDelivery {
    fn drop(&mut self) {
        // `true` once the caller has the result.
        if self.reply.is_terminated() {
            return;
        }
        // First, so that a call that ends now does not return the message to the buffer.
        self.reply.close();
        self.dispatcher.discard(&self.group, self.sequence);
    }
}

/// Returns a client that makes each call once: the deadline of a message limits its attempts, and
/// the SDK's budget of retries is empty after the first hundred failures. Connections are kept
/// after an error of SQS, so that an outage does not open a new one for each call. The protection
/// against stalled streams would only duplicate the timeout of the call.
fn single_attempt_client(client: &Client) -> Client {
    let config = client.config();
    let connect_timeout = config
        .timeout_config()
        .and_then(TimeoutConfig::connect_timeout);
    let mut timeouts = TimeoutConfig::builder()
        .disable_operation_timeout()
        .disable_operation_attempt_timeout()
        .disable_read_timeout();
    timeouts.set_connect_timeout(connect_timeout);
    let retries = RetryConfig::disabled().with_reconnect_mode(ReconnectMode::ReuseAllConnections);
    let builder = config
        .to_builder()
        .retry_config(retries)
        .timeout_config(timeouts.build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    Client::from_conf(builder.build())
}
