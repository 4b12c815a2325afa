//! What the demo prints in the end: a tree for each message, the batches, the metrics' names, the
//! closing table, and what is wrong if something is.

use std::sync::Arc;

use super::journey::{self, Journey};
use super::scenario::Part;
use super::text::{self, BAD, FAINT, GOOD, Line, NAME, PLAIN, Width};
use super::tree::{self, Node};
use super::verdict::{Row, Verdict};
use crate::otlp::{Metric, Span};

/// How far a batch's list of messages is indented.
const INDENT: &str = "     ";
/// Columns of the numbers in the closing table.
const NUMBER_COLUMNS: usize = 10;
/// Columns of the names in the closing table.
const NAME_COLUMNS: usize = 18;

/// The last sentence when nothing is wrong.
const ALL_IS_WELL: &str = "Every message is accounted for, every trace is whole, no span is lost.";

/// The traces, one tree a message.
pub(super) fn traces(journeys: &[(Journey, Part)], width: Width) -> Vec<Line> {
    let mut lines = heading("Traces, one for each message", width);
    let titles = journeys.iter().map(|(journey, part)| title(journey, *part));
    let titles = titles.collect::<Vec<_>>();
    let ids = journeys
        .iter()
        .map(|(journey, _)| format!("trace {}", journey.message.trace_id));
    let ids = ids.collect::<Vec<_>>();
    // All of them beside the titles or all below: the eye goes down a column.
    let beside = titles
        .iter()
        .zip(&ids)
        .all(|(title, id)| title.width() + 1 + id.len() <= width.columns());
    for ((title, id), (journey, _)) in titles.into_iter().zip(ids).zip(journeys) {
        if beside {
            lines.push(title.flush_right(FAINT, id, width));
        } else {
            lines.extend([title, Line::new(FAINT, format!("  {id}"))]);
        }
        lines.extend(tree::draw(&journey.trees, width));
        lines.push(Line::default());
    }
    lines
}

fn title(journey: &Journey, part: Part) -> Line {
    let outcome = if journey.is_processed() { GOOD } else { BAD };
    Line::new(outcome, "● ")
        .and(NAME, journey.message.customer_id.as_str())
        .and(PLAIN, format!(" {}", part.explained()))
        .and(
            BAD,
            if journey.dead_lettered {
                ", dead-lettered"
            } else {
                ""
            },
        )
}

/// The batch spans, each with the messages that it is linked with.
pub(super) fn batches(
    batches: &[Arc<Span>],
    journeys: &[(Journey, Part)],
    width: Width,
) -> Vec<Line> {
    let title = "Batches, each a trace of its own with a link to every message in it";
    let mut lines = heading(title, width);
    for batch in batches {
        let node = Node {
            span: Arc::clone(batch),
            children: Vec::new(),
        };
        lines.extend(tree::draw(&[node], width));
        let links = batch.links.iter();
        let messages = links.map(|link| message(batch, journey::message_of(link), journeys));
        lines.extend(list(messages, width));
    }
    lines.push(Line::default());
    lines
}

/// The names of the metrics that arrived beside the spans, service by service; nothing if there
/// were none.
pub(super) fn metrics(metrics: &[Metric], width: Width) -> Vec<Line> {
    if metrics.is_empty() {
        return Vec::new();
    }
    let mut lines = heading("Metrics received", width);
    for of_service in metrics.chunk_by(|one, next| one.service == next.service) {
        lines.push(Line::new(NAME, format!("  {}", of_service[0].service)));
        let names = of_service.iter();
        let names = names.map(|metric| Line::new(PLAIN, metric.name.as_str()));
        lines.extend(list(names, width));
    }
    lines.push(Line::default());
    lines
}

/// The customer that a link leads to, and whether that delivery failed.
fn message(batch: &Span, message_id: Option<&str>, journeys: &[(Journey, Part)]) -> Line {
    let Some((journey, _)) = journeys
        .iter()
        .find(|(journey, _)| Some(journey.message.message_id.as_str()) == message_id)
    else {
        return Line::new(BAD, message_id.unwrap_or("nobody"));
    };
    let failed = journey
        .deliveries
        .iter()
        .any(|delivery| journey::links_to(delivery, batch) && tree::failure(delivery).is_some());
    let name = Line::new(PLAIN, journey.message.customer_id.as_str());
    if failed { name.and(BAD, " ✗") } else { name }
}

/// Puts items side by side, as many as the width allows.
fn list(items: impl Iterator<Item = Line>, width: Width) -> Vec<Line> {
    let arrow = || Line::new(FAINT, format!("{INDENT}→ "));
    let mut lines = Vec::new();
    let mut current = arrow();
    let mut is_first = true;
    for item in items {
        if !is_first && current.width() + item.width() + 2 > width.columns() {
            lines.push(std::mem::replace(
                &mut current,
                Line::new(PLAIN, format!("{INDENT}  ")),
            ));
            is_first = true;
        }
        current = if is_first {
            current.join(item)
        } else {
            current.and(FAINT, ", ").join(item)
        };
        is_first = false;
    }
    lines.push(current);
    lines
}

/// The closing table, then what is wrong, then one sentence.
pub(super) fn verdict(verdict: &Verdict, width: Width) -> Vec<Line> {
    let mut lines = heading("In numbers", width);
    lines.push(Line::new(
        FAINT,
        format!(
            "  {:NAME_COLUMNS$}{:>NUMBER_COLUMNS$}{:>NUMBER_COLUMNS$}",
            "", "must be", "is"
        ),
    ));
    lines.extend(verdict.rows.iter().map(row));
    lines.push(Line::default());
    let wrong = verdict.rows.iter().filter(|row| !row.holds());
    let differences =
        wrong.map(|row| format!("{}: {} instead of {}", row.name, row.seen, row.expected));
    lines.extend(
        differences
            .chain(verdict.problems.iter().cloned())
            .flat_map(|text| text::wrap(Line::new(BAD, "✗ "), PLAIN, &text, width)),
    );
    lines.extend(if verdict.holds() {
        text::wrap(Line::new(GOOD, "✓ "), PLAIN, ALL_IS_WELL, width)
    } else {
        vec![Line::new(BAD, "Something is not as it must be.")]
    });
    lines
}

fn row(row: &Row) -> Line {
    let line = Line::new(
        PLAIN,
        format!(
            "  {:NAME_COLUMNS$}{:>NUMBER_COLUMNS$}{:>NUMBER_COLUMNS$}",
            row.name, row.expected, row.seen
        ),
    );
    if row.holds() {
        line.and(GOOD, "  ✓")
    } else {
        line.and(BAD, "  ✗")
    }
}

fn heading(title: &str, width: Width) -> Vec<Line> {
    let mut lines = text::wrap(Line::default(), NAME, title, width);
    lines.push(Line::new(FAINT, "─".repeat(width.columns())));
    lines.push(Line::default());
    lines
}

#[cfg(test)]
mod tests {
    use super::super::journey::{Accepted, follow};
    use super::super::samples::{batch, delivered, produced};
    use super::*;

    fn plain(lines: &[Line]) -> String {
        lines.iter().map(|line| format!("{line:#}\n")).collect()
    }

    fn journeys() -> Vec<(Journey, Part)> {
        let accepted = Accepted {
            customer_id: "demo-03".to_owned(),
            message_id: "m".to_owned(),
            trace_id: "a".repeat(32),
        };
        let mut spans = produced(&accepted.trace_id, "m");
        spans.extend(delivered(
            &accepted.trace_id,
            "m",
            "b",
            1,
            Some("simulated_failure"),
        ));
        spans.extend(delivered(&accepted.trace_id, "m", "c", 2, None));
        let spans = spans.into_iter().map(Arc::new).collect::<Vec<_>>();
        let journeys = follow(&[accepted], &spans, &["m".to_owned()]);
        let part = Part::Faulty(crate::stack::FaultKind::Panic);
        journeys
            .into_iter()
            .map(|journey| (journey, part))
            .collect()
    }

    fn widths() -> [Width; 3] {
        [44, 60, 78].map(Width::from_columns)
    }

    fn assert_fits(lines: &[Line], width: Width) {
        let wide = lines.iter().filter(|line| line.width() > width.columns());
        assert_eq!(wide.count(), 0, "{width:?}\n{}", plain(lines));
    }

    #[test]
    fn a_batch_lists_its_messages_and_marks_the_ones_that_failed_in_it() {
        let trace = "a".repeat(32);
        let spans = [
            batch("b", &[(&trace, "m"), ("z", "stranger")]),
            batch("c", &[(&trace, "m")]),
        ]
        .map(Arc::new);
        let text = plain(&batches(&spans, &journeys(), Width::FULL)[3..]);
        let expected = "  process_batch onboarding  2 messages · cold start                    2.00 ms\n     → demo-03 ✗, stranger\n  \
                        process_batch onboarding  1 message · cold start                     2.00 ms\n     → demo-03\n\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_long_list_is_wrapped() {
        let counts = widths().map(|width| {
            let items = (0..20).map(|number| Line::new(PLAIN, format!("demo-{number:02}")));
            let lines = list(items, width);
            assert_fits(&lines, width);
            lines.len()
        });
        assert_eq!(counts, [5, 4, 3]);
    }

    #[test]
    fn metrics_are_named_service_by_service() {
        let metric = |service: &str, name: &str| Metric {
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
                seen: 12,
            },
            Row {
                name: "spans lost",
                expected: 0,
                seen: 3,
            },
        ];
        let text = plain(
            &verdict(
                &Verdict {
                    rows,
                    problems: vec!["demo-01: odd".to_owned()],
                },
                Width::LEAST,
            )[3..],
        );
        let expected = "                       must be        is\n  accepted                  12        12  ✓\n  spans lost                 0         3  ✗\n\n\
                        ✗ spans lost: 3 instead of 0\n✗ demo-01: odd\nSomething is not as it must be.\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_trace_id_stands_beside_its_title_or_below_it() {
        let mut journeys = journeys();
        let id = "a".repeat(32);
        for width in widths() {
            let lines = traces(&journeys, width);
            assert_fits(&lines, width);
            let text = plain(&lines);
            assert_eq!(
                text.contains(&format!("\n  trace {id}\n")),
                width != Width::FULL,
                "{text}"
            );
        }
        // This title would have room for the id in 60 columns, its neighbour's would not.
        let mut short = journeys[0].clone();
        (short.0.dead_lettered, short.1) = (false, Part::Faulty(crate::stack::FaultKind::Slow));
        journeys.push(short);
        let text = plain(&traces(&journeys, Width::from_columns(60)));
        assert!(text.contains("● demo-03 is slow\n  trace a"), "{text}");
    }

    #[test]
    fn everything_fits_into_every_width() {
        let trace = "a".repeat(32);
        let spans = [batch("b", &[(trace.as_str(), "m"); 10])].map(Arc::new);
        for width in widths() {
            assert_fits(&batches(&spans, &journeys(), width), width);
            let good = verdict(
                &Verdict {
                    rows: Vec::new(),
                    problems: Vec::new(),
                },
                width,
            );
            assert_fits(&good, width);
            let words = good[3..].iter().map(|line| format!("{line:#}"));
            let words = words.collect::<Vec<_>>().join(" ");
            let words = words.split_whitespace().skip_while(|word| *word != "✓");
            assert_eq!(words.skip(1).collect::<Vec<_>>().join(" "), ALL_IS_WELL);
        }
    }
}
