//! Whose invocation a line of the log is.

use crate::testing::Batch;
use crate::{Failure, Message};
use baton_telemetry::request_id;
use opentelemetry::Context;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Event, Metadata, Subscriber, info};

/// Keeps the message of each line with the request id of its context. Clones share what they keep.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<Line>>>);

type Line = (String, Option<String>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Text(String::new());
        event.record(&mut message);
        let id = Context::map_current(|context| request_id(context).map(str::to_owned));
        self.0.lock().unwrap().push((message.0, id));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Lines {
    fn ids_of(&self, message: &str) -> Vec<Option<String>> {
        let lines = self.0.lock().unwrap();
        let found = lines.iter().filter(|(text, _)| text.contains(message));
        found.map(|(_, id)| id.clone()).collect()
    }
}

/// Logs, and is never done with the message 2.
async fn handle(message: Message<u8>) -> Result<(), Failure> {
    info!("the handler's own");
    match message.body {
        1 => Err(Failure::permanent("refused", "not wanted")),
        _ => std::future::pending().await,
    }
}

#[tokio::test(start_paused = true)]
async fn lines_of_a_handler_of_a_record_and_of_the_batch_carry_the_request_id() {
    let lines = Lines::default();
    // With one subscriber alone, an event that the thread of another test comes to first would be off for all threads.
    let _second = Dispatch::new(NoSubscriber::new());
    let _default = tracing::subscriber::set_default(lines.clone());
    let batch = Batch::standard("orders").message(1).message(2);
    let outcome = batch.timeout(Duration::from_secs(10)).run(handle).await;
    assert_eq!(outcome.failed(), ["message-1", "message-2"]);
    for (message, count) in [
        ("the handler's own", 2),
        ("message failed", 2),
        ("the deadline is near", 1),
        ("the deadline is here", 1),
    ] {
        let expected = vec![Some("invocation-1".to_owned()); count];
        assert_eq!(lines.ids_of(message), expected, "{message}");
    }
}
