//! The SQS client of a dead-letter queue that the environment names, with timeouts that suit an
//! invocation.

use std::time::Duration;

use aws_config::ConfigLoader;
use aws_sdk_sqs::Client;
use baton_sqs::ClientSettings;

use crate::dead_letter::error::InvalidDeadLetterQueue;

const SETTINGS: ClientSettings = ClientSettings {
    // SQS is in the same region, where a connection takes milliseconds.
    connect_timeout: Duration::from_millis(500),
    // Leaves time for a second attempt.
    attempt_timeout: Duration::from_millis(700),
    // The message is safe in its queue, and the invocation has other messages. With Lambda's
    // default timeout of 3 seconds, handlers are cancelled after 1.9 seconds: a send that times
    // out before that reports SQS as the cause.
    operation_timeout: Duration::from_millis(1_500),
    // The second attempt is for a connection that did not survive the freeze between two
    // invocations.
    max_attempts: 2,
    // The SDK's default of a second would use up most of the time.
    initial_backoff: Duration::from_millis(100),
};

pub(super) async fn load(loader: ConfigLoader) -> Result<Client, InvalidDeadLetterQueue> {
    let config = SETTINGS.load(loader).await;
    // Without a region every send would fail, and the mistake would show only at the first one.
    if config.region().is_none() {
        return Err(InvalidDeadLetterQueue::NoRegion);
    }
    Ok(Client::new(&config))
}
