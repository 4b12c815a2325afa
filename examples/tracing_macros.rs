//! Spans of the `tracing` macros, with the feature `tracing` of `baton-lambda`.
//!
//! `#[instrument]` and `info_span!` create OpenTelemetry spans inside the record span, also across
//! `await` and with concurrent messages. Log lines inside them carry their ids. Fields become
//! attributes, and the fields `otel.kind`, `otel.name` and `otel.status_code` set properties that
//! the macros do not have. Spans of libraries are omitted. The log level does not affect spans of
//! level `INFO` and above.

use std::time::Duration;

use baton_lambda::{Failure, Message};
use serde::Deserialize;
use tracing::{Instrument as _, info, info_span, instrument};

#[derive(Deserialize)]
struct Order {
    id: i64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), baton_lambda::Error> {
    baton_lambda::run(handle).await
}

async fn handle(message: Message<Order>) -> Result<(), Failure> {
    reserve(&message.body).await;
    let charging = info_span!("charge", otel.kind = "client", order.id = message.body.id);
    async { info!("charged") }.instrument(charging).await;
    Ok(())
}

#[instrument(skip_all, fields(order.id = order.id))]
async fn reserve(order: &Order) {
    // Simulates a call to another service.
    tokio::time::sleep(Duration::from_millis(1)).await;
    info!("reserved");
}

#[cfg(test)]
mod tests {
    use baton_lambda::testing::{Batch, SpanKind};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn the_spans_of_a_handler_are_children_of_its_message() {
        let orders = Batch::standard("orders").message(json!({"id": 1}));
        let outcome = orders.message(json!({"id": 2})).run(handle).await;
        for (message, id) in [("message-1", 1), ("message-2", 2)] {
            let record = outcome.record_span(message).unwrap();
            let inside: Vec<_> = outcome.children_of(record).collect();
            assert_eq!(inside[0].name, "reserve");
            assert_eq!(inside[1].name, "charge");
            assert_eq!(inside[1].kind, SpanKind::Client);
            assert!(inside.iter().all(|span| span.attributes["order.id"] == id));
        }
    }
}
