//! The function without telemetry: the baseline of the comparison.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
    let mut response = SqsBatchResponse::default();
    for record in &event.payload.records {
        if parse(record).is_err() {
            response.add_failure(record.message_id.clone().unwrap_or_default());
        }
    }
    Ok(response)
}

/// Handles a message: the same work as in the other functions.
fn parse(record: &SqsMessage) -> Result<(), serde_json::Error> {
    let body: Value = serde_json::from_str(record.body.as_deref().unwrap_or_default())?;
    std::hint::black_box(&body);
    Ok(())
}
