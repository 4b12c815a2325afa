//! The report of the demo: a tree for each message, the batches, the names of the metrics, the
//! table of counts, and the problems.

use std::fmt;
use std::sync::Arc;

use super::checks::{CheckResult, Row};
use super::message_trace::{self, MessageTrace};
use super::scenario::OnboardingKind;
use super::text::{self, DIMMED, FAILURE, NAME, PLAIN, SUCCESS, StyledLine, Width};
use super::tree::{self, SpanNode};
use crate::otlp::{StoredMetric, StoredSpan};

/// Indentation of a batch's list of messages.
const INDENT: &str = "     ";
/// Columns of a number in the table.
const NUMBER_COLUMNS: usize = 10;
/// Columns of a name in the table.
const NAME_COLUMNS: usize = 18;

/// Last line of a report without problems.
const SUCCESS_SUMMARY: &str =
    "Every message is accounted for, every trace is complete, no span was lost.";

/// Result of the demo.
#[derive(Clone, Debug)]
pub struct DemoReport {
    pub(super) traces: Vec<(MessageTrace, OnboardingKind)>,
    pub(super) batches: Vec<Arc<StoredSpan>>,
    pub(super) metrics: Vec<StoredMetric>,
    pub(super) result: CheckResult,
}

impl DemoReport {
    /// Returns true if all results are as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.result.passed()
    }

    /// Returns the report as text, with escape codes, or without them in the alternate form
    /// (`{:#}`).
    #[must_use]
    pub fn display(&self, width: Width) -> impl fmt::Display {
        let mut lines = traces(&self.traces, width);
        lines.extend(batches(&self.batches, &self.traces, width));
        lines.extend(metrics(&self.metrics, width));
        lines.extend(summary(&self.result, width));
        StyledLines(lines)
    }
}

struct StyledLines(Vec<StyledLine>);

impl fmt::Display for StyledLines {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.0 {
            line.fmt(formatter)?;
            formatter.write_str("\n")?;
        }
        Ok(())
    }
}

/// Lists the traces, one tree per message.
fn traces(traces: &[(MessageTrace, OnboardingKind)], width: Width) -> Vec<StyledLine> {
    let mut lines = heading("Traces, one per message", width);
    let titles = traces.iter().map(|(trace, kind)| title(trace, *kind));
    let titles = titles.collect::<Vec<_>>();
    let ids = traces
        .iter()
        .map(|(trace, _)| format!("trace {}", trace.message.trace_id));
    let ids = ids.collect::<Vec<_>>();
    // The ids are either all on the lines of the titles or all below, so that they form a column.
    let on_one_line = titles
        .iter()
        .zip(&ids)
        .all(|(title, id)| title.width() + 1 + id.len() <= width.columns());
    for ((title, id), (trace, _)) in titles.into_iter().zip(ids).zip(traces) {
        if on_one_line {
            lines.push(title.align_right(DIMMED, id, width));
        } else {
            lines.extend([title, StyledLine::new(DIMMED, format!("  {id}"))]);
        }
        lines.extend(tree::render(&trace.trees, width));
        lines.push(StyledLine::default());
    }
    lines
}

fn title(trace: &MessageTrace, kind: OnboardingKind) -> StyledLine {
    let outcome = if trace.is_processed() {
        SUCCESS
    } else {
        FAILURE
    };
    StyledLine::new(outcome, "● ")
        .with_text(NAME, trace.message.customer_id.as_str())
        .with_text(PLAIN, format!(" {}", kind.description()))
        .with_text(
            FAILURE,
            if trace.dead_lettered {
                ", dead-lettered"
            } else {
                ""
            },
        )
}

/// Lists the batch spans, each with the messages that it is linked to.
fn batches(
    batches: &[Arc<StoredSpan>],
    traces: &[(MessageTrace, OnboardingKind)],
    width: Width,
) -> Vec<StyledLine> {
    let title = "Batches, each with its own trace and a link to every message in it";
    let mut lines = heading(title, width);
    for batch in batches {
        let node = SpanNode {
            span: Arc::clone(batch),
            children: Vec::new(),
        };
        lines.extend(tree::render(&[node], width));
        let links = batch.links.iter();
        let messages =
            links.map(|link| message(batch, message_trace::linked_message_id(link), traces));
        lines.extend(list(messages, width));
    }
    lines.push(StyledLine::default());
    lines
}

/// Lists the names of the metrics that arrived, grouped by service; empty if there were none.
fn metrics(metrics: &[StoredMetric], width: Width) -> Vec<StyledLine> {
    if metrics.is_empty() {
        return Vec::new();
    }
    let mut lines = heading("Metrics received", width);
    for service_metrics in metrics.chunk_by(|one, next| one.service == next.service) {
        lines.push(StyledLine::new(
            NAME,
            format!("  {}", service_metrics[0].service),
        ));
        let names = service_metrics.iter();
        let names = names.map(|metric| StyledLine::new(PLAIN, metric.name.as_str()));
        lines.extend(list(names, width));
    }
    lines.push(StyledLine::default());
    lines
}

/// Returns the customer of a linked message, marked if that delivery failed.
fn message(
    batch: &StoredSpan,
    message_id: Option<&str>,
    traces: &[(MessageTrace, OnboardingKind)],
) -> StyledLine {
    let Some((trace, _)) = traces
        .iter()
        .find(|(trace, _)| Some(trace.message.message_id.as_str()) == message_id)
    else {
        return StyledLine::new(FAILURE, message_id.unwrap_or("(no message id)"));
    };
    let failed = trace.deliveries.iter().any(|delivery| {
        message_trace::has_link_to(delivery, batch) && tree::error_type(delivery).is_some()
    });
    let name = StyledLine::new(PLAIN, trace.message.customer_id.as_str());
    if failed {
        name.with_text(FAILURE, " ✗")
    } else {
        name
    }
}

/// Joins items into lines of the given width.
fn list(items: impl Iterator<Item = StyledLine>, width: Width) -> Vec<StyledLine> {
    let arrow = || StyledLine::new(DIMMED, format!("{INDENT}→ "));
    let mut lines = Vec::new();
    let mut current = arrow();
    let mut is_first = true;
    for item in items {
        if !is_first && current.width() + item.width() + 2 > width.columns() {
            lines.push(std::mem::replace(
                &mut current,
                StyledLine::new(PLAIN, format!("{INDENT}  ")),
            ));
            is_first = true;
        }
        current = if is_first {
            current.append(item)
        } else {
            current.with_text(DIMMED, ", ").append(item)
        };
        is_first = false;
    }
    lines.push(current);
    lines
}

/// Returns the table of counts, the problems, and a final line.
fn summary(result: &CheckResult, width: Width) -> Vec<StyledLine> {
    let mut lines = heading("Counts", width);
    lines.push(StyledLine::new(
        DIMMED,
        format!(
            "  {:NAME_COLUMNS$}{:>NUMBER_COLUMNS$}{:>NUMBER_COLUMNS$}",
            "", "expected", "actual"
        ),
    ));
    lines.extend(result.rows.iter().map(row));
    lines.push(StyledLine::default());
    let wrong = result.rows.iter().filter(|row| !row.passed());
    let differences = wrong.map(|row| {
        format!(
            "{}: expected {}, got {}",
            row.name, row.expected, row.actual
        )
    });
    lines.extend(
        differences
            .chain(result.problems.iter().cloned())
            .flat_map(|text| text::wrap(StyledLine::new(FAILURE, "✗ "), PLAIN, &text, width)),
    );
    lines.extend(if result.passed() {
        text::wrap(
            StyledLine::new(SUCCESS, "✓ "),
            PLAIN,
            SUCCESS_SUMMARY,
            width,
        )
    } else {
        vec![StyledLine::new(
            FAILURE,
            "Some results are not as expected.",
        )]
    });
    lines
}

fn row(row: &Row) -> StyledLine {
    let line = StyledLine::new(
        PLAIN,
        format!(
            "  {:NAME_COLUMNS$}{:>NUMBER_COLUMNS$}{:>NUMBER_COLUMNS$}",
            row.name, row.expected, row.actual
        ),
    );
    if row.passed() {
        line.with_text(SUCCESS, "  ✓")
    } else {
        line.with_text(FAILURE, "  ✗")
    }
}

fn heading(title: &str, width: Width) -> Vec<StyledLine> {
    let mut lines = text::wrap(StyledLine::default(), NAME, title, width);
    lines.push(StyledLine::new(DIMMED, "─".repeat(width.columns())));
    lines.push(StyledLine::default());
    lines
}

#[cfg(test)]
mod tests {
    use super::super::message_trace::{AcceptedMessage, collect};
    use super::super::samples::{batch_span, delivery_spans, producer_spans};
    use super::*;

    fn plain(lines: &[StyledLine]) -> String {
        lines.iter().map(|line| format!("{line:#}\n")).collect()
    }

    fn sample_traces() -> Vec<(MessageTrace, OnboardingKind)> {
        let accepted = AcceptedMessage {
            customer_id: "demo-03".to_owned(),
            message_id: "m".to_owned(),
            trace_id: "a".repeat(32),
        };
        let mut spans = producer_spans(&accepted.trace_id, "m");
        spans.extend(delivery_spans(
            &accepted.trace_id,
            "m",
            "b",
            1,
            Some("simulated_failure"),
        ));
        spans.extend(delivery_spans(&accepted.trace_id, "m", "c", 2, None));
        let spans = spans.into_iter().map(Arc::new).collect::<Vec<_>>();
        let traces = collect(&[accepted], &spans, &["m".to_owned()]);
        let kind = OnboardingKind::Faulty(crate::stack::FaultKind::Panic);
        traces.into_iter().map(|trace| (trace, kind)).collect()
    }

    fn widths() -> [Width; 3] {
        [44, 60, 78].map(Width::from_columns)
    }

    fn assert_fits(lines: &[StyledLine], width: Width) {
        let wide = lines.iter().filter(|line| line.width() > width.columns());
        assert_eq!(wide.count(), 0, "{width:?}\n{}", plain(lines));
    }

    #[test]
    fn a_batch_lists_its_messages_and_marks_the_ones_that_failed_in_it() {
        let trace = "a".repeat(32);
        let spans = [
            batch_span("b", &[(&trace, "m"), ("z", "stranger")]),
            batch_span("c", &[(&trace, "m")]),
        ]
        .map(Arc::new);
        let text = plain(&batches(&spans, &sample_traces(), Width::FULL)[3..]);
        let expected = "  process_batch onboarding  2 messages · cold start                    2.00 ms\n     → demo-03 ✗, stranger\n  \
                        process_batch onboarding  1 message · cold start                     2.00 ms\n     → demo-03\n\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_long_list_is_wrapped() {
        let counts = widths().map(|width| {
            let items = (0..20).map(|number| StyledLine::new(PLAIN, format!("demo-{number:02}")));
            let lines = list(items, width);
            assert_fits(&lines, width);
            lines.len()
        });
        assert_eq!(counts, [5, 4, 3]);
    }

    #[test]
    fn metrics_are_named_service_by_service() {
        let metric = |service: &str, name: &str| StoredMetric {
            service: service.to_owned(),
            name: name.to_owned(),
            unit: String::new(),
            kind: crate::otlp::MetricKind::Sum,
            points: 1,
        };
        let received = [
            metric("api", "a"),
            metric("api", "b"),
            metric("lambda", "c"),
        ];
        let text = plain(&metrics(&received, Width::FULL)[3..]);
        assert_eq!(text, "  api\n     → a, b\n  lambda\n     → c\n\n");
        assert!(metrics(&[], Width::FULL).is_empty());
    }

    #[test]
    fn the_table_shows_what_differs() {
        let rows = vec![
            Row {
                name: "accepted",
                expected: 12,
                actual: 12,
            },
            Row {
                name: "spans lost",
                expected: 0,
                actual: 3,
            },
        ];
        let text = plain(
            &summary(
                &CheckResult {
                    rows,
                    problems: vec!["demo-01: odd".to_owned()],
                },
                Width::LEAST,
            )[3..],
        );
        let expected = "                      expected    actual\n  accepted                  12        12  ✓\n  spans lost                 0         3  ✗\n\n\
                        ✗ spans lost: expected 0, got 3\n✗ demo-01: odd\nSome results are not as expected.\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_trace_id_is_on_the_line_of_its_title_or_below_it() {
        let mut samples = sample_traces();
        let id = "a".repeat(32);
        for width in widths() {
            let lines = traces(&samples, width);
            assert_fits(&lines, width);
            let text = plain(&lines);
            assert_eq!(
                text.contains(&format!("\n  trace {id}\n")),
                width != Width::FULL,
                "{text}"
            );
        }
        // This title has room for its id in 60 columns, but the other one has not.
        let mut short = samples[0].clone();
        (short.0.dead_lettered, short.1) =
            (false, OnboardingKind::Faulty(crate::stack::FaultKind::Slow));
        samples.push(short);
        let text = plain(&traces(&samples, Width::from_columns(60)));
        assert!(text.contains("● demo-03 is slow\n  trace a"), "{text}");
    }

    #[test]
    fn everything_fits_into_every_width() {
        let trace = "a".repeat(32);
        let spans = [batch_span("b", &[(trace.as_str(), "m"); 10])].map(Arc::new);
        for width in widths() {
            assert_fits(&batches(&spans, &sample_traces(), width), width);
            let good = summary(
                &CheckResult {
                    rows: Vec::new(),
                    problems: Vec::new(),
                },
                width,
            );
            assert_fits(&good, width);
            let words = good[3..].iter().map(|line| format!("{line:#}"));
            let words = words.collect::<Vec<_>>().join(" ");
            let words = words.split_whitespace().skip_while(|word| *word != "✓");
            assert_eq!(words.skip(1).collect::<Vec<_>>().join(" "), SUCCESS_SUMMARY);
        }
    }
}
