//! Parses each body as JSON and does nothing else: what the library itself costs. The figures of
//! `bench/` are measured with it.

use baton_lambda::{Failure, Message};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), baton_lambda::Error> {
    baton_lambda::run(ignore).await
}

async fn ignore(message: Message<Value>) -> Result<(), Failure> {
    std::hint::black_box(&message.body);
    Ok(())
}
