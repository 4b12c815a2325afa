//! The invocation and message ids of log lines.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use baton_telemetry::{message_id, request_id};
use opentelemetry::Context;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Event, Metadata, Subscriber, info};

use crate::testing::Batch;
use crate::{Failure, Message};

/// Records the text of each log line with the ids of its context. Clones share the lines.
#[derive(Clone, Default)]
struct LogLines(Arc<Mutex<Vec<LogLine>>>);

#[derive(Debug)]
struct LogLine {
    text: String,
    request_id: Option<String>,
    message_id: Option<String>,
}

struct MessageField(String);

impl Visit for MessageField {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for LogLines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !metadata.is_span()
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = MessageField(String::new());
        event.record(&mut message);
        let line = Context::map_current(|context| LogLine {
            text: message.0,
            request_id: request_id(context).map(str::to_owned),
            message_id: message_id(context).map(str::to_owned),
        });
        self.0.lock().unwrap().push(line);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl LogLines {
    fn ids_of(&self, text: &str, id: impl Fn(&LogLine) -> Option<String>) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let found = lines.iter().filter(|line| line.text.contains(text));
        found.map(|line| id(line).unwrap_or_default()).collect()
    }
}

/// Logs a line, and never finishes message 2.
async fn handle(message: Message<u8>) -> Result<(), Failure> {
    info!("the handler's own");
    match message.body {
        1 => Err(Failure::permanent("refused", "not wanted")),
        _ => std::future::pending().await,
    }
}

#[tokio::test(start_paused = true)]
async fn log_lines_carry_the_ids_of_the_invocation_and_the_message() {
    let lines = LogLines::default();
    // With a single subscriber, tracing caches the interest of a callsite for all threads. If a
    // test without a subscriber reached a callsite first, it would be disabled here too.
    let _second = Dispatch::new(NoSubscriber::new());
    let _default = tracing::subscriber::set_default(lines.clone());
    let batch = Batch::standard("orders").message(1).message(2);
    let outcome = batch.timeout(Duration::from_secs(10)).run(handle).await;
    assert_eq!(outcome.failed(), ["message-1", "message-2"]);
    let of_messages = ["message-1", "message-2"];
    for (text, messages) in [
        ("message's trace context", &of_messages[..]),
        ("the handler's own", &of_messages),
        ("message failed", &of_messages),
        ("the deadline is near", &[""]),
        ("running handlers are cancelled", &[""]),
    ] {
        let invocations = lines.ids_of(text, |line| line.request_id.clone());
        assert_eq!(invocations, vec!["invocation-1"; messages.len()], "{text}");
        let ids = lines.ids_of(text, |line| line.message_id.clone());
        assert_eq!(ids, messages, "{text}");
    }
}
