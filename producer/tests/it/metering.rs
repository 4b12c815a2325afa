use std::collections::BTreeMap;

use baton_producer::{OutgoingMessage, QueueSender};
use baton_test_support::{FakeSqs, SqsResponse};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};

use crate::support::{sender, span_recorder};

const QUEUE: &str = "messaging.destination.name=onboarding,messaging.operation.name=send";
const SYSTEM: &str = "messaging.system=aws_sqs";

/// A sender with a meter, its SQS, and the recorded metrics.
struct MeteredSender {
    sqs: FakeSqs,
    sender: QueueSender,
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

impl MeteredSender {
    async fn start() -> Self {
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder()
            .with_periodic_exporter(exporter.clone())
            .build();
        let sqs = FakeSqs::start().await.unwrap();
        let sender = sender(sqs.address, &span_recorder()).with_meter(&provider.meter("test"));
        Self {
            sqs,
            sender,
            provider,
            exporter,
        }
    }

    /// Returns the values of the counter and the counts of the histogram, by their attributes.
    fn recorded(&self) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
        self.provider.force_flush().unwrap();
        let (mut sent, mut durations) = (BTreeMap::new(), BTreeMap::new());
        let collected = self.exporter.get_finished_metrics().unwrap();
        let scopes = collected.iter().flat_map(|one| one.scope_metrics());
        for metric in scopes.flat_map(|scope| scope.metrics()) {
            match (metric.name(), metric.unit(), metric.data()) {
                (
                    "messaging.client.sent.messages",
                    "{message}",
                    AggregatedMetrics::U64(MetricData::Sum(sum)),
                ) => sum.data_points().for_each(|point| {
                    sent.insert(text(point.attributes()), point.value());
                }),
                (
                    "messaging.client.operation.duration",
                    "s",
                    AggregatedMetrics::F64(MetricData::Histogram(histogram)),
                ) => histogram.data_points().for_each(|point| {
                    let bounds: Vec<f64> = point.bounds().collect();
                    assert_eq!((bounds.len(), bounds[0], bounds[13]), (14, 0.005, 10.0));
                    durations.insert(text(point.attributes()), point.count());
                }),
                other => panic!("{other:?}"),
            }
        }
        // The SDK also exports bound instruments without a measurement.
        sent.retain(|_, count| *count > 0);
        durations.retain(|_, count| *count > 0);
        (sent, durations)
    }
}

fn text<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> String {
    let mut pairs: Vec<String> = attributes
        .map(|attribute| format!("{}={}", attribute.key, attribute.value))
        .collect();
    pairs.sort_unstable();
    pairs.join(",")
}

/// Returns the expected counts, from the first attribute of each series.
fn expected(sends: &[(&str, u64)]) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let with = |more: &str| {
        let sends = sends.iter();
        let named = sends.map(|(error, count)| (format!("{error}{QUEUE},{more}{SYSTEM}"), *count));
        named.collect()
    };
    (with(""), with("messaging.operation.type=send,"))
}

#[tokio::test]
async fn sends_are_counted_and_measured() {
    let metered = MeteredSender::start().await;
    for _ in 0..2 {
        metered
            .sender
            .send(OutgoingMessage::new("body"))
            .await
            .unwrap();
    }
    assert_eq!(metered.recorded(), expected(&[("", 2)]));
}

#[tokio::test]
async fn a_failed_send_has_its_error_type_and_an_invalid_message_is_not_counted() {
    let metered = MeteredSender::start().await;
    let denied = SqsResponse::Error(403, "AccessDenied", "AccessDenied");
    metered.sqs.respond_with([denied]);
    metered
        .sender
        .send(OutgoingMessage::new("body"))
        .await
        .unwrap_err();
    metered
        .sender
        .send(OutgoingMessage::new(""))
        .await
        .unwrap_err();
    let expected = expected(&[("error.type=AccessDenied,", 1)]);
    assert_eq!(metered.recorded(), expected);
}

#[tokio::test]
async fn a_dropped_send_is_counted_as_cancelled() {
    let metered = MeteredSender::start().await;
    metered.sqs.respond_with([SqsResponse::Held]);
    let sending = metered.sender.send(OutgoingMessage::new("body"));
    tokio::select! {
        _ = sending => panic!("it is held"),
        () = metered.sqs.wait_for_call() => {}
    }
    let expected = expected(&[("error.type=cancelled,", 1)]);
    assert_eq!(metered.recorded(), expected);
}
