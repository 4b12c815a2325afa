//! Sends the requests. They are concurrent, so that the event source mapping can form batches.

use std::net::SocketAddr;

use futures_util::future::try_join_all;
use http::StatusCode;
use serde::Deserialize;

use super::error::DemoError;
use super::message_trace::AcceptedMessage;
use super::scenario::Onboarding;
use crate::stack;

/// Body of the producer's response.
#[derive(Deserialize)]
struct OnboardingResponse {
    message_id: String,
    trace_id: String,
}

/// Sends all onboardings and returns the accepted messages, in the same order.
pub(super) async fn send_all(
    producer: SocketAddr,
    onboardings: &[Onboarding],
) -> Result<Vec<AcceptedMessage>, DemoError> {
    try_join_all(
        onboardings
            .iter()
            .map(|onboarding| send_one(producer, onboarding)),
    )
    .await
}

async fn send_one(
    producer: SocketAddr,
    onboarding: &Onboarding,
) -> Result<AcceptedMessage, DemoError> {
    let customer_id = onboarding.customer_id.clone();
    let response = match stack::post(producer, "/onboarding", &onboarding.body()).await {
        Ok(response) => response,
        Err(source) => {
            return Err(DemoError::Request {
                customer_id,
                source,
            });
        }
    };
    match serde_json::from_slice(&response.body) {
        Ok(OnboardingResponse {
            message_id,
            trace_id,
        }) if response.status == StatusCode::ACCEPTED => Ok(AcceptedMessage {
            customer_id,
            message_id,
            trace_id,
        }),
        _ => Err(DemoError::UnexpectedResponse {
            customer_id,
            response: format!(
                "{}: {}",
                response.status,
                String::from_utf8_lossy(&response.body)
            ),
        }),
    }
}
