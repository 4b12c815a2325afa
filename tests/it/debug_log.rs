//! The debug log line about each message's trace context.

use baton_test_support::{CollectorResponse, Record, TestCollector, event};
use serde_json::{Value, json};

use crate::support::functions::{SCRIPTED, TIMEOUT, start_with};

const XRAY: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
const SECRET: &str = "must not be logged";

#[tokio::test]
async fn each_message_is_logged_with_the_source_of_its_context_or_why_it_was_ignored() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lambda = start_with(SCRIPTED, &collector, |function| {
        function.variable("RUST_LOG", "baton_lambda=debug")
    })
    .await;
    let records = [
        Record::new(0).traced(0),
        Record::new(1).message_attribute("traceparent", "00-short"),
        Record::new(2).attribute("AWSTraceHeader", XRAY),
        Record::new(3).body(json!({ "text": SECRET })),
    ];
    lambda.invoke(event(&records), TIMEOUT).await.unwrap();
    let ended = lambda.terminate(TIMEOUT).await;
    let lines = ended.stdout.iter();
    let log: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let context_line = |number| {
        let id = Record::new(number).message_id;
        let mut lines = log.iter().filter(|line| line["message_id"] == id);
        let line = lines.find(|line| line["message"] == "message's trace context");
        let line = line.unwrap_or_else(|| panic!("a line about {id}: {log:#?}"));
        assert_eq!(line["level"], "DEBUG");
        ["carrier", "link", "ignored"].map(|field| line.get(field).cloned())
    };
    assert_eq!(
        context_line(0),
        [Some("message attributes".into()), None, None]
    );
    let reason = "message attributes: traceparent has the wrong length";
    assert_eq!(context_line(1), [None, None, Some(reason.into())]);
    assert_eq!(context_line(2), [None, Some("AWSTraceHeader".into()), None]);
    assert_eq!(context_line(3), [None, None, None]);
    assert!(!ended.stdout.iter().any(|line| line.contains(SECRET)));
}
