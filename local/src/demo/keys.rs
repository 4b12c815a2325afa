//! Names and attributes of the spans that the demo reads, which are a contract with the function
//! and the producer.

/// The producer's SERVER span.
pub(super) const SERVER_SPAN: &str = "POST /onboarding";
/// The producer's PRODUCER span.
pub(super) const SEND_SPAN: &str = "send onboarding";
/// The CONSUMER span of a delivery.
pub(super) const PROCESS_SPAN: &str = "process onboarding";
/// The CONSUMER span of a batch.
pub(super) const BATCH_SPAN: &str = "process_batch onboarding";

pub(super) use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, FAAS_COLDSTART, HTTP_RESPONSE_STATUS_CODE, MESSAGING_BATCH_MESSAGE_COUNT,
    MESSAGING_MESSAGE_ID,
};

/// Receive count of the message.
pub(super) const RECEIVE_COUNT: &str = "baton.sqs.receive_count";
/// Time in seconds that the message spent in the queue.
pub(super) const QUEUE_LATENCY: &str = "baton.sqs.queue_latency";
