//! Does with an event everything that an invocation does with it, short of a handler, and holds it
//! against `aws_lambda_events`' reading.
//!
//! The reader here refuses what the peer accepts where a message might be taken for another's: a
//! record that is not from SQS, `Records` or a field of a record given twice. It accepts what the
//! peer refuses where only telemetry or a curious handler loses something: `attributes` or
//! `messageAttributes` that are not what they should be, fields that nobody reads, and text with
//! half of a surrogate pair, which counts as absent.

use std::collections::HashSet;
use std::sync::Arc;

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use baton_telemetry::{Propagator, TRACEPARENT};
use opentelemetry::Context;
use serde::de::IgnoredAny;

use crate::batch::ProcessedBatch;
use crate::config::{Config, PartialResponse};
use crate::envelope::Envelope;
use crate::event::{Batch, FieldValue, InvalidEvent, Record};
use crate::invocation::build_response;
use crate::message::{Message, Raw};
use crate::trace_context::ContextExtractor;

/// Whether it is an event. Panics where a promise is broken.
pub fn exercise(json: &str) -> bool {
    let is_json = serde_json::from_str::<IgnoredAny>(json).is_ok();
    let peer = read_as_peer(json).filter(|_| !has_lists(json));
    let batch = match Batch::parse(json.as_bytes().to_vec()) {
        Ok(batch) => Arc::new(batch),
        Err(error) => {
            // The first thing that is wrong is reported, and what is no JSON may be no event before
            // that.
            assert!(!(is_json && matches!(error, InvalidEvent::NotJson { .. })));
            assert_eq!(peer.filter(|_| !is_ours_to_refuse(&error)), None, "{error}");
            return false;
        }
    };
    assert!(is_json, "taken for JSON");
    if let Some(peer) = &peer {
        assert_eq!(batch.len(), peer.len());
        let pairs = batch.records().zip(peer);
        pairs.for_each(|(record, peer)| assert_same(&record, peer));
    }
    for index in 0..batch.len() {
        extract_contexts(&batch.record(index));
        read_message(&batch, index);
    }
    answer(&batch);
    true
}

/// The records as `aws_lambda_events` reads them. It has no type for an array of records, so each
/// is read by itself.
fn read_as_peer(json: &str) -> Option<Vec<SqsMessage>> {
    if json.trim_start().starts_with('[') {
        return serde_json::from_str(json).ok();
    }
    let event: SqsEvent = serde_json::from_str(json).ok()?;
    Some(event.records)
}

/// Whether there are lists where objects belong. `serde` takes the one for the other; no event of
/// AWS is written so.
fn has_lists(json: &str) -> bool {
    let event: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let records = event.as_array().or(event["Records"].as_array());
    records.into_iter().flatten().any(|record| {
        let attributes = record["messageAttributes"].as_object().into_iter();
        record.is_array()
            || attributes
                .flat_map(|map| map.values())
                .any(|value| value.is_array())
    })
}

/// Reasons to refuse an event that the peer does not have.
fn is_ours_to_refuse(error: &InvalidEvent) -> bool {
    matches!(error, InvalidEvent::WrongSource { .. })
}

/// Every field that both read.
fn assert_same(record: &Record<'_>, peer: &SqsMessage) {
    let id = peer.message_id.as_deref().filter(|id| !id.is_empty());
    assert_eq!(record.message_id().as_deref(), id);
    assert_eq!(
        record.receipt_handle().as_deref(),
        peer.receipt_handle.as_deref()
    );
    assert_eq!(record.body().as_deref(), peer.body.as_deref());
    assert_eq!(
        record.queue_arn().as_deref(),
        peer.event_source_arn.as_deref()
    );
    let system = |name: &str| peer.attributes.get(name).map(String::as_str);
    let count = system("ApproximateReceiveCount").and_then(|count| count.parse().ok());
    assert_eq!(record.receive_count(), count);
    let sent = system("SentTimestamp").and_then(|sent| sent.parse().ok());
    assert_eq!(record.sent_timestamp(), sent);
    assert_eq!(record.group_id().as_deref(), system("MessageGroupId"));
    assert_eq!(record.trace_header().as_deref(), system("AWSTraceHeader"));
    for (name, attribute) in &peer.message_attributes {
        // Another spelling may give what the peer does not know of.
        let Some(value) = &attribute.string_value else {
            continue;
        };
        let same_name = record
            .message_attributes()
            .filter(|found| found.name == **name);
        let found = same_name.last().and_then(|found| found.string_value);
        assert_eq!(found.as_deref(), Some(value.as_str()));
        if name == TRACEPARENT {
            let expected = FieldValue::Text(value.into());
            assert_eq!(record.trace_carrier().traceparent, expected);
        }
    }
}

/// What `OTEL_PROPAGATORS` with these formats in it asks for.
pub(crate) fn listed(trace_context: bool, baggage: bool, xray: bool) -> Propagator {
    let mut propagator = Propagator::default();
    propagator.trace_context = trace_context;
    propagator.baggage = baggage;
    propagator.xray = xray;
    propagator
}

/// With each propagator by itself, and with all.
fn extract_contexts(record: &Record<'_>) {
    for formats in 0..8_u8 {
        let [trace_context, baggage, xray] = [1, 2, 4].map(|bit| formats & bit != 0);
        let propagator = listed(trace_context, baggage, xray);
        let context = ContextExtractor::new(propagator, |_| true).extract(record);
        if let Some(parent) = &context.parent {
            assert!(parent.is_valid() && parent.is_remote());
            assert_ne!(context.xray.as_ref(), Some(parent));
        }
        assert_eq!(context.parent.is_some(), context.carrier.is_some());
        let invalid = context.invalid.as_ref().map(ToString::to_string);
        assert_ne!(invalid.as_deref(), Some(""));
        context.parent_context(&Context::new());
    }
}

fn read_message(batch: &Arc<Batch>, index: usize) {
    for envelope in [Envelope::None, Envelope::Sns, Envelope::EventBridge] {
        let _ = Message::<serde_json::Value>::decode(batch, index, envelope);
        let Ok(message) = Message::<Raw>::decode(batch, index, envelope) else {
            continue;
        };
        assert_eq!(
            message.id().is_empty(),
            batch.record(index).message_id().is_none()
        );
        let names = message
            .attributes()
            .filter(|attribute| !attribute.name.is_empty());
        names.for_each(|attribute| drop(message.attribute(&attribute.name)));
        std::hint::black_box((message.sns(), message.event_bridge()));
        std::hint::black_box((message.sent_at(), message.group_id()));
    }
}

/// All records have failed: each is named, or the invocation fails.
fn answer(batch: &Arc<Batch>) {
    let processed = ProcessedBatch {
        batch: Arc::clone(batch),
        failed: (0..batch.len()).collect(),
        context: Context::new(),
    };
    let is_unidentified = batch.records().any(|record| record.message_id().is_none());
    match build_response(&processed, &Config::default()) {
        Err(_) => assert!(is_unidentified),
        Ok(response) => {
            assert!(!is_unidentified);
            let identifiers: HashSet<_> = batch
                .records()
                .filter_map(|record| record.message_id())
                .collect();
            assert_eq!(response.batch_item_failures.len(), identifiers.len());
            let identifiers = response.batch_item_failures.iter();
            identifiers.for_each(|failure| assert!(!failure.item_identifier.is_empty()));
        }
    }
    let without_partial_responses = Config {
        partial_response: PartialResponse::Off,
        ..Config::default()
    };
    assert_eq!(
        build_response(&processed, &without_partial_responses).is_ok(),
        processed.failed.is_empty()
    );
}

#[cfg(test)]
mod tests;
