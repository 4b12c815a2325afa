//! What the demo prints in the end: a tree for each message, the batches, the closing table, and what is wrong if something is.

use std::sync::Arc;

use super::journey::{self, Journey};
use super::scenario::Part;
use super::text::{BAD, FAINT, GOOD, Line, NAME, PLAIN, WIDTH};
use super::tree::{self, Node};
use super::verdict::{Row, Verdict};
use crate::otlp::Span;

/// How far a batch's list of messages is indented.
const INDENT: &str = "     ";
/// Columns of the numbers in the closing table.
const NUMBER_COLUMNS: usize = 10;
/// Columns of the names in the closing table.
const NAME_COLUMNS: usize = 18;

/// The traces, one tree a message.
pub(super) fn traces<'a>(journeys: impl IntoIterator<Item = (&'a Journey, Part)>) -> Vec<Line> {
    let mut lines = heading("Traces, one for each message");
    for (journey, part) in journeys {
        lines.push(title(journey, part));
        lines.extend(tree::draw(&journey.trees));
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
        .flush_right(FAINT, format!("trace {}", journey.message.trace_id))
}

/// The batch spans, each with the messages that it is linked with.
pub(super) fn batches(batches: &[Arc<Span>], journeys: &[Journey]) -> Vec<Line> {
    let mut lines = heading("Batches, each a trace of its own with a link to every message in it");
    for batch in batches {
        lines.extend(tree::draw(&[Node {
            span: Arc::clone(batch),
            children: Vec::new(),
        }]));
        lines.extend(wrap(
            batch
                .links
                .iter()
                .map(|link| message(batch, journey::message_of(link), journeys)),
        ));
    }
    lines.push(Line::default());
    lines
}

/// The customer that a link leads to, and whether that delivery failed.
fn message(batch: &Span, message_id: Option<&str>, journeys: &[Journey]) -> Line {
    let Some(journey) = journeys
        .iter()
        .find(|journey| Some(journey.message.message_id.as_str()) == message_id)
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
fn wrap(items: impl Iterator<Item = Line>) -> Vec<Line> {
    let arrow = || Line::new(FAINT, format!("{INDENT}→ "));
    let mut lines = Vec::new();
    let mut current = arrow();
    let mut is_first = true;
    for item in items {
        if !is_first && current.width() + item.width() + 2 > WIDTH {
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
pub(super) fn verdict(verdict: &Verdict) -> Vec<Line> {
    let mut lines = heading("In numbers");
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
            .flat_map(|text| problem(&text)),
    );
    lines.push(if verdict.holds() {
        Line::new(GOOD, "✓ ").and(
            PLAIN,
            "Every message is accounted for, every trace is whole, no span is lost.",
        )
    } else {
        Line::new(BAD, "Something is not as it must be.")
    });
    lines
}

/// One thing that is wrong, over as many lines as it needs.
fn problem(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut current = Line::new(BAD, "✗");
    for word in text.split(' ') {
        if current.width() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut current, Line::new(PLAIN, " ")));
        }
        current = current.and(PLAIN, format!(" {word}"));
    }
    lines.push(current);
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

fn heading(title: &str) -> Vec<Line> {
    vec![
        Line::new(NAME, title),
        Line::new(FAINT, "─".repeat(WIDTH)),
        Line::default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::journey::{Accepted, follow};
    use super::super::samples::{batch, delivered, produced};
    use super::*;

    fn plain(lines: &[Line]) -> String {
        lines.iter().map(|line| format!("{line:#}\n")).collect()
    }

    fn journeys() -> Vec<Journey> {
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
        follow(
            &[accepted],
            &spans.into_iter().map(Arc::new).collect::<Vec<_>>(),
            &["m".to_owned()],
        )
    }

    #[test]
    fn a_batch_lists_its_messages_and_marks_the_ones_that_failed_in_it() {
        let trace = "a".repeat(32);
        let spans = [
            batch("b", &[(&trace, "m"), ("z", "stranger")]),
            batch("c", &[(&trace, "m")]),
        ]
        .map(Arc::new);
        let text = plain(&batches(&spans, &journeys())[3..]);
        let expected = "  process_batch onboarding  2 messages · cold start                    2.00 ms\n     → demo-03 ✗, stranger\n  \
                        process_batch onboarding  1 message · cold start                     2.00 ms\n     → demo-03\n\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_long_list_is_wrapped() {
        let lines = wrap((0..20).map(|number| Line::new(PLAIN, format!("demo-{number:02}"))));
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.width() <= WIDTH));
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
            &verdict(&Verdict {
                rows,
                problems: vec!["demo-01: odd".to_owned()],
            })[3..],
        );
        let expected = "                       must be        is\n  accepted                  12        12  ✓\n  spans lost                 0         3  ✗\n\n\
                        ✗ spans lost: 3 instead of 0\n✗ demo-01: odd\nSomething is not as it must be.\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_title_fits_into_the_width() {
        let journeys = journeys();
        for part in [
            Part::Ordinary,
            Part::Poison,
            Part::Faulty(crate::stack::FaultKind::Panic),
        ] {
            assert_eq!(title(&journeys[0], part).width(), WIDTH);
        }
    }

    #[test]
    fn a_long_problem_is_wrapped_between_words() {
        let lines = problem(&format!("demo-01: {} is wrong", "x".repeat(74)));
        let expected = format!("✗ demo-01:\n  {}\n  is wrong\n", "x".repeat(74));
        assert_eq!(plain(&lines), expected);
    }
}
