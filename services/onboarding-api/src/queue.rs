//! The queue that onboardings are sent to. Only this module uses the sender.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use baton_producer::{OutgoingMessage, QueueError, QueueSendError, QueueSender, SendOutput};
#[cfg(not(feature = "gather"))]
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use http::StatusCode;
#[cfg(feature = "gather")]
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::onboarding::Onboarding;
use crate::problem::Problem;
use crate::repeated_events::{EventKind, RepeatedEvents};
use crate::request_id;
use crate::request_limits::RequestDeadline;

/// Time limit of a check. Load balancers wait two to five seconds for a readiness check, and a
/// queue that needs longer than this is not ready.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// `error.type` of messages without a result shortly before the deadline of their request.
const REQUEST_TIMEOUT: &str = "request_timeout";

/// Number of messages in one `send_all`: the maximum of a `SendMessageBatch`. A group gets its
/// results when all of them are there, so small groups keep a call without a response from delaying
/// the other results.
#[cfg(feature = "gather")]
const MESSAGES_PER_SEND: usize = 10;
#[cfg(not(feature = "gather"))]
const MESSAGES_PER_SEND: usize = 1;

/// Maximum number of concurrent sends of a batch. If SQS does not respond and each message has its
/// own call, a batch of 100 takes two timeouts of five seconds, less than the time limit of a
/// request.
const MAX_CONCURRENT_SENDS: usize = 50;

/// The queue that onboardings are sent to.
#[derive(Debug, Clone)]
pub(crate) struct OnboardingQueue {
    sender: QueueSender,
    events: Arc<RepeatedEvents>,
}

impl OnboardingQueue {
    pub(crate) fn new(sender: QueueSender, events: Arc<RepeatedEvents>) -> Self {
        Self { sender, events }
    }

    /// Sends an onboarding, and returns the id of its message once SQS has accepted it.
    ///
    /// # Errors
    ///
    /// Returns a problem if SQS did not confirm the message.
    pub(crate) async fn send(&self, onboarding: &Onboarding) -> Result<String, Problem> {
        let sent = self.sender.send(encode_message(onboarding)?).await;
        self.record(sent)
    }

    /// Sends onboardings, and returns their results in the same order. An onboarding without a
    /// result shortly before the deadline has a problem with status 504.
    pub(crate) async fn send_all(
        &self,
        onboardings: impl Iterator<Item = &Onboarding>,
        deadline: RequestDeadline,
    ) -> Result<Vec<Result<String, Problem>>, Problem> {
        let messages = onboardings
            .map(encode_message)
            .collect::<Result<Vec<_>, _>>()?;
        let groups: Vec<_> = messages.chunks(MESSAGES_PER_SEND).map(Vec::from).collect();
        let sends = groups
            .into_iter()
            .map(|messages| self.send_group(messages, deadline));
        let sends = stream::iter(sends).buffered(MAX_CONCURRENT_SENDS);
        let results: Vec<Vec<_>> = sends.collect().await;
        Ok(results.into_iter().flatten().collect())
    }

    /// Sends messages together, and returns their results in the same order.
    async fn send_group(
        &self,
        messages: Vec<OutgoingMessage>,
        deadline: RequestDeadline,
    ) -> Vec<Result<String, Problem>> {
        let count = messages.len();
        #[cfg(feature = "gather")]
        let send = self.sender.send_all(messages);
        #[cfg(not(feature = "gather"))]
        let send = join_all(
            messages
                .into_iter()
                .map(|message| self.sender.send(message)),
        );
        match deadline.timeout_send(send).await {
            Ok(sent) => sent.into_iter().map(|sent| self.record(sent)).collect(),
            Err(problem) => {
                let number = u64::try_from(count).unwrap_or(u64::MAX);
                self.log_not_accepted(REQUEST_TIMEOUT, None, number);
                vec![Err(problem); count]
            }
        }
    }

    /// Sends the messages that are in the sender's buffer, and returns the number of those that SQS
    /// did not confirm by the deadline. Nothing is sent afterwards.
    #[cfg(feature = "gather")]
    pub(crate) async fn close(&self, deadline: Instant) -> usize {
        self.sender.close(deadline).await.len()
    }

    /// Logs the result of a send, and returns the id of the message.
    fn record(&self, sent: Result<SendOutput, QueueSendError>) -> Result<String, Problem> {
        let sent = sent.map_err(|error| {
            self.log_send_error(&error);
            Problem::from_send_error(&error)
        })?;
        // The line contains the trace id, because the request's span is active.
        request_id::with_current(|request_id| {
            info!(message_id = sent.message_id, request_id, "message accepted");
        });
        Ok(sent.message_id)
    }

    /// Checks that SQS responds, and that the queue exists and may be used.
    ///
    /// # Errors
    ///
    /// Returns the `error.type` of a failed check.
    pub(crate) async fn check(&self) -> Result<(), String> {
        match tokio::time::timeout(CHECK_TIMEOUT, self.sender.check_queue()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.log_failed_check(error.error_type(), Some(&error))),
            Err(_) => Err(self.log_failed_check("timeout", None)),
        }
    }

    /// Logs a failed check, and returns its `error.type`.
    fn log_failed_check(&self, error_type: &str, error: Option<&QueueError>) -> String {
        let event = EventKind::QueueCheckFailed {
            error_type: error_type.to_owned(),
        };
        let cause = error.map(|error| error as &dyn Error);
        self.events.record(event, 1, || {
            warn!(error_type, error = cause, count = 1, "queue check failed");
        });
        error_type.to_owned()
    }

    /// Logs a warning if a retry may succeed, and an error if a person must act.
    fn log_send_error(&self, error: &QueueSendError) {
        let (error_type, cause) = (error.error_type(), error as &(dyn Error + 'static));
        if error.is_retryable() {
            return self.log_not_accepted(error_type, Some(cause), 1);
        }
        let event = EventKind::MessageRejected {
            error_type: error_type.to_owned(),
        };
        self.events.record(event, 1, || {
            request_id::with_current(|request_id| {
                error!(
                    error_type,
                    error = cause,
                    request_id,
                    count = 1,
                    "message rejected"
                );
            });
        });
    }

    /// Logs a warning about messages that may be accepted if they are sent again.
    fn log_not_accepted(
        &self,
        error_type: &str,
        error: Option<&(dyn Error + 'static)>,
        count: u64,
    ) {
        let event = EventKind::MessageNotAccepted {
            error_type: error_type.to_owned(),
        };
        self.events.record(event, count, || {
            request_id::with_current(|request_id| {
                warn!(error_type, error, request_id, count, "message not accepted");
            });
        });
    }
}

fn encode_message(onboarding: &Onboarding) -> Result<OutgoingMessage, Problem> {
    let body = serde_json::to_string(&onboarding.to_wire()).map_err(|_| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "cannot encode the message as JSON",
        )
    })?;
    Ok(OutgoingMessage::new(body))
}
