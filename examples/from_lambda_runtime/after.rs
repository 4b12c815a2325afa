//! The consumer of `before.rs` with Baton.

use std::collections::HashMap;
use std::sync::Arc;

use baton_lambda::opentelemetry::{KeyValue, global};
use baton_lambda::{Class, Consumer, Failure, Message};
use ledger::{Ledger, LedgerError};
use serde::Deserialize;

mod ledger;

#[derive(Deserialize)]
struct Payment {
    account: String,
    cents: u64,
    instalments: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let consumer = Consumer::builder()
        .state(Arc::new(Ledger::from_env()?))
        .classify(|error: &LedgerError| match error {
            LedgerError::Rejected(_) => Class::permanent("payment_rejected"),
            _ => Class::retry("ledger_unavailable"),
        })
        .log_fields(|message| {
            let id = message.attribute("correlation_id");
            id.map(|id| KeyValue::new("correlation_id", id.into_owned()))
        });
    Ok(consumer.run(handle).await?)
}

async fn handle(message: Message<Payment>, ledger: Arc<Ledger>) -> Result<(), Failure> {
    let payment = &message.body;
    if payment.cents == 0 {
        return Err(Failure::permanent("no_amount", "the payment has no amount"));
    }
    let cents = payment.cents / payment.instalments;
    let mut trace_headers = HashMap::new();
    global::get_text_map_propagator(|propagator| propagator.inject(&mut trace_headers));
    ledger.book(&payment.account, cents, &trace_headers).await?;
    tracing::info!(account = payment.account, "payment booked");
    Ok(())
}
