//! Fields of a message, on lines and records.

use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::logs::v1::ScopeLogs;
use prost::Message as _;
use tracing::{Instrument as _, info, info_span};

use super::*;
use crate::buffer::{Bounds, Selection};
use crate::{MessageFields, with_message};

fn fields(fields: impl IntoIterator<Item = KeyValue>) -> MessageFields {
    let message_fields = MessageFields::default();
    for field in fields {
        message_fields.set(field.key, field.value);
    }
    message_fields
}

fn message_context(fields: &MessageFields) -> Context {
    with_message(&Context::new(), Some("m-1".into()), fields.clone())
}

/// Returns the text of a line after `message`, as it was written.
fn written(log: impl FnOnce()) -> String {
    let capture = Capture::start();
    log();
    let line = capture.output.lines().remove(0);
    let (_, rest) = line.split_once("\"message\":\"m\"").unwrap();
    rest.to_owned()
}

#[test]
fn fields_of_a_message_follow_those_of_the_event() {
    let fields = fields([
        KeyValue::new("order_id", 7),
        KeyValue::new("tenant", "blue"),
        KeyValue::new("ratio", 0.5),
        KeyValue::new("urgent", true),
    ]);
    let line = written(|| {
        let _active = message_context(&fields).attach();
        info!(count = 2, "m");
    });
    let expected =
        r#","count":2,"order_id":7,"tenant":"blue","ratio":0.5,"urgent":true,"messageId":"m-1"}"#;
    assert_eq!(line, expected);
}

#[test]
fn a_taken_key_gets_a_prefix() {
    let fields = fields([
        KeyValue::new("level", "gold"),
        KeyValue::new("message", "hello"),
        KeyValue::new("order_id", 7),
        KeyValue::new("messageId", "mine"),
        KeyValue::new("step", 1),
    ]);
    let line = written(|| {
        let _active = message_context(&fields).attach();
        let span = info_span!(target: "orders", "span", order_id = 8, step = 2);
        span.in_scope(|| info!(order_id = 9, "m"));
    });
    let expected = concat!(
        r#","order_id":9,"message.level":"gold","message.message":"hello","message.order_id":7,"#,
        r#""message.messageId":"mine","step":1,"span.order_id":8,"span.step":2,"messageId":"m-1"}"#
    );
    assert_eq!(line, expected);
}

#[test]
fn a_field_that_is_set_again_is_replaced() {
    let line = written(|| {
        let fields = fields([KeyValue::new("step", 1)]);
        let _active = message_context(&fields).attach();
        fields.at(1).set("step", 3);
        fields.set("step", 2);
        info!("m");
    });
    assert_eq!(line, r#","step":2,"messageId":"m-1"}"#);
}

#[tokio::test]
async fn a_spawned_task_has_the_fields_that_are_set_later() {
    let capture = Capture::start();
    let fields = fields([]);
    let handler = async {
        let task = async { info!("in the task") };
        let spawn = async { tokio::spawn(task.in_current_span()).await.unwrap() };
        let span = info_span!(target: "orders", "order");
        fields.set("order_id", 7);
        spawn.instrument(span).await;
    };
    handler.with_context(message_context(&fields)).await;
    assert_eq!(capture.lines()[0]["order_id"], 7);
}

#[test]
fn log_records_have_the_fields_as_attributes() {
    let buffer = Buffer::new(Bounds {
        records: 10,
        bytes: 1 << 20,
    });
    let _capture = Capture::with_records(buffer.clone());
    let fields = fields([
        KeyValue::new("order_id", 7),
        KeyValue::new("messaging.message.id", "mine"),
    ]);
    {
        let _active = message_context(&fields).attach();
        info!(target: "orders", "m");
    }
    let taken = buffer.take(Selection::All);
    let scope = ScopeLogs::decode(&*taken.next_request(usize::MAX)[0].bytes).unwrap();
    let attributes = scope.log_records[0].attributes.iter();
    let keys: Vec<&str> = attributes.map(|attribute| attribute.key.as_str()).collect();
    let expected = [
        "order_id",
        "message.messaging.message.id",
        "messaging.message.id",
    ];
    assert_eq!(keys, expected);
}
