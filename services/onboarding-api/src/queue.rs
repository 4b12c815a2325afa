//! The queue that onboardings are sent to. Only this module uses the sender.

use std::error::Error;
use std::time::Duration;

use baton_producer::{OutgoingMessage, QueueSendError, QueueSender};
use http::StatusCode;
use tracing::{error, info, warn};

use crate::onboarding::Onboarding;
use crate::problem::Problem;
use crate::request_id;

/// Time limit of a check. Load balancers wait two to five seconds for a readiness check, and a queue
/// that needs longer than this is not ready.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// The queue that onboardings are sent to.
#[derive(Debug, Clone)]
pub(crate) struct OnboardingQueue {
    sender: QueueSender,
}

impl OnboardingQueue {
    pub(crate) fn new(sender: QueueSender) -> Self {
        Self { sender }
    }

    /// Sends an onboarding, and returns the id of its message once SQS has accepted it.
    ///
    /// # Errors
    ///
    /// Returns a problem if SQS did not confirm the message.
    pub(crate) async fn send(&self, onboarding: &Onboarding) -> Result<String, Problem> {
        let body = serde_json::to_string(&onboarding.to_wire()).map_err(|_| {
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "cannot encode the message as JSON",
            )
        })?;
        let sent = self.sender.send(OutgoingMessage::new(body)).await;
        let sent = sent.map_err(|error| {
            log_send_error(&error);
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
            Ok(Err(error)) => {
                let (error_type, cause) = (error.error_type(), &error as &dyn Error);
                warn!(error_type, error = cause, "queue check failed");
                Err(error_type.to_owned())
            }
            Err(_) => {
                warn!(error_type = "timeout", "queue check failed");
                Err("timeout".to_owned())
            }
        }
    }
}

/// Logs a warning if a retry may succeed, and an error if a person must act.
fn log_send_error(error: &QueueSendError) {
    let (error_type, cause) = (error.error_type(), error as &dyn Error);
    request_id::with_current(|request_id| {
        if error.is_retryable() {
            warn!(
                error_type,
                error = cause,
                request_id,
                "message not accepted"
            );
        } else {
            error!(error_type, error = cause, request_id, "message rejected");
        }
    });
}
