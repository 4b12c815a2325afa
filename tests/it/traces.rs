use serde_json::json;

use crate::support::producer::onboarding;
use crate::support::spans::{BATCH, PROCESS, REQUEST, SEND};
use crate::support::stack::Stack;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

#[tokio::test]
async fn one_trace_connects_the_request_to_the_store() {
    let stack = Stack::up(&[]).await;
    let message = stack.producer().onboard("c-1").await;
    let trace = stack.spans().trace(&message, 1).await;
    let (request, send, process) = (trace.span(REQUEST), trace.span(SEND), trace.span(PROCESS));
    let store = trace
        .children(process)
        .into_iter()
        .find(|span| span.kind == "CLIENT")
        .expect("a span of the store");
    assert_eq!(request.parent_span_id, None);
    assert_eq!(send.parent_span_id.as_ref(), Some(&request.span_id));
    assert_eq!(process.parent_span_id.as_ref(), Some(&send.span_id));
    assert_eq!(
        [&request.kind, &send.kind, &process.kind],
        ["SERVER", "PRODUCER", "CONSUMER"]
    );
    assert!(store.attributes.contains_key("db.system.name"), "{store:?}");
    assert!(
        store.start_unix_nano >= process.start_unix_nano
            && store.end_unix_nano <= process.end_unix_nano
    );
    assert_ne!(
        request.resource["service.name"],
        process.resource["service.name"]
    );
    stack.stop().await;
}

#[tokio::test]
async fn a_batch_span_links_to_the_send_of_each_message() {
    let stack = Stack::up(&["--batching-window", "1s", "--concurrency", "1"]).await;
    let accepted = stack.producer().onboard_each(&["c-1", "c-2", "c-3"]).await;
    let batches = stack.spans().wait_for(BATCH, 1).await;
    assert_eq!(batches.len(), 1, "{batches:#?}");
    assert_eq!(
        batches[0].attribute("messaging.batch.message_count"),
        &json!(3)
    );
    assert_eq!(
        (
            batches[0].links.len(),
            batches[0].kind.as_str(),
            &batches[0].parent_span_id
        ),
        (3, "CONSUMER", &None)
    );
    for message in accepted {
        let trace = stack.spans().trace(&message, 1).await;
        let link = batches[0]
            .find_link(trace.span(SEND))
            .expect("a link to the message's send");
        assert_eq!(
            link.attributes["messaging.message.id"],
            json!(message.message_id)
        );
        assert!(
            trace.span(PROCESS).find_link(&batches[0]).is_some(),
            "{trace:#?}"
        );
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_callers_context_is_continued_by_every_span() {
    let stack = Stack::up(&[]).await;
    let headers = [
        ("traceparent", &*format!("00-{TRACE}-{CALLER}-01")),
        ("tracestate", "vendor=position"),
    ];
    let message = stack
        .producer()
        .onboard_with(&onboarding("c-1"), &headers)
        .await;
    assert_eq!(message.trace_id, TRACE);
    let trace = stack.spans().trace(&message, 1).await;
    assert_eq!(trace.span(REQUEST).parent_span_id.as_deref(), Some(CALLER));
    for name in [REQUEST, SEND, PROCESS] {
        assert_eq!(trace.span(name).trace_state, "vendor=position", "{name}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn an_unsampled_request_is_handled_without_spans() {
    let stack = Stack::up(&[]).await;
    let unsampled = format!("00-{TRACE}-{CALLER}-00");
    stack
        .producer()
        .onboard_with(&onboarding("c-1"), &[("traceparent", &unsampled)])
        .await;
    let sampled = stack.producer().onboard("c-2").await;
    stack.spans().trace(&sampled, 1).await;
    stack.queue().wait_until_empty().await;
    let batches = stack.spans().wait_for(BATCH, 1).await;
    let links = batches
        .iter()
        .map(|batch| {
            batch
                .links
                .iter()
                .filter(|link| link.trace_id == TRACE)
                .count()
        })
        .sum::<usize>();
    assert_eq!(links, 1, "{batches:#?}");
    assert!(stack.spans().find_trace(TRACE).await.is_empty());
    stack.stop().await;
}

#[tokio::test]
async fn a_malformed_context_is_ignored() {
    let stack = Stack::up(&[]).await;
    let upper_case = format!("00-{}-{CALLER}-01", TRACE.to_uppercase());
    let short = format!("00-{}-{CALLER}-01", &TRACE[2..]);
    for (customer, traceparent) in [
        ("c-1", upper_case.as_str()),
        ("c-2", &short),
        ("c-3", "garbage"),
    ] {
        let headers = [
            ("traceparent", traceparent),
            ("tracestate", "vendor=position"),
        ];
        let message = stack
            .producer()
            .onboard_with(&onboarding(customer), &headers)
            .await;
        assert!(!message.trace_id.contains(&TRACE[2..]), "{traceparent}");
        let trace = stack.spans().trace(&message, 1).await;
        assert_eq!(trace.span(REQUEST).parent_span_id, None, "{traceparent}");
        assert_eq!(trace.span(PROCESS).trace_state, "", "{traceparent}");
    }
    stack.stop().await;
}
