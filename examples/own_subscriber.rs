//! A program that installs its own `tracing` subscriber, with the feature `tracing` of
//! `baton-lambda`.
//!
//! The runtime does not replace an existing subscriber, so the program adds the layers that the
//! runtime would have installed: `log_layer` writes log lines with the trace, invocation and
//! message ids, and `tracing_layer` turns `#[instrument]` spans into OpenTelemetry spans. The
//! filter and all other layers are the program's choice. If a layer is missing, a warning is logged
//! at start. Crates whose versions must match are re-exported by `baton_lambda`.

use std::error::Error;

use baton_lambda::tracing_subscriber::filter::LevelFilter;
use baton_lambda::tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use baton_lambda::{Failure, Message, opentelemetry, tracing_subscriber};
use serde::Deserialize;
use tracing::{Event, Level, Subscriber, info, instrument};

#[derive(Deserialize)]
struct Order {
    id: i64,
    quantity: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("only {left} left")]
struct OutOfStock {
    left: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let subscriber = tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(baton_lambda::log_layer())
        .with(baton_lambda::tracing_layer())
        .with(CountWarnings);
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(baton_lambda::run(handle).await?)
}

async fn handle(message: Message<Order>) -> Result<(), Failure> {
    Ok(reserve(&message.body).await?)
}

#[instrument(skip_all, fields(order.id = order.id), err)]
async fn reserve(order: &Order) -> Result<(), OutOfStock> {
    if order.quantity > 3 {
        return Err(OutOfStock { left: 3 });
    }
    info!(quantity = order.quantity, "reserved");
    Ok(())
}

/// An additional layer that counts warnings and errors by target.
struct CountWarnings;

impl<S: Subscriber> Layer<S> for CountWarnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() <= Level::WARN {
            let meter = opentelemetry::global::meter("own_subscriber");
            let target = opentelemetry::KeyValue::new("target", metadata.target());
            meter.u64_counter("log.warnings").build().add(1, &[target]);
        }
    }
}

#[cfg(test)]
mod tests {
    use baton_lambda::testing::Batch;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_order_that_cannot_be_reserved_fails_with_its_span() {
        let batch = Batch::standard("orders").message(json!({"id": 1, "quantity": 4}));
        let outcome = batch.run(handle).await;
        assert_eq!(outcome.failed(), ["message-1"]);
        let span = outcome.span("reserve").unwrap();
        assert_eq!(span.error.as_deref(), Some("only 3 left"));
        assert_eq!(span.events[0].name, "exception");
    }
}
