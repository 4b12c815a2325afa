//! A FIFO queue.
//!
//! Nothing has to be set: that a queue is FIFO is seen from its name. Messages of one group are
//! handled one after the other, and groups side by side. After a failure the rest of the group is
//! returned untried, so that the order is kept; other groups go on. Every message that was not
//! tried has a span that says so, with `error.type` `message_group_blocked`.

use baton_lambda::{Failure, Message};
use serde::Deserialize;

/// A booking on the account that is the message group.
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
        return Err(Failure::retry("ledger_busy", "the ledger did not answer"));
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
    async fn a_failure_stops_its_own_account_only() {
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
