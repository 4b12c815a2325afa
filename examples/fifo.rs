//! A consumer of a FIFO queue.
//!
//! No option is needed, because the name of the queue ends in `.fifo`. Messages of a group are
//! handled one after another, and groups concurrently. After a failure, the rest of the group is
//! skipped and returned as failed, so that the order is kept. Other groups continue. Each skipped
//! message has a span with the `error.type` `message_group_blocked`.

use baton_lambda::{Failure, Message};
use serde::Deserialize;

/// A booking. The message group is the account.
#[derive(Deserialize)]
struct Booking {
    amount: i64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), baton_lambda::Error> {
    baton_lambda::run(book).await
}

async fn book(message: Message<Booking>) -> Result<(), Failure> {
    if message.body.amount == 0 {
        return Err(Failure::retry("ledger_busy", "the ledger did not respond"));
    }
    tracing::info!(account = message.group_id().as_deref(), "booked");
    Ok(())
}

#[cfg(test)]
mod tests {
    use baton_lambda::testing::{Batch, Record};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_failure_stops_only_its_account() {
        let booking =
            |account: &str, amount: i64| Record::json(json!({"amount": amount})).group(account);
        let batch = Batch::fifo("bookings")
            .record(booking("ada", 0))
            .record(booking("bob", 5))
            .record(booking("ada", 7));
        let outcome = batch.run(book).await;
        assert_eq!(outcome.failed(), ["message-1", "message-3"]);
        let blocked = outcome.record_span("message-3").unwrap();
        assert_eq!(blocked.attributes["error.type"], "message_group_blocked");
    }
}
