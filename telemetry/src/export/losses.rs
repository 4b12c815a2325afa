//! Reports of records that were not exported, immediately and without a collector.

use std::sync::{Mutex, PoisonError};

use super::embedded_metrics::EmbeddedMetrics;

/// Counts since the start of the process: records that were not exported, and openings of circuit
/// breakers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    pub(crate) spans_spilled: u64,
    pub(crate) spans_dropped: u64,
    pub(crate) log_records_dropped: u64,
    pub(crate) metric_points_dropped: u64,
    pub(crate) breaker_openings: u64,
}

/// Metric of the spans that are pending after a failed export. They are not lost, but may be.
const PENDING: &str = "SpansPending";

/// Name of a metric and its count.
type LossMetric = (&'static str, fn(&mut Losses) -> &mut u64);

const METRICS: [LossMetric; 5] = [
    ("SpansSpilled", |losses| &mut losses.spans_spilled),
    ("SpansDropped", |losses| &mut losses.spans_dropped),
    ("LogRecordsDropped", |losses| {
        &mut losses.log_records_dropped
    }),
    ("MetricPointsDropped", |losses| {
        &mut losses.metric_points_dropped
    }),
    ("CircuitBreakerOpenings", |losses| {
        &mut losses.breaker_openings
    }),
];

/// Reports each loss once.
#[derive(Debug, Default)]
pub(crate) struct LossReporter {
    reported: Mutex<Losses>,
}

impl LossReporter {
    /// Writes a line to `output` if there are unreported losses, or if an export has just failed
    /// and left spans `pending`. Returns the unreported losses.
    pub(crate) fn report(
        &self,
        mut losses: Losses,
        pending: u64,
        output: &EmbeddedMetrics,
    ) -> Losses {
        let mut new = Losses::default();
        {
            let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
            for (_, count) in METRICS {
                let (before, now) = (count(&mut reported), *count(&mut losses));
                // A concurrent flush may have counted earlier and report later.
                *count(&mut new) = now.saturating_sub(*before);
                *before = now.max(*before);
            }
        }
        if new != Losses::default() || pending > 0 {
            let losses = METRICS.map(|(name, count)| (name, *count(&mut new)));
            let [spilled, dropped, log_records, metric_points, openings] = losses;
            let pending = (PENDING, pending);
            let metrics = [
                pending,
                spilled,
                dropped,
                log_records,
                metric_points,
                openings,
            ];
            output.write_losses(&metrics);
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_loss_is_reported_once_as_a_metric() {
        let (reporter, output) = (LossReporter::default(), EmbeddedMetrics::captured());
        let mut losses = Losses::default();
        assert_eq!(reporter.report(losses, 0, &output), Losses::default());
        assert!(output.lines().is_empty());
        losses.spans_spilled = 10;
        assert_eq!(reporter.report(losses, 0, &output).spans_spilled, 10);
        reporter.report(losses, 0, &output);
        losses.spans_spilled = 14;
        losses.metric_points_dropped = 2;
        losses.breaker_openings = 1;
        reporter.report(losses, 0, &output);
        // Counts from before the last report.
        reporter.report(Losses::default(), 0, &output);
        let lines = output.lines();
        let counts: Vec<_> = lines
            .iter()
            .map(|line| {
                [
                    "SpansSpilled",
                    "MetricPointsDropped",
                    "CircuitBreakerOpenings",
                ]
                .map(|metric| line[metric].as_u64().unwrap())
            })
            .collect();
        assert_eq!(counts, [[10, 0, 0], [4, 2, 1]]);
    }

    #[test]
    fn pending_spans_are_reported_after_each_export() {
        let (reporter, output) = (LossReporter::default(), EmbeddedMetrics::captured());
        for pending in [3, 5, 0] {
            reporter.report(Losses::default(), pending, &output);
        }
        let lines = output.lines();
        let counts: Vec<_> = lines.iter().map(|line| &line["SpansPending"]).collect();
        assert_eq!(counts, [&json!(3), &json!(5)]);
        for metric in ["SpansSpilled", "SpansDropped", "LogRecordsDropped"] {
            assert_eq!(lines[1][metric], 0, "{metric}");
        }
    }
}
