//! Every field of every span on the wire, compared with the records. Only `wire/expected.rs`
//! defines the expected spans, from the documentation of `baton-lambda`.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use baton_test_support::{
    CollectorResponse, FakeLambda, Function, Invocation, Signal, Span, TestCollector, event,
};
use serde_json::{Value, json};

use self::expected::Batch;
use self::generated::{Sample, Shape};
use crate::support::functions::{SCRIPTED, TIMEOUT, start_with};

mod expected;
mod generated;

#[tokio::test]
async fn every_field_of_a_batch_of_one_matches_its_record() {
    let wire = Wire::start(Shape::Continue).await;
    for number in 0..30 {
        wire.check(&[Sample::generate(number)]).await;
    }
}

#[tokio::test]
async fn every_field_of_a_batch_of_ten_matches_its_records() {
    let wire = Wire::start(Shape::Continue).await;
    for round in 0..10 {
        let samples: Vec<Sample> = (round * 10..(round + 1) * 10)
            .map(Sample::generate)
            .collect();
        wire.check(&samples).await;
    }
}

#[tokio::test]
async fn every_field_of_a_batch_of_a_thousand_matches_its_records() {
    let samples: Vec<Sample> = (0..1000).map(Sample::generate).collect();
    Wire::start(Shape::Continue).await.check(&samples).await;
}

#[tokio::test]
async fn a_batch_of_ten_thousand_has_every_span_and_every_link() {
    let samples: Vec<Sample> = (0..10_000).map(Sample::generate).collect();
    let wire = Wire::start(Shape::Continue).await;
    wire.check(&samples).await;
    let exports = wire.collector.exports(Signal::Traces);
    assert!(exports.len() > 1, "more than one request");
}

#[tokio::test]
async fn every_field_of_a_fifo_batch_matches_its_records() {
    let wire = Wire::start(Shape::Continue).await;
    let samples: Vec<Sample> = (0..100).map(Sample::generate_fifo).collect();
    wire.check(&samples).await;
}

#[tokio::test]
async fn a_batch_span_of_two_queues_names_no_queue_and_record_spans_name_theirs() {
    let wire = Wire::start(Shape::Continue).await;
    let samples: Vec<Sample> = (0..20)
        .map(|number| {
            Sample::generate(number).with_queue(["orders", "returns"][number as usize % 2])
        })
        .collect();
    wire.check(&samples).await;
}

#[tokio::test]
async fn every_field_of_children_of_the_batch_span_matches_the_records() {
    let samples: Vec<Sample> = (0..200).map(Sample::generate).collect();
    Wire::start(Shape::Batch).await.check(&samples).await;
}

/// A function and its collector.
struct Wire {
    shape: Shape,
    lambda: FakeLambda,
    collector: TestCollector,
}

impl Wire {
    async fn start(shape: Shape) -> Self {
        let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
        let max_receive_count = expected::MAX_RECEIVE_COUNT.to_string();
        let configured = |function: Function| {
            let function = function.variable("BATON_MAX_RECEIVE_COUNT", &max_receive_count);
            match shape {
                Shape::Continue => function,
                Shape::Batch => function.variable("BATON_TRACE_SHAPE", "batch"),
            }
        };
        let lambda = start_with(SCRIPTED, &collector, configured).await;
        Self {
            shape,
            lambda,
            collector,
        }
    }

    /// Invokes the function with these records, and checks every span that it exports.
    async fn check(&self, samples: &[Sample]) {
        let before = self.collector.spans().unwrap().len();
        let records: Vec<_> = samples.iter().map(|sample| sample.record.clone()).collect();
        let began = nanos_now();
        let invocation = self.lambda.invoke(event(&records), TIMEOUT).await.unwrap();
        let ended = nanos_now();
        assert_eq!(invocation.response.as_ref(), Ok(&failures(samples)));

        let mut spans = self.collector.spans().unwrap().split_off(before);
        for span in &spans {
            let during = began <= span.start_unix_nano && span.end_unix_nano <= ended;
            assert!(
                during && span.start_unix_nano <= span.end_unix_nano,
                "{span:#?}"
            );
            assert!(
                span.arrived_at < invocation.responded_at,
                "too late: {span:#?}"
            );
        }
        let batch = take_batch(&mut spans, &invocation, before == 0, samples);
        check_records(spans, self.shape, &batch, samples);
    }
}

/// Removes the only batch span and compares it.
fn take_batch(
    spans: &mut Vec<Span>,
    invocation: &Invocation,
    is_cold_start: bool,
    samples: &[Sample],
) -> Span {
    let is_batch = |span: &Span| {
        span.attributes
            .contains_key("messaging.batch.message_count")
    };
    let batches: Vec<Span> = spans.extract_if(.., |span| is_batch(span)).collect();
    let [batch] = <[Span; 1]>::try_from(batches).expect("one batch span");
    let expected = Batch {
        request_id: &invocation.request_id,
        is_cold_start,
        samples,
    };
    assert_same(&batch, &expected.span(&batch), "the batch span");
    for span in spans {
        let inside = batch.start_unix_nano <= span.start_unix_nano
            && span.end_unix_nano <= batch.end_unix_nano;
        assert!(inside, "record span outside its batch span: {span:#?}");
    }
    batch
}

/// Compares each record's span, and checks that there are no others.
fn check_records(spans: Vec<Span>, shape: Shape, batch: &Span, samples: &[Sample]) {
    let mut by_message: HashMap<String, Span> = HashMap::with_capacity(spans.len());
    for span in spans {
        let id = format!("{:?}", span.attributes.get("messaging.message.id"));
        let duplicate = by_message.insert(id, span);
        assert!(
            duplicate.is_none(),
            "two spans for one record: {duplicate:#?}"
        );
    }
    for sample in samples {
        let id = baton_test_support::AttributeValue::from(&*sample.record.message_id);
        let span = by_message.remove(&format!("{:?}", Some(id)));
        match (span, sample.is_exported(shape)) {
            (Some(span), true) => {
                let expected = expected::record(sample, shape, batch, &span);
                assert_same(&span, &expected, &format!("the span of {sample:#?}"));
            }
            (None, false) => {}
            (found, _) => panic!("found {found:#?} for {sample:#?}"),
        }
    }
    assert!(
        by_message.is_empty(),
        "spans without a record: {by_message:#?}"
    );
}

/// Fails with an excerpt around the first difference, which the whole text of a batch span with ten
/// thousand links would hide.
fn assert_same(found: &Span, expected: &Span, what: &str) {
    if found == expected {
        return;
    }
    let (found, expected) = (format!("{found:#?}"), format!("{expected:#?}"));
    let pairs = found.lines().zip(expected.lines());
    let same = pairs.take_while(|(left, right)| left == right).count();
    let excerpt = |text: &str| {
        let lines: Vec<&str> = text.lines().skip(same.saturating_sub(3)).take(12).collect();
        lines.join("\n")
    };
    panic!(
        "{what}, from line {same} on:\n{}\nexpected:\n{}",
        excerpt(&found),
        excerpt(&expected)
    );
}

/// Returns the expected response, with the records that fail.
fn failures(samples: &[Sample]) -> Value {
    let failed = samples.iter().filter(|sample| sample.outcome.is_failure());
    let failed: Vec<Value> = failed
        .map(|sample| json!({"itemIdentifier": sample.record.message_id}))
        .collect();
    json!({"batchItemFailures": failed})
}

fn nanos_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos()).unwrap()
}
