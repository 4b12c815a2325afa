//! The span counts of the processes, read from their logs.
//!
//! The message "telemetry flushed" and the fields `spans_finished`, `spans_exported`,
//! `spans_spilled`, `spans_dropped` and `spans_pending` are a contract with baton-telemetry, which
//! logs that line after each flush. Renaming one there requires the same change here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Message of the line that a process logs after each flush.
const FLUSHED: &str = "telemetry flushed";

/// Latest counts of each process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SpanCountsByProcess {
    last: BTreeMap<String, SpanCounts>,
}

/// Numbers of spans since the start of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct SpanCounts {
    #[serde(rename = "spans_finished")]
    pub(super) finished: u64,
    #[serde(rename = "spans_exported")]
    pub(super) exported: u64,
    #[serde(rename = "spans_spilled")]
    pub(super) spilled: u64,
    #[serde(rename = "spans_dropped")]
    pub(super) dropped: u64,
    #[serde(rename = "spans_pending")]
    pub(super) pending: u64,
}

impl SpanCounts {
    /// Returns a key that orders the counts of a process by time: two threads may log their lines
    /// in a different order from that of their counts.
    fn sort_key(self) -> (u64, u64) {
        (self.finished, self.finished.saturating_sub(self.pending))
    }
}

impl SpanCountsByProcess {
    /// Reads a log line of `process`. Newer counts replace older ones, because they are totals.
    pub(super) fn read(&mut self, process: &str, line: &str) {
        if let Some(counts) = parse_counts(line) {
            let last = self.last.entry(process.to_owned()).or_default();
            if counts.sort_key() >= last.sort_key() {
                *last = counts;
            }
        }
    }

    /// Returns the number of processes with counts.
    pub(super) fn process_count(&self) -> usize {
        self.last.len()
    }

    /// Returns the sums over all processes.
    pub(super) fn total(&self) -> SpanCounts {
        self.last
            .values()
            .fold(SpanCounts::default(), |total, counts| SpanCounts {
                finished: total.finished + counts.finished,
                exported: total.exported + counts.exported,
                spilled: total.spilled + counts.spilled,
                dropped: total.dropped + counts.dropped,
                pending: total.pending + counts.pending,
            })
    }
}

fn parse_counts(line: &str) -> Option<SpanCounts> {
    // Most lines have other messages, and parsing JSON is expensive.
    if !line.contains(FLUSHED) {
        return None;
    }
    let line = serde_json::from_str::<Value>(line).ok()?;
    let fields = if line.get("message").is_some() {
        &line
    } else {
        line.get("fields")?
    };
    if fields.get("message")?.as_str()? != FLUSHED {
        return None;
    }
    SpanCounts::deserialize(fields).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(finished: u64) -> String {
        format!(
            r#"{{"message":"telemetry flushed","spans_finished":{finished},"spans_exported":{finished},"spans_spilled":1,"spans_dropped":1,"spans_pending":0}}"#
        )
    }

    #[test]
    fn the_last_line_of_each_process_counts() {
        let mut span_counts = SpanCountsByProcess::default();
        for (process, finished) in [("a", 3), ("b", 10), ("a", 5)] {
            span_counts.read(process, &line(finished));
        }
        assert_eq!(span_counts.process_count(), 2);
        assert_eq!(
            span_counts.total(),
            SpanCounts {
                finished: 15,
                exported: 15,
                spilled: 2,
                dropped: 2,
                pending: 0
            }
        );
    }

    #[test]
    fn a_late_line_does_not_replace_newer_counts() {
        let mut span_counts = SpanCountsByProcess::default();
        span_counts.read("a", &line(5));
        let stale = line(5).replace("\"spans_pending\":0", "\"spans_pending\":2");
        span_counts.read("a", &stale);
        assert_eq!(span_counts.total().pending, 0);
    }

    #[test]
    fn other_lines_are_ignored() {
        let mut span_counts = SpanCountsByProcess::default();
        for line in [
            "",
            "telemetry flushed",
            r#"{"message":"started"}"#,
            r#"{"message":"telemetry flushed"}"#,
            r#"{"error":"telemetry flushed","message":"x"}"#,
        ] {
            span_counts.read("a", line);
        }
        assert_eq!(span_counts, SpanCountsByProcess::default());
    }
}
