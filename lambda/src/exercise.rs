//! Runs all code that reads an event, except for the handler, and compares the result with
//! `aws_lambda_events`, the peer.
//!
//! The reader of this crate rejects events that the peer accepts if a message could be mistaken for
//! another: records that are not from SQS, and `Records` or a field of a record that appears twice.
//! It accepts events that the peer rejects if only telemetry or optional metadata is affected:
//! `attributes` or `messageAttributes` of the wrong type, invalid values of unused fields, and
//! strings with half of a surrogate pair, which count as absent.

use std::collections::HashSet;
use std::sync::Arc;

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use baton_telemetry::{Propagator, TRACEPARENT};
use opentelemetry::Context;
use serde::de::IgnoredAny;

use crate::batch::ProcessedBatch;
use crate::config::{ConsumerConfig, PartialResponse};
use crate::envelope::Envelope;
use crate::event::{FieldValue, InvalidEvent, SqsBatch, SqsRecord};
use crate::invocation::build_response;
use crate::message::{Message, Raw};
use crate::queue::BatchQueues;
use crate::trace_context::ContextExtractor;

/// Returns `true` if `json` is an SQS event. Panics if an invariant is violated.
pub fn exercise(json: &str) -> bool {
    let is_json = serde_json::from_str::<IgnoredAny>(json).is_ok();
    let peer = read_as_peer(json).filter(|_| !has_lists(json));
    let batch = match SqsBatch::parse(json.as_bytes().to_vec(), Arc::default()) {
        Ok(batch) => Arc::new(batch),
        Err(error) => {
            // Only the first error is reported, and JSON that is not an event can also have a
            // syntax error later.
            assert!(!(is_json && matches!(error, InvalidEvent::NotJson { .. })));
            assert_eq!(
                peer.filter(|_| !is_only_rejected_here(&error)),
                None,
                "{error}"
            );
            return false;
        }
    };
    assert!(is_json, "accepted although it is not JSON");
    if let Some(peer) = &peer {
        assert_eq!(batch.len(), peer.len());
        let pairs = batch.records().zip(peer);
        pairs.for_each(|(record, peer)| assert_same(&record, peer));
    }
    for index in 0..batch.len() {
        extract_contexts(&batch.record(index));
        read_message(&batch, index);
    }
    check_response(&batch);
    true
}

/// Returns the records as `aws_lambda_events` reads them. It has no type for an array of records,
/// so each record is read separately.
fn read_as_peer(json: &str) -> Option<Vec<SqsMessage>> {
    if json.trim_start().starts_with('[') {
        return serde_json::from_str(json).ok();
    }
    let event: SqsEvent = serde_json::from_str(json).ok()?;
    Some(event.records)
}

/// Returns `true` if a record or an attribute is a list. `serde` accepts a list in place of an
/// object, but AWS sends no such events.
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

/// Returns `true` for errors that the peer does not report.
fn is_only_rejected_here(error: &InvalidEvent) -> bool {
    matches!(error, InvalidEvent::WrongSource { .. })
}

/// Compares all fields that both read.
fn assert_same(record: &SqsRecord<'_>, peer: &SqsMessage) {
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
        // The peer does not read other spellings of the name.
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

/// Returns the propagator for an `OTEL_PROPAGATORS` with these formats.
pub(crate) fn build_propagator(trace_context: bool, baggage: bool, xray: bool) -> Propagator {
    let mut propagator = Propagator::default();
    propagator.trace_context = trace_context;
    propagator.baggage = baggage;
    propagator.xray = xray;
    propagator
}

/// Extracts the context of a record with each combination of propagators.
fn extract_contexts(record: &SqsRecord<'_>) {
    for formats in 0..8_u8 {
        let [trace_context, baggage, xray] = [1, 2, 4].map(|bit| formats & bit != 0);
        let propagator = build_propagator(trace_context, baggage, xray);
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

/// Reads all metadata of a message.
fn read_message(batch: &Arc<SqsBatch>, index: usize) {
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

/// Checks the response to a batch of which all records have failed: it lists each of them, or the
/// invocation fails.
fn check_response(batch: &Arc<SqsBatch>) {
    let processed = ProcessedBatch {
        batch: Arc::clone(batch),
        failed: (0..batch.len()).collect(),
        queues: BatchQueues::from_batch(batch),
        context: Context::new(),
    };
    let is_unidentified = batch.records().any(|record| record.message_id().is_none());
    match build_response(&processed, &ConsumerConfig::default()) {
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
    let without_partial_responses = ConsumerConfig {
        partial_response: PartialResponse::Off,
        ..ConsumerConfig::default()
    };
    assert_eq!(
        build_response(&processed, &without_partial_responses).is_ok(),
        processed.failed.is_empty()
    );
}

#[cfg(test)]
mod tests;
