//! `noop` with one log line per record, for measuring the cost of logging: with logs to stdout, and
//! with `OTEL_LOGS_EXPORTER=otlp`.

use baton_lambda::{Failure, Message};
use serde_json::Value;
use tracing::info;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), baton_lambda::Error> {
    baton_lambda::run(log).await
}

async fn log(message: Message<Value>) -> Result<(), Failure> {
    std::hint::black_box(&message.body);
    info!(
        message_id = &*message.id(),
        receive_count = message.receive_count(),
        "record handled"
    );
    Ok(())
}
