//! The examples, each run as a function. The response and the spans are those that the example's
//! documentation promises.

use std::time::Duration;

use ::http::StatusCode;
use baton_test_support::{
    AttributeValue, CollectorResponse, FakeLambda, Function, FunctionError, Record, Signal, Span,
    SpanKind, TestCollector, event,
};
use serde_json::json;

use crate::support::binaries::example;
use crate::support::functions::{TIMEOUT, function};
use crate::support::recording_server::RecordingServer;

const COLLECTOR_DELAY: Duration = Duration::from_millis(200);

/// The result of one invocation.
struct Outcome {
    response: Result<serde_json::Value, FunctionError>,
    spans: Vec<Span>,
    log: Vec<serde_json::Value>,
}

impl Outcome {
    fn failed(&self) -> Vec<&str> {
        let response = self.response.as_ref().unwrap();
        let failures = response["batchItemFailures"].as_array().unwrap();
        failures
            .iter()
            .map(|failure| failure["itemIdentifier"].as_str().unwrap())
            .collect()
    }

    /// Returns the span of the record that was sent as `Record::new(number).traced(number)`.
    fn record_span(&self, number: u64) -> &Span {
        let parent = Record::span_id(number);
        let mut spans = self.spans.iter();
        let span = spans.find(|span| span.parent_span_id.as_deref() == Some(&parent));
        let span = span.unwrap_or_else(|| panic!("a span of record {number}: {:#?}", self.spans));
        assert_eq!(span.trace_id, Record::trace_id(number));
        assert_eq!(span.kind, SpanKind::Consumer);
        span
    }

    /// Returns the only span with this name below that of a record.
    fn child_span(&self, number: u64, name: &str) -> &Span {
        let record = self.record_span(number);
        let is_it = |span: &&Span| {
            span.name == name && span.parent_span_id.as_deref() == Some(&record.span_id)
        };
        let spans: Vec<&Span> = self.spans.iter().filter(is_it).collect();
        assert_eq!(
            spans.len(),
            1,
            "{name} below record {number}: {:#?}",
            self.spans
        );
        assert_eq!(spans[0].trace_id, record.trace_id);
        spans[0]
    }
}

fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a AttributeValue> {
    span.attributes.get(key)
}

fn id(number: u64) -> String {
    Record::new(number).message_id
}

fn traced_records(bodies: &[serde_json::Value]) -> Vec<Record> {
    let record = |(number, body): (u64, _)| Record::new(number).traced(number).body(body);
    (0..).zip(bodies).map(record).collect()
}

async fn invoke(name: &str, records: &[Record]) -> Outcome {
    invoke_with(name, records, |function| function).await
}

async fn invoke_with(
    name: &str,
    records: &[Record],
    prepare: impl FnOnce(Function) -> Function,
) -> Outcome {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let binary = example(name).to_str().unwrap();
    let function = prepare(function(binary, &collector));
    let lambda = FakeLambda::start(&function).await.unwrap();
    let invocation = lambda.invoke(event(records), TIMEOUT).await.unwrap();
    let ended = lambda.terminate(TIMEOUT).await;
    let lines = ended.stdout.iter();
    Outcome {
        response: invocation.response,
        spans: collector.spans().unwrap(),
        log: lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    }
}

#[tokio::test]
async fn minimal_reports_the_message_that_failed() {
    let bodies = [
        json!({"id": "1", "quantity": 2}),
        json!({"id": "2", "quantity": 0}),
    ];
    let outcome = invoke("minimal", &traced_records(&bodies)).await;
    assert_eq!(outcome.failed(), [id(1)]);
    assert_eq!(outcome.spans.len(), 3);
    let refused = outcome.record_span(1);
    assert_eq!(refused.name, "process orders");
    assert_eq!(
        attribute(refused, "error.type"),
        Some(&"empty_order".into())
    );
    assert_eq!(attribute(outcome.record_span(0), "error.type"), None);
}

#[tokio::test]
async fn options_fail_the_whole_batch_for_one_message() {
    let outcome = invoke("options", &traced_records(&[json!({"id": "1"}), json!({})])).await;
    let error = outcome.response.as_ref().unwrap_err();
    assert_eq!(error.error_message, "1 of 2 messages failed");
    let started = outcome.log.iter();
    let started = started
        .clone()
        .find(|line| line["message"] == "consumer started");
    assert_eq!(started.unwrap()["concurrency"], 20);
}

#[tokio::test]
async fn options_in_the_program_override_the_environment() {
    let outcome = invoke_with(
        "options",
        &traced_records(&[json!({"id": "1"}), json!({})]),
        |it| {
            it.variable("BATON_CONCURRENCY", "3")
                .variable("BATON_PARTIAL_RESPONSE", "on")
                .variable("BATON_MAX_RECEIVE_COUNT", "7")
        },
    )
    .await;
    let error = outcome.response.as_ref().unwrap_err();
    assert_eq!(error.error_message, "1 of 2 messages failed");
    let mut log = outcome.log.iter();
    let started = log.find(|line| line["message"] == "consumer started");
    let started = started.unwrap();
    assert_eq!(started["concurrency"], 20);
    // The program does not set this option, so the environment does.
    assert_eq!(started["max_receive_count"], 7);
    // Options are logged as the values that their variables take.
    for (field, value) in [
        ("envelope", "none"),
        ("trace_shape", "continue"),
        ("flush_point", "before-response"),
        ("partial_response", "off"),
        ("all_failed", "report"),
        ("cloudwatch_queue_latency", "off"),
        ("graceful_shutdown", "off"),
    ] {
        assert_eq!(started[field], value, "{field}");
    }
}

#[tokio::test]
async fn tower_service_responds_and_flushes_at_either_flush_point() {
    let bodies = [json!({"quantity": 2}), json!({"quantity": 0})];
    for (flush_point, is_flushed_first) in [("before-response", true), ("after-response", false)] {
        // Slow enough to show whether the flush is before or after the response.
        let collector = TestCollector::start(CollectorResponse::Delay(COLLECTOR_DELAY));
        let collector = collector.await.unwrap();
        let function = function(example("tower_service").to_str().unwrap(), &collector)
            .variable("BATON_FLUSH_POINT", flush_point);
        let lambda = FakeLambda::start(&function).await.unwrap();
        let invocation = lambda.invoke(event(&traced_records(&bodies)), TIMEOUT);
        let invocation = invocation.await.unwrap();
        let failed = json!({"batchItemFailures": [{"itemIdentifier": id(1)}]});
        assert_eq!(invocation.response.as_ref(), Ok(&failed));
        let responded_after = invocation.response_time();
        assert_eq!(responded_after >= COLLECTOR_DELAY, is_flushed_first);
        assert!(invocation.billed_time() >= COLLECTOR_DELAY);
        let spans = collector.spans().unwrap();
        assert_eq!(spans.len(), 3, "{spans:#?}");
        assert!(
            spans
                .iter()
                .all(|span| span.arrived_at < invocation.ready_again_at)
        );
        let ended = lambda.terminate(TIMEOUT).await;
        let log = ended.stdout.join("\n");
        assert!(log.contains("batch received"), "{log}");
    }
}

#[tokio::test]
async fn shared_state_is_available_to_every_message() {
    let bodies = [
        json!({"article": "pen", "quantity": 3}),
        json!({"article": "glue", "quantity": 1}),
    ];
    let outcome = invoke("shared_state", &traced_records(&bodies)).await;
    assert_eq!(outcome.failed(), [id(1)]);
    let mut log = outcome.log.iter();
    assert_eq!(
        log.find(|line| line["message"] == "order priced").unwrap()["total"],
        6
    );
    assert_eq!(
        attribute(outcome.record_span(1), "error.type"),
        Some(&"shared_state::UnknownArticle".into())
    );
}

#[tokio::test]
async fn fifo_fails_the_rest_of_a_group_after_a_failure() {
    let groups = ["ada", "bob", "ada"];
    let bookings = traced_records(&[0, 5, 7].map(|amount| json!({"amount": amount})));
    let bookings: Vec<Record> = bookings
        .into_iter()
        .zip(groups)
        .map(|(record, group)| {
            record
                .queue("bookings.fifo")
                .attribute("MessageGroupId", group)
        })
        .collect();
    let outcome = invoke("fifo", &bookings).await;
    assert_eq!(outcome.failed(), [id(0), id(2)]);
    let blocked = outcome.record_span(2);
    assert_eq!(blocked.name, "process bookings.fifo");
    assert_eq!(
        attribute(blocked, "error.type"),
        Some(&"message_group_blocked".into())
    );
}

/// Configures the function of `aws_sdk` for a fake SQS.
fn with_sqs(function: Function, sqs: &RecordingServer) -> Function {
    function
        .variable(
            "FOLLOW_UP_QUEUE_URL",
            &format!("{}/123456789012/follow-ups", sqs.url),
        )
        .variable("AWS_ENDPOINT_URL", &sqs.url)
        .variable("AWS_ACCESS_KEY_ID", "test")
        .variable("AWS_SECRET_ACCESS_KEY", "test")
}

#[tokio::test]
async fn errors_have_the_classes_of_the_consumer() {
    let bodies = [
        json!({"email": "ada@example.com", "credit": "1"}),
        json!({"email": "dan@example.com", "credit": "much"}),
        json!({"email": "dan@example.com", "credit": "1"}),
    ];
    let outcome = invoke("errors", &traced_records(&bodies)).await;
    assert_eq!(outcome.failed(), [id(0), id(1)]);
    for (number, error_type) in [(0, "customer_exists"), (1, "invalid_credit")] {
        let span = outcome.record_span(number);
        assert_eq!(attribute(span, "error.type"), Some(&error_type.into()));
    }
    let failed = outcome.log.iter();
    let failed = failed.filter(|line| line["message"] == "message failed");
    assert!(failed.clone().count() == 2 && failed.clone().all(|line| line["retryable"] == false));
}

#[tokio::test]
async fn router_passes_messages_to_the_handlers_of_their_types() {
    let record = |number, name: &str| {
        let record = Record::new(number).traced(number);
        record
            .body(json!({"id": "1"}))
            .message_attribute("type", name)
    };
    let records = [record(0, "order.cancelled"), record(1, "order.paid")];
    let outcome = invoke("router", &records).await;
    assert_eq!(outcome.failed(), [id(1)]);
    let message_type = |number| attribute(outcome.record_span(number), "baton.message.type");
    assert_eq!(message_type(0), Some(&"order.cancelled".into()));
    assert_eq!(message_type(1), Some(&"order.paid".into()));
}

#[tokio::test]
async fn whole_batch_fails_the_rows_that_are_not_written() {
    let bodies = [
        json!({"sensor": "a", "value": 1.5}),
        json!({"sensor": "b", "value": -1.0}),
    ];
    let outcome = invoke("whole_batch", &traced_records(&bodies)).await;
    assert_eq!(outcome.failed(), [id(1)]);
    assert_eq!(outcome.spans.len(), 3);
    let failed = attribute(outcome.record_span(1), "error.type");
    assert_eq!(failed, Some(&"throttled".into()));
    assert_eq!(attribute(outcome.record_span(0), "error.type"), None);
}

#[tokio::test]
async fn aws_sdk_propagates_the_trace_to_the_next_queue() {
    let sqs = RecordingServer::start(StatusCode::OK, json!({"MessageId": "sent-1"})).await;
    let mut records = traced_records(&[json!({"id": "1"}), json!({"id": "2"})]);
    records[0] = records[0]
        .clone()
        .message_attribute("baggage", "tenant=blue");
    let outcome = invoke_with("aws_sdk", &records, |function| {
        // The examples are built with the feature `tracing`, and the SDK makes spans at every
        // level.
        with_sqs(function, &sqs).variable("RUST_LOG", "trace")
    })
    .await;
    assert!(outcome.failed().is_empty());
    // One child span per record and the batch span, but no span of the SDK.
    assert_eq!(outcome.spans.len(), 2 * 2 + 1, "{:#?}", outcome.spans);
    let received = sqs.received();
    assert_eq!(received.len(), 2);
    for number in [0, 1] {
        let span = outcome.child_span(number, "send follow-ups");
        assert_eq!(span.kind, SpanKind::Producer);
        assert_eq!(
            attribute(span, "messaging.message.id"),
            Some(&"sent-1".into())
        );
        assert_eq!(
            attribute(span, "messaging.destination.name"),
            Some(&"follow-ups".into())
        );
        let traceparent = format!("00-{}-{}-01", span.trace_id, span.span_id);
        let sent = received
            .iter()
            .map(|request| request.json())
            .find(|sent| sent["MessageAttributes"]["traceparent"]["StringValue"] == traceparent)
            .expect("a message with the context of the span");
        let body = json!({"accepted": (number + 1).to_string()});
        assert_eq!(sent["MessageBody"], body.to_string());
        let baggage = &sent["MessageAttributes"]["baggage"]["StringValue"];
        assert_eq!(baggage.as_str(), (number == 0).then_some("tenant=blue"));
    }
}

#[tokio::test]
async fn aws_sdk_records_the_error_of_sqs() {
    let refusal = json!({"__type": "com.amazonaws.sqs#QueueDoesNotExist"});
    let sqs = RecordingServer::start(StatusCode::BAD_REQUEST, refusal).await;
    let records = traced_records(&[json!({"id": "1"})]);
    let outcome = invoke_with("aws_sdk", &records, |function| with_sqs(function, &sqs)).await;
    assert_eq!(outcome.failed(), [id(0)]);
    let span = outcome.child_span(0, "send follow-ups");
    assert_eq!(
        attribute(span, "error.type"),
        Some(&"QueueDoesNotExist".into())
    );
    assert_eq!(
        attribute(outcome.record_span(0), "error.type"),
        Some(&"follow_up_not_sent".into())
    );
}

/// Configures the function of `sdk_interceptor` for a fake SQS.
fn with_shipments(function: Function, sqs: &RecordingServer) -> Function {
    let queue = format!("{}/123456789012/shipments", sqs.url);
    with_sqs(function, sqs).variable("SHIPMENT_QUEUE_URL", &queue)
}

#[tokio::test]
async fn sdk_interceptor_gives_each_message_of_a_batch_its_own_context() {
    let successful = ["0", "1"]
        .map(|id| json!({"Id": id, "MessageId": format!("sent-{id}"), "MD5OfMessageBody": ""}));
    let response = json!({"Successful": successful, "Failed": []});
    let sqs = RecordingServer::start(StatusCode::OK, response).await;
    let mut records = traced_records(&[json!({"items": ["lamp", "desk"]})]);
    records[0] = records[0]
        .clone()
        .message_attribute("baggage", "tenant=blue");
    let outcome = invoke_with("sdk_interceptor", &records, |function| {
        with_shipments(function, &sqs)
    })
    .await;
    assert!(outcome.failed().is_empty());
    let [request] = &sqs.received()[..] else {
        panic!("one request");
    };
    assert_eq!(request.header("x-amz-target"), "AmazonSQS.SendMessageBatch");
    let send = outcome.child_span(0, "send shipments");
    assert_eq!(send.kind, SpanKind::Client);
    assert_eq!(
        attribute(send, "messaging.batch.message_count"),
        Some(&2.into())
    );
    let sent = request.json()["Entries"].clone();
    for (index, item) in ["lamp", "desk"].into_iter().enumerate() {
        let entry = &sent[index];
        assert_eq!(entry["MessageBody"], json!({"item": item}).to_string());
        let attributes = &entry["MessageAttributes"];
        assert_eq!(attributes["baggage"]["StringValue"], "tenant=blue");
        let link = &send.links[index];
        let traceparent = format!("00-{}-{}-01", link.trace_id, link.span_id);
        assert_eq!(attributes["traceparent"]["StringValue"], traceparent);
        let mut spans = outcome.spans.iter();
        let create = spans.find(|span| span.span_id == link.span_id).unwrap();
        assert_eq!(
            (&*create.name, create.kind),
            ("create shipments", SpanKind::Producer)
        );
        assert_eq!(
            create.parent_span_id.as_deref(),
            Some(&*outcome.record_span(0).span_id)
        );
        let id = format!("sent-{index}");
        assert_eq!(attribute(create, "messaging.message.id"), Some(&id.into()));
    }
}

#[tokio::test]
async fn sdk_interceptor_records_the_messages_that_sqs_did_not_accept() {
    let failed = json!([{"Id": "0", "Code": "InternalError", "SenderFault": false}]);
    let response = json!({"Successful": [], "Failed": failed});
    let sqs = RecordingServer::start(StatusCode::OK, response).await;
    let records = traced_records(&[json!({"items": ["lamp"]})]);
    let outcome = invoke_with("sdk_interceptor", &records, |function| {
        with_shipments(function, &sqs)
    })
    .await;
    assert_eq!(outcome.failed(), [id(0)]);
    for name in ["create shipments", "send shipments"] {
        let span = outcome.child_span(0, name);
        assert_eq!(attribute(span, "error.type"), Some(&"InternalError".into()));
    }
}

#[tokio::test]
async fn http_request_propagates_the_trace_to_the_server() {
    let stock = RecordingServer::start(StatusCode::OK, json!({})).await;
    let mut records = traced_records(&[json!({"article": 7})]);
    records[0] = records[0]
        .clone()
        .message_attribute("tracestate", "vendor=position");
    let outcome = invoke_with("http_request", &records, |function| {
        function.variable("STOCK_URL", &stock.url)
    })
    .await;
    assert!(outcome.failed().is_empty());
    let span = outcome.child_span(0, "GET");
    assert_eq!(span.kind, SpanKind::Client);
    assert_eq!(
        attribute(span, "http.response.status_code"),
        Some(&200.into())
    );
    assert_eq!(attribute(span, "server.address"), Some(&"127.0.0.1".into()));
    assert_eq!(attribute(span, "error.type"), None);
    let [request] = &stock.received()[..] else {
        panic!("one request");
    };
    assert_eq!(request.path, "/articles/7");
    let traceparent = format!("00-{}-{}-01", span.trace_id, span.span_id);
    assert_eq!(request.header("traceparent"), traceparent);
    assert_eq!(request.header("tracestate"), "vendor=position");
}

#[tokio::test]
async fn http_request_records_the_error_of_the_server() {
    for (status, record_error) in [
        (StatusCode::SERVICE_UNAVAILABLE, "stock_failed"),
        (StatusCode::NOT_FOUND, "not_in_stock"),
    ] {
        let stock = RecordingServer::start(status, json!({})).await;
        let records = traced_records(&[json!({"article": 7})]);
        let outcome = invoke_with("http_request", &records, |function| {
            function.variable("STOCK_URL", &stock.url)
        })
        .await;
        assert_eq!(outcome.failed(), [id(0)]);
        let span = outcome.child_span(0, "GET");
        assert_eq!(attribute(span, "error.type"), Some(&status.as_str().into()));
        assert_eq!(
            attribute(outcome.record_span(0), "error.type"),
            Some(&record_error.into())
        );
    }
}

#[tokio::test]
async fn spans_of_tracing_macros_nest_under_their_own_record() {
    let records = traced_records(&[json!({"id": 1}), json!({"id": 2}), json!({"id": 3})]);
    let outcome = invoke("tracing_macros", &records).await;
    assert!(outcome.failed().is_empty());
    // Two child spans per record, and the batch span.
    assert_eq!(outcome.spans.len(), 3 * 3 + 1, "{:#?}", outcome.spans);
    for number in [0, 1, 2] {
        let order = i64::try_from(number).unwrap() + 1;
        for (name, kind, line) in [
            ("reserve", SpanKind::Internal, "reserved"),
            ("charge", SpanKind::Client, "charged"),
        ] {
            let span = outcome.child_span(number, name);
            assert_eq!(span.kind, kind);
            assert_eq!(attribute(span, "order.id"), Some(&order.into()));
            assert!(span.events.is_empty());
            let mut lines = outcome.log.iter();
            let found = lines.any(|logged| {
                logged["message"] == line
                    && logged["span_id"] == span.span_id
                    && logged["trace_id"] == span.trace_id
            });
            assert!(found, "a line {line:?} with the ids of {name}");
        }
    }
    for line in outcome
        .log
        .iter()
        .filter(|line| line["message"] == "reserved")
    {
        let number = line["order.id"].as_u64().unwrap() - 1;
        assert_eq!(line["messageId"], id(number));
        assert!(line["requestId"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn own_subscriber_has_the_same_lines_spans_and_errors() {
    let bodies = [
        json!({"id": 1, "quantity": 2}),
        json!({"id": 2, "quantity": 4}),
    ];
    let outcome = invoke("own_subscriber", &traced_records(&bodies)).await;
    assert_eq!(outcome.failed(), [id(1)]);
    let reserved = outcome.child_span(0, "reserve");
    let mut log = outcome.log.iter();
    let line = log.find(|line| line["message"] == "reserved").unwrap();
    assert_eq!(
        (&line["quantity"], &line["order.id"]),
        (&2.into(), &1.into())
    );
    assert_eq!(line["trace_id"], reserved.trace_id);
    assert_eq!(line["span_id"], reserved.span_id);
    assert_eq!(line["messageId"], id(0));
    assert!(line["requestId"].is_string(), "{line}");
    let failed = outcome.child_span(1, "reserve");
    assert_eq!(failed.events.len(), 1, "{failed:#?}");
    let mut log = outcome.log.iter();
    let error = log.find(|line| line["error"] == "only 3 left").unwrap();
    assert_eq!(error["span_id"], failed.span_id);
    // No layer is missing, so no warning is logged.
    let mut log = outcome.log.iter();
    assert!(!log.any(|line| line.to_string().contains("log_layer")));
}

#[tokio::test]
async fn tracing_macros_make_spans_below_the_log_level() {
    let records = traced_records(&[json!({"id": 1})]);
    let outcome = invoke_with("tracing_macros", &records, |function| {
        function.variable("AWS_LAMBDA_LOG_LEVEL", "WARN")
    })
    .await;
    assert!(outcome.log.is_empty(), "{:?}", outcome.log);
    outcome.child_span(0, "reserve");
    outcome.child_span(0, "charge");
}

#[tokio::test]
async fn own_exporter_http_exports_spans_and_metrics() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let binary = example("own_exporter_http").to_str().unwrap();
    let function = function(binary, &collector);
    let lambda = FakeLambda::start(&function).await.unwrap();
    let records = traced_records(&[json!({"article": 7})]);
    let invocation = lambda.invoke(event(&records), TIMEOUT).await.unwrap();
    assert!(invocation.response.is_ok());
    let spans = collector.spans().unwrap();
    assert_eq!(spans.len(), 2, "{spans:#?}");
    // The header that `baton-telemetry` sends, and its absence.
    let exports = collector.exports(Signal::Traces);
    let agent = exports[0].header("user-agent").unwrap();
    assert!(!agent.starts_with("baton"), "{agent}");
    let metrics = collector.metrics().unwrap();
    assert!(
        metrics
            .iter()
            .any(|metric| metric.name == "messaging.process.duration")
    );
}

/// The fake collector has no gRPC; `tests/exporters/` has one.
#[tokio::test]
async fn own_exporter_grpc_loses_no_span_without_a_collector() {
    let outcome = invoke_with(
        "own_exporter_grpc",
        &traced_records(&[json!({"article": 7})]),
        |function| {
            function
                .variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
                .variable("OTEL_METRICS_EXPORTER", "none")
        },
    )
    .await;
    assert!(outcome.failed().is_empty());
    let mut spilled = outcome.log.iter().filter(|line| line["baton.spill"] == 1);
    let spilled = spilled.next().expect("spilled spans");
    let resource = spilled["otlp"]["resourceSpans"][0]["resource"].to_string();
    assert!(resource.contains("logistics"), "{resource}");
}
