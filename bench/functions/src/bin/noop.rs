//! A handler that only parses each body as JSON, for measuring the cost of the library.

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
