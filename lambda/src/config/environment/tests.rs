use std::cell::RefCell;
use std::collections::BTreeSet;

use super::*;
use crate::config::{AllFailed, FlushPoint, PartialResponse, TraceShape};
use crate::envelope::Envelope;

fn environment(variables: &[(&str, &str)]) -> Result<Environment, Vec<String>> {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let invalid =
        |invalid: Vec<InvalidConfig>| invalid.iter().map(ToString::to_string).collect::<Vec<_>>();
    let names = variables.iter().map(|(name, _)| (*name).to_owned());
    Environment::from_lookup(&lookup, names).map_err(invalid)
}

#[test]
fn variables_override_the_defaults() {
    let default = environment(&[("BATON_CONCURRENCY", "")]).unwrap();
    assert_eq!(default.config, ConsumerConfig::default());
    let set = environment(&[
        ("BATON_CONCURRENCY", "3"),
        ("BATON_ENVELOPE", "sns"),
        ("BATON_TRACE_SHAPE", "batch"),
        ("BATON_FLUSH_POINT", "after-response"),
        ("BATON_FLUSH_TIMEOUT", "250"),
        ("BATON_DRAIN_BEFORE_DEADLINE", "4000"),
        ("BATON_CANCEL_BEFORE_DEADLINE", "2000"),
        ("BATON_PARTIAL_RESPONSE", "off"),
        ("BATON_ALL_FAILED", "fail-invocation"),
        ("BATON_MAX_RECEIVE_COUNT", "5"),
        ("BATON_CLOUDWATCH_QUEUE_LATENCY", "on"),
        ("BATON_GRACEFUL_SHUTDOWN", "off"),
    ]);
    let expected = ConsumerConfig {
        concurrency: 3.try_into().unwrap(),
        envelope: Envelope::Sns,
        trace_shape: TraceShape::Batch,
        flush_point: FlushPoint::AfterResponse,
        flush_timeout: Duration::from_millis(250),
        drain_before_deadline: Some(Duration::from_secs(4)),
        cancel_before_deadline: Some(Duration::from_secs(2)),
        partial_response: PartialResponse::Off,
        all_failed: AllFailed::FailInvocation,
        max_receive_count: Some(5.try_into().unwrap()),
        cloudwatch_queue_latency: true,
        graceful_shutdown: false,
    };
    assert_eq!(set.unwrap().config, expected);
}

#[test]
fn keywords_are_not_case_sensitive_and_values_are_trimmed() {
    let set = environment(&[
        ("BATON_CONCURRENCY", " 3 "),
        ("BATON_ENVELOPE", "SNS"),
        ("BATON_TRACE_SHAPE", "Batch"),
        ("BATON_FLUSH_POINT", "After-Response"),
        ("BATON_FLUSH_TIMEOUT", "250\n"),
        ("BATON_PARTIAL_RESPONSE", " OFF"),
        ("BATON_ALL_FAILED", "Fail-Invocation "),
        ("BATON_MAX_RECEIVE_COUNT", "  "),
        ("BATON_GRACEFUL_SHUTDOWN", "Off"),
    ]);
    let expected = ConsumerConfig {
        concurrency: 3.try_into().unwrap(),
        envelope: Envelope::Sns,
        trace_shape: TraceShape::Batch,
        flush_point: FlushPoint::AfterResponse,
        flush_timeout: Duration::from_millis(250),
        partial_response: PartialResponse::Off,
        all_failed: AllFailed::FailInvocation,
        ..ConsumerConfig::default()
    };
    assert_eq!(set.unwrap().config, expected);
}

#[test]
fn the_documentation_lists_exactly_the_variables_that_are_read() {
    let asked = RefCell::new(BTreeSet::new());
    let lookup = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        None
    };
    Environment::from_lookup(&lookup, std::iter::empty()).unwrap();
    let mut asked = asked.into_inner();
    asked.retain(|name| name.starts_with(PREFIX));
    let rows = include_str!("../../lib.rs").lines();
    let rows = rows.filter_map(|line| line.strip_prefix("//! | `BATON_")?.split_once('`'));
    let documented: BTreeSet<_> = rows.map(|(name, _)| format!("BATON_{name}")).collect();
    assert_eq!(asked, documented);
}

#[test]
fn an_unknown_variable_is_reported_and_not_an_error() {
    let environment = environment(&[
        ("BATON_CONCURENCY", "3"),
        ("BATON_CONCURRENCY", "4"),
        ("BATONS", "5"),
        ("BATON_QUEUE", "orders"),
        ("BATON_DEMO_FAULTS", "panic=c-1"),
    ]);
    let environment = environment.unwrap();
    assert_eq!(environment.config.concurrency.get(), 4);
    let unknown = environment.unknown.iter();
    let unknown: Vec<_> = unknown
        .map(|variable| (variable.name.as_str(), variable.suggestion))
        .collect();
    assert_eq!(
        unknown,
        [
            ("BATON_CONCURENCY", Some("BATON_CONCURRENCY")),
            ("BATON_QUEUE", None)
        ]
    );
}

#[test]
fn all_invalid_variables_are_reported_together() {
    let invalid = environment(&[
        ("BATON_CONCURRENCY", "0"),
        ("BATON_FLUSH_TIMEOUT", "1s"),
        ("BATON_TRACE_SHAPE", "batches"),
        ("BATON_PARTIAL_RESPONSE", "yes"),
        ("BATON_SPAN_BUFFER_BYTES", "32 MiB"),
        ("BATON_METRIC_BUFFER_BYTES", "0"),
        (SPILL_LINE_BYTES, "300000"),
        (SPILL, "stderr"),
    ]);
    assert_eq!(
        invalid.unwrap_err(),
        [
            "BATON_CONCURRENCY: expected a positive integer, found \"0\"",
            "BATON_TRACE_SHAPE: expected continue or batch, found \"batches\"",
            "BATON_FLUSH_TIMEOUT: expected a non-negative integer, in milliseconds, found \"1s\"",
            "BATON_PARTIAL_RESPONSE: expected on or off, found \"yes\"",
            "BATON_SPAN_BUFFER_BYTES: expected a positive integer, in bytes, found \"32 MiB\"",
            "BATON_METRIC_BUFFER_BYTES: expected a positive integer, in bytes, found \"0\"",
            "BATON_SPILL_LINE_BYTES: expected an integer from 1024 to 262118, in bytes, found \"300000\"",
            "BATON_SPILL: expected stdout or none, found \"stderr\"",
        ]
    );
}

#[test]
#[cfg(not(feature = "dead-letter-queue"))]
fn a_dead_letter_queue_without_the_feature_is_an_error() {
    let invalid = environment(&[(DEAD_LETTER_QUEUE, "https://sqs.example.com/1/dlq")]);
    let invalid = invalid.unwrap_err();
    assert!(
        invalid[0].contains("built without the feature dead-letter-queue"),
        "{invalid:?}"
    );
}
