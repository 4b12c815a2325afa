//! Turns spill lines into spans and passes them on to be sent, each once.

use std::collections::HashSet;

use super::error::ReplayError;
use super::fragments::FragmentBuffer;
use super::report::{DamagedLine, ReplayReport};
use super::scan::ScannedLine;
use super::send::{BatchSender, SpilledSpans};
use super::spill_line::{SpillContent, SpillLine, SpillLineError, decode_request};
use super::unpack::UnreadablePart;

/// Turns scanned lines into spans to send.
pub(super) struct LineProcessor<'a> {
    sender: BatchSender<'a>,
    fragments: FragmentBuffer,
    /// Ids of the spans that have been processed.
    seen: HashSet<String>,
    is_forced: bool,
    report: &'a mut ReplayReport,
}

impl<'a> LineProcessor<'a> {
    pub(super) fn new(
        sender: BatchSender<'a>,
        is_forced: bool,
        report: &'a mut ReplayReport,
    ) -> Self {
        Self {
            sender,
            fragments: FragmentBuffer::new(),
            seen: HashSet::new(),
            is_forced,
            report,
        }
    }

    /// Processes a line, and sends spans if a request is full.
    pub(super) async fn process(
        &mut self,
        file: String,
        found: ScannedLine,
    ) -> Result<(), ReplayError> {
        let ScannedLine { line_number, line } = found;
        let damaged = |error: SpillLineError| DamagedLine {
            file,
            line: line_number,
            text: error.to_string(),
        };
        let spans = match line.and_then(|line| self.complete_spans(line)) {
            Ok(Some(spans)) => spans,
            Ok(None) => return Ok(()),
            Err(error @ SpillLineError::MessageOmitted) => {
                let DamagedLine { file, line, text } = damaged(error);
                let position = format!("line {line}");
                let unreadable = UnreadablePart { position, text };
                self.add_unreadable(file, unreadable);
                return Ok(());
            }
            Err(error) => {
                self.report.damaged.push(damaged(error));
                return Ok(());
            }
        };
        self.seen.insert(spans.id.clone());
        self.report.spans += spans.count;
        if !self.is_forced && self.sender.is_in_ledger(&spans.id) {
            self.report.sent_before += spans.count;
            return Ok(());
        }
        self.sender.add(spans, self.report).await
    }

    /// Returns the spans that this line completes, unless the same line was processed before.
    fn complete_spans(&mut self, line: SpillLine) -> Result<Option<SpilledSpans>, SpillLineError> {
        let SpillLine {
            id,
            span_count,
            content,
        } = line;
        self.report.lines += 1;
        if self.seen.contains(&id) {
            return Ok(None);
        }
        let request = match content {
            SpillContent::Request(request) => request,
            SpillContent::Fragment(fragment) => match self.fragments.add(&id, fragment) {
                Some(text) => decode_request(&text, span_count)?,
                None => {
                    self.report
                        .incomplete
                        .extend(self.fragments.remove_excess());
                    return Ok(None);
                }
            },
        };
        Ok(Some(SpilledSpans {
            id,
            count: span_count,
            request,
        }))
    }

    /// Adds a part of a file that cannot be read to the report.
    pub(super) fn add_unreadable(&mut self, file: String, part: UnreadablePart) {
        self.report.unreadable.push((file, part));
    }

    /// Sends the spans found so far, if there are any.
    pub(super) async fn send_pending(&mut self) -> Result<(), ReplayError> {
        if self.sender.is_empty() {
            return Ok(());
        }
        self.sender.send(self.report).await
    }

    /// Sends the remaining spans and reports the spans with missing fragments.
    pub(super) async fn finish(mut self) -> Result<&'a mut ReplayReport, ReplayError> {
        let missing = std::iter::from_fn(|| self.fragments.remove_oldest());
        self.report.incomplete.extend(missing);
        self.sender.send(self.report).await?;
        Ok(self.report)
    }
}
