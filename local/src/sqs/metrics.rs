//! The depth of each queue as metrics for Prometheus.
//!
//! Names and labels are those that `yet-another-cloudwatch-exporter` gives to the metrics of
//! CloudWatch's namespace `AWS/SQS`, so that one dashboard can show these queues and those on AWS.
//! Only the age differs: CloudWatch measures the age of a dead letter from its move to the
//! dead-letter queue, and ignores messages that were received more than three times.

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::account::Account;
use super::clock::Timestamp;
use super::queue::QueueDepth;

/// Content type of the OpenMetrics text format, version 1.0.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Labels of a series, with their values.
type Labels = [(&'static str, String); 4];

/// A metric of CloudWatch with the statistic `Maximum`.
struct Metric {
    name: &'static str,
    help: &'static str,
    value: fn(&QueueDepth) -> i64,
}

const METRICS: [Metric; 4] = [
    Metric {
        name: "aws_sqs_approximate_number_of_messages_visible_maximum",
        help: "Messages that can be received",
        value: |depth| number(depth.visible),
    },
    Metric {
        name: "aws_sqs_approximate_number_of_messages_not_visible_maximum",
        help: "Messages that were received and are hidden until their visibility timeout",
        value: |depth| number(depth.not_visible),
    },
    Metric {
        name: "aws_sqs_approximate_number_of_messages_delayed_maximum",
        help: "Messages whose delay has not passed",
        value: |depth| number(depth.delayed),
    },
    Metric {
        name: "aws_sqs_approximate_age_of_oldest_message_maximum",
        help: "Seconds since the oldest message was sent",
        value: |depth| i64::try_from(depth.oldest_age.as_secs()).unwrap_or(i64::MAX),
    },
];

/// Formats the metrics of all queues in the OpenMetrics text format.
///
/// # Errors
///
/// Returns an error only if the encoder fails, which it does not for a `String`.
pub(super) fn format(account: &mut Account, now: Timestamp) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    let families = METRICS.map(|metric| {
        let family = Family::<Labels, Gauge>::default();
        registry.register(metric.name, metric.help, family.clone());
        (family, metric.value)
    });
    for (labels, depth) in depths(account, now) {
        for (family, value) in &families {
            family.get_or_create(&labels).set(value(&depth));
        }
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// Returns the depth of each queue, with the labels of its series.
fn depths(account: &mut Account, now: Timestamp) -> Vec<(Labels, QueueDepth)> {
    let (account_id, region) = (account.account_id().to_owned(), account.region().to_owned());
    let queues = account.queues().map(|(name, queue)| {
        let labels = [
            ("account_id", account_id.clone()),
            ("dimension_QueueName", name.to_owned()),
            ("name", queue.arn.clone()),
            ("region", region.clone()),
        ];
        (labels, queue.depth(now))
    });
    queues.collect()
}

fn number(messages: usize) -> i64 {
    i64::try_from(messages).unwrap_or(i64::MAX)
}
