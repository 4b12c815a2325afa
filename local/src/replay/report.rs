//! What a replay found, and what became of it.

use std::fmt;

use serde_json::{Value, json};

use super::fragments::IncompleteSpan;
use super::unpack::UnreadablePart;

/// As many single problems are told; there may be one for each line of a log.
const MAX_LISTED: usize = 20;

/// The account of one replay. Spans found are sent, sent before, left, rejected or refused; those
/// of incomplete or damaged lines are not known.
#[derive(Debug, Default)]
pub(crate) struct ReplayReport {
    pub(crate) endpoint: String,
    /// Spill lines, fragments among them.
    pub(crate) lines: u64,
    /// Spans in them, each once.
    pub(crate) spans: u64,
    pub(crate) requests: u64,
    /// Spans that the collector accepted.
    pub(crate) sent: u64,
    /// Spans that an earlier replay has sent, by the ledger, or that the log has more than once.
    pub(crate) already: u64,
    /// Spans that were only counted, or for which the collector had no answer.
    pub(crate) left: u64,
    /// Spans that the collector rejected although it accepted the request with them.
    pub(crate) rejected: u64,
    pub(crate) collector_message: String,
    pub(crate) refused: Vec<RefusedSpans>,
    pub(crate) incomplete: Vec<IncompleteSpan>,
    pub(crate) damaged: Vec<DamagedLine>,
    /// Parts of files that could not be searched for spans.
    pub(crate) unreadable: Vec<(String, UnreadablePart)>,
    pub(crate) is_dry_run: bool,
    /// Whether all logs were read to their ends, and what was in them sent or counted.
    pub(crate) is_finished: bool,
}

/// Spans that the collector will never take.
#[derive(Debug)]
pub(crate) struct RefusedSpans {
    pub(crate) id: String,
    pub(crate) count: u64,
    pub(crate) text: String,
}

/// A line that looks like one of ours.
#[derive(Debug)]
pub(crate) struct DamagedLine {
    pub(crate) file: String,
    pub(crate) line: u64,
    pub(crate) text: String,
}

impl ReplayReport {
    /// Whether every span that was found is at the collector, or would be.
    pub(crate) fn is_complete(&self) -> bool {
        let problems = self.refused.len() + self.incomplete.len() + self.damaged.len();
        self.is_finished && problems == 0 && self.rejected == 0
    }

    /// Returns `true` if every part of the logs was searched for spans.
    pub(crate) fn is_understood(&self) -> bool {
        self.unreadable.is_empty()
    }

    pub(super) fn add_refused(&mut self, refused: RefusedSpans) {
        self.left -= refused.count;
        self.refused.push(refused);
    }

    pub(super) fn add_rejected(&mut self, spans: u64, message: String) {
        self.rejected += spans;
        if spans > 0 {
            self.collector_message = message;
        }
    }

    fn refused_spans(&self) -> u64 {
        self.refused.iter().map(|refused| refused.count).sum()
    }

    /// For programs: one object.
    pub(crate) fn to_json(&self) -> Value {
        let refused = self.refused.iter().map(
            |refused| json!({ "id": refused.id, "spans": refused.count, "error": refused.text }),
        );
        let incomplete = self.incomplete.iter().map(|incomplete| {
            json!({ "id": incomplete.id, "missing": incomplete.missing, "parts": incomplete.parts })
        });
        let damaged = self.damaged.iter().map(
            |damaged| json!({ "file": damaged.file, "line": damaged.line, "error": damaged.text }),
        );
        let unreadable = self.unreadable.iter().map(
            |(file, part)| json!({ "file": file, "place": part.position, "error": part.text }),
        );
        let mut report = json!({
            "endpoint": self.endpoint,
            "dry_run": self.is_dry_run,
            "complete": self.is_complete() && self.is_understood(),
            "lines": self.lines,
            "requests": self.requests,
            "spans": {
                "found": self.spans,
                "sent": self.sent,
                "sent_before": self.already,
                "rejected": self.rejected,
                "refused": self.refused_spans(),
            },
            "collector_message": self.collector_message,
            "refused": refused.collect::<Vec<_>>(),
            "incomplete": incomplete.collect::<Vec<_>>(),
            "damaged": damaged.collect::<Vec<_>>(),
            "not_understood": unreadable.collect::<Vec<_>>(),
        });
        // What is only counted is not missing anywhere.
        let left = if self.is_dry_run {
            "would_send"
        } else {
            "not_sent"
        };
        report["spans"][left] = self.left.into();
        report
    }

    fn fmt_problems(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rejected > 0 {
            writeln!(formatter, "the collector says: {}", self.collector_message)?;
        }
        let refused = self.refused.iter().map(|refused| {
            let RefusedSpans { id, count, text } = refused;
            format!("spill {id}: {} refused: {text}", Quantity(*count, "span"))
        });
        let incomplete = self.incomplete.iter().map(ToString::to_string);
        let damaged = self.damaged.iter().map(|damaged| {
            let DamagedLine { file, line, text } = damaged;
            format!("{file}, line {line}: a spill line is damaged: {text}")
        });
        let unreadable = self.unreadable.iter().map(|(file, part)| {
            let UnreadablePart { position, text } = part;
            format!("{file}, {position}: not understood: {text}")
        });
        let all = refused.chain(incomplete).chain(damaged).chain(unreadable);
        let all: Vec<String> = all.collect();
        for problem in all.iter().take(MAX_LISTED) {
            writeln!(formatter, "{problem}")?;
        }
        match all.len().saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => writeln!(formatter, "and {more} more of these: --json tells all"),
        }
    }
}

/// For people.
impl fmt::Display for ReplayReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines == 0 && self.damaged.is_empty() {
            if self.is_understood() {
                return writeln!(formatter, "no spilled spans found");
            }
            writeln!(
                formatter,
                "no spilled spans found in the parts of the input that were understood"
            )?;
            return self.fmt_problems(formatter);
        }
        let found = Quantity(self.spans, "span");
        writeln!(
            formatter,
            "found         {found} in {}",
            Quantity(self.lines, "line")
        )?;
        if self.is_dry_run {
            writeln!(formatter, "would send    {}", Quantity(self.left, "span"))?;
        } else {
            let requests = Quantity(self.requests, "request");
            let sent = Quantity(self.sent, "span");
            writeln!(
                formatter,
                "sent          {sent} in {requests} to {}",
                self.endpoint
            )?;
        }
        for (what, spans) in [
            ("sent before  ", self.already),
            ("not sent     ", if self.is_dry_run { 0 } else { self.left }),
            ("rejected     ", self.rejected),
            ("refused      ", self.refused_spans()),
        ] {
            if spans > 0 {
                writeln!(formatter, "{what} {}", Quantity(spans, "span"))?;
            }
        }
        self.fmt_problems(formatter)
    }
}

/// A number of things, in words.
struct Quantity(u64, &'static str);

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, noun) = self;
        let plural = if *number == 1 { "" } else { "s" };
        write!(formatter, "{number} {noun}{plural}")
    }
}
