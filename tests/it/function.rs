//! One function under the fake Lambda: its responses and its exports.

use baton_test_support::{CollectorResponse, Record, SpanKind, TestCollector, event};
use serde_json::{Value, json};

use crate::support::functions::{SCRIPTED, TIMEOUT, start, start_with};

#[tokio::test]
async fn the_response_names_the_failed_messages_and_spans_are_exported_before_it() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lambda = start(SCRIPTED, &collector).await;
    let records: Vec<Record> = (0..3).map(|n| Record::new(n).traced(n)).collect();
    let [first, second, third] = <[Record; 3]>::try_from(records).unwrap();
    let payload = event(&[first, second.body(json!({"fail": "busy"})), third]);
    let invocation = lambda.invoke(payload, TIMEOUT).await.unwrap();

    let failed = json!({"batchItemFailures": [{"itemIdentifier": Record::new(1).message_id}]});
    assert_eq!(invocation.response.as_ref(), Ok(&failed));
    let spans = collector.spans().unwrap();
    let batch = spans.iter().find(|span| span.parent_span_id.is_none());
    let batch = batch.expect("a batch span");
    assert_eq!((spans.len(), batch.links.len()), (4, 3), "{spans:#?}");
    for number in 0..3 {
        let (trace_id, parent) = (Record::trace_id(number), Record::span_id(number));
        let span = spans.iter().find(|span| span.trace_id == trace_id);
        let span = span.expect("a span in the record's trace");
        assert_eq!(span.parent_span_id.as_deref(), Some(&*parent));
        assert_eq!(span.kind, SpanKind::Consumer);
        assert!(span.arrived_at < invocation.responded_at);
    }
}

#[tokio::test]
async fn an_invalid_event_fails_only_its_invocation() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lambda = start(SCRIPTED, &collector).await;
    for (payload, expected) in [
        (
            &b"{\"Records\":[{\"messageId\":\"SECRET\""[..],
            "the event is not JSON: EOF while parsing an object at line 1 column 33",
        ),
        (
            b"{\"Records\":\xff}",
            "the event is not UTF-8: invalid byte at 11",
        ),
        (
            b"null",
            "the event is null, expected the object with Records that an SQS event source mapping sends, or the array of records that EventBridge Pipes sends",
        ),
        (
            br#"{"Records":[{"eventSource":"aws:s3"}]}"#,
            "Records[0].eventSource is aws:s3, expected aws:sqs",
        ),
    ] {
        let invocation = lambda.invoke(payload, TIMEOUT).await.unwrap();
        let error = invocation.response.unwrap_err();
        assert_eq!(error.error_type, "InvalidEvent");
        assert_eq!(error.error_message, expected);
    }
    let valid = event(&[Record::new(0)]);
    let invocation = lambda.invoke(valid, TIMEOUT).await.unwrap();
    assert_eq!(invocation.response, Ok(json!({"batchItemFailures": []})));
}

/// Returns the lines in CloudWatch's embedded metric format.
fn embedded_metrics(stdout: &[String]) -> Vec<Value> {
    let lines = stdout.iter();
    let parsed = lines.filter_map(|line| serde_json::from_str(line).ok());
    parsed
        .filter(|line: &Value| line["_aws"].is_object())
        .collect()
}

#[tokio::test]
async fn queue_latencies_are_reported_to_cloudwatch_if_that_is_configured() {
    let records = [Record::new(0), Record::new(1).body(json!({"fail": "busy"}))];
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lambda = start(SCRIPTED, &collector).await;
    lambda.invoke(event(&records), TIMEOUT).await.unwrap();
    let ended = lambda.terminate(TIMEOUT).await;
    assert_eq!(embedded_metrics(&ended.stdout), [json!(null); 0]);

    let lambda = start_with(SCRIPTED, &collector, |function| {
        function
            .variable("BATON_CLOUDWATCH_QUEUE_LATENCY", "on")
            .variable("OTEL_SERVICE_NAME", "orders")
            .variable(
                "OTEL_RESOURCE_ATTRIBUTES",
                "deployment.environment.name=staging",
            )
    })
    .await;
    lambda.invoke(event(&records), TIMEOUT).await.unwrap();
    let ended = lambda.terminate(TIMEOUT).await;
    let lines = embedded_metrics(&ended.stdout);
    let [line] = &lines[..] else {
        panic!("one line per batch: {lines:?}")
    };
    let directive = json!([{
        "Namespace": "Baton",
        "Dimensions": [["ServiceName", "Environment"]],
        "Metrics": [{"Name": "QueueLatency", "Unit": "Milliseconds"}],
    }]);
    assert_eq!(line["_aws"]["CloudWatchMetrics"], directive);
    assert_eq!(line["ServiceName"], "orders");
    assert_eq!(line["Environment"], "staging");
    let latencies = line["QueueLatency"].as_array().unwrap();
    assert_eq!(latencies.len(), records.len());
    assert!(latencies.iter().all(Value::is_u64), "{line}");
}
