//! Result of a replay.

use std::fmt;

use serde_json::{Value, json};

use super::fragments::IncompleteSpan;
use super::unpack::UnreadablePart;

/// Limit on the problems that the text lists. There may be one for each line of a log.
const MAX_LISTED: usize = 20;

/// Result of a replay. Each span found was sent, sent before, not sent, rejected or failed. The
/// number of spans in incomplete or damaged lines is unknown.
#[derive(Debug, Default)]
pub(crate) struct ReplayReport {
    pub(crate) endpoint: String,
    /// Number of spill lines, including fragments.
    pub(crate) lines: u64,
    /// Number of spans in these lines, without duplicates.
    pub(crate) spans: u64,
    pub(crate) requests: u64,
    /// Number of spans that the collector accepted.
    pub(crate) sent: u64,
    /// Number of spans that are in the ledger.
    pub(crate) sent_before: u64,
    /// Number of spans that were only counted, or whose request did not succeed.
    pub(crate) not_sent: u64,
    /// Number of spans that the collector rejected in requests that it accepted.
    pub(crate) rejected: u64,
    pub(crate) collector_message: String,
    pub(crate) failed: Vec<FailedSpans>,
    pub(crate) incomplete: Vec<IncompleteSpan>,
    pub(crate) damaged: Vec<DamagedLine>,
    /// Parts of files that could not be searched.
    pub(crate) unreadable: Vec<(String, UnreadablePart)>,
    pub(crate) is_dry_run: bool,
    /// True if all logs were read completely, and their spans were sent or counted.
    pub(crate) is_finished: bool,
}

/// Spans whose request the collector rejected with a non-retryable status. The ledger does not list
/// them, so the next replay sends them again.
#[derive(Debug)]
pub(crate) struct FailedSpans {
    pub(crate) id: String,
    pub(crate) count: u64,
    pub(crate) text: String,
}

/// A damaged spill line.
#[derive(Debug)]
pub(crate) struct DamagedLine {
    pub(crate) file: String,
    pub(crate) line: u64,
    pub(crate) text: String,
}

impl ReplayReport {
    /// Returns true if every span found was accepted, now or earlier, or, in a dry run,
    /// would be sent.
    pub(crate) fn is_complete(&self) -> bool {
        let problems = self.failed.len() + self.incomplete.len() + self.damaged.len();
        self.is_finished && problems == 0 && self.rejected == 0
    }

    /// Returns true if every part of the logs could be read.
    pub(crate) fn is_readable(&self) -> bool {
        self.unreadable.is_empty()
    }

    pub(super) fn add_failed(&mut self, failed: FailedSpans) {
        self.not_sent -= failed.count;
        self.failed.push(failed);
    }

    pub(super) fn add_rejected(&mut self, spans: u64, message: String) {
        self.rejected += spans;
        if spans > 0 {
            self.collector_message = message;
        }
    }

    fn failed_spans(&self) -> u64 {
        self.failed.iter().map(|failed| failed.count).sum()
    }

    /// Returns the report as a JSON object.
    pub(crate) fn to_json(&self) -> Value {
        let failed = self
            .failed
            .iter()
            .map(|failed| json!({ "id": failed.id, "spans": failed.count, "error": failed.text }));
        let incomplete = self.incomplete.iter().map(|incomplete| {
            json!({ "id": incomplete.id, "missing": incomplete.missing, "parts": incomplete.parts })
        });
        let damaged = self.damaged.iter().map(
            |damaged| json!({ "file": damaged.file, "line": damaged.line, "error": damaged.text }),
        );
        let unreadable = self.unreadable.iter().map(
            |(file, part)| json!({ "file": file, "position": part.position, "error": part.text }),
        );
        let mut report = json!({
            "endpoint": self.endpoint,
            "dry_run": self.is_dry_run,
            "complete": self.is_complete() && self.is_readable(),
            "lines": self.lines,
            "requests": self.requests,
            "spans": {
                "found": self.spans,
                "sent": self.sent,
                "sent_before": self.sent_before,
                "rejected": self.rejected,
                "failed": self.failed_spans(),
            },
            "collector_message": self.collector_message,
            "failed": failed.collect::<Vec<_>>(),
            "incomplete": incomplete.collect::<Vec<_>>(),
            "damaged": damaged.collect::<Vec<_>>(),
            "unreadable": unreadable.collect::<Vec<_>>(),
        });
        // In a dry run, spans that were not sent are not a problem.
        let not_sent = if self.is_dry_run {
            "would_send"
        } else {
            "not_sent"
        };
        report["spans"][not_sent] = self.not_sent.into();
        report
    }

    fn fmt_problems(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rejected > 0 {
            writeln!(formatter, "collector message: {}", self.collector_message)?;
        }
        let failed = self.failed.iter().map(|failed| {
            let FailedSpans { id, count, text } = failed;
            format!("spill {id}: {} failed: {text}", Quantity(*count, "span"))
        });
        let incomplete = self.incomplete.iter().map(ToString::to_string);
        let damaged = self.damaged.iter().map(|damaged| {
            let DamagedLine { file, line, text } = damaged;
            format!("{file}, line {line}: damaged spill line: {text}")
        });
        let unreadable = self.unreadable.iter().map(|(file, part)| {
            let UnreadablePart { position, text } = part;
            format!("{file}, {position}: unreadable: {text}")
        });
        let all = failed.chain(incomplete).chain(damaged).chain(unreadable);
        let all: Vec<String> = all.collect();
        for problem in all.iter().take(MAX_LISTED) {
            writeln!(formatter, "{problem}")?;
        }
        match all.len().saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => writeln!(formatter, "and {more} more problems: list all with --json"),
        }
    }
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines == 0 && self.damaged.is_empty() {
            if self.is_readable() {
                return writeln!(formatter, "no spilled spans found");
            }
            writeln!(
                formatter,
                "no spilled spans found in the readable parts of the input"
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
            writeln!(
                formatter,
                "would send    {}",
                Quantity(self.not_sent, "span")
            )?;
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
            ("sent before  ", self.sent_before),
            (
                "not sent     ",
                if self.is_dry_run { 0 } else { self.not_sent },
            ),
            ("rejected     ", self.rejected),
            ("failed       ", self.failed_spans()),
        ] {
            if spans > 0 {
                writeln!(formatter, "{what} {}", Quantity(spans, "span"))?;
            }
        }
        self.fmt_problems(formatter)
    }
}

/// A number with a noun in the singular or plural.
struct Quantity(u64, &'static str);

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, noun) = self;
        let plural = if *number == 1 { "" } else { "s" };
        write!(formatter, "{number} {noun}{plural}")
    }
}
