//! Names and attributes of the spans that the demo looks at: the contract with the two binaries.

/// The producer's SERVER span.
pub(super) const SERVER_SPAN: &str = "POST /onboarding";
/// The producer's PRODUCER span.
pub(super) const SEND_SPAN: &str = "send onboarding";
/// The CONSUMER span of one delivery.
pub(super) const PROCESS_SPAN: &str = "process onboarding";
/// The CONSUMER span of one batch.
pub(super) const BATCH_SPAN: &str = "process_batch onboarding";

pub(super) use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, FAAS_COLDSTART, HTTP_RESPONSE_STATUS_CODE, MESSAGING_BATCH_MESSAGE_COUNT,
    MESSAGING_MESSAGE_ID,
};

/// How often the message has been received.
pub(super) const RECEIVE_COUNT: &str = "baton.sqs.receive_count";
/// Seconds that the message spent in the queue.
pub(super) const QUEUE_LATENCY: &str = "baton.sqs.queue_latency";
