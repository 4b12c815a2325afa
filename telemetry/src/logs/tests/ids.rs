//! Ids on lines that are logged outside the context of their message.

use tracing::{Instrument as _, info, info_span};

use super::*;
use crate::{with_message_id, with_request_id};

/// Returns a context like that of a handler.
fn message_context(id: &str) -> Context {
    let context = with_request_id(&Context::new(), "request".into());
    with_message_id(&context.with_remote_span_context(span()), id.into())
}

fn assert_ids(line: &Value, message_id: &str) {
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(line["span_id"], "00f067aa0ba902b7");
    assert_eq!(
        (&line["requestId"], &line["messageId"]),
        (&"request".into(), &message_id.into())
    );
}

#[tokio::test]
async fn lines_of_a_spawned_task_have_the_ids_of_its_message() {
    let capture = Capture::start();
    let task = async {
        info!("in the span");
        let step = info_span!(target: "orders", "step");
        async { info!("in a span of the task") }
            .instrument(step)
            .await;
    };
    let handler = async {
        let order = info_span!(target: "orders", "order");
        let spawn = async { tokio::spawn(task.in_current_span()).await.unwrap() };
        spawn.instrument(order).await;
    };
    handler.with_context(message_context("m-1")).await;
    let lines = capture.lines();
    assert_eq!(lines.len(), 2);
    lines.iter().for_each(|line| assert_ids(line, "m-1"));
}

#[test]
fn the_active_context_takes_precedence_over_the_span() {
    let line = logged(|| {
        let span = {
            let _active = message_context("m-1").attach();
            info_span!(target: "orders", "order")
        };
        let _active = message_context("m-2").attach();
        span.in_scope(|| info!("in another message"));
    });
    assert_ids(&line, "m-2");
}
