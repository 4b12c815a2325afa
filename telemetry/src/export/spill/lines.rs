//! Distribution of spans over lines, with as many in a line as fit.

use std::io::{self, Write};

use super::{Document, MAX_HEADER_BYTES, Spill, fragments, write_header};
use crate::otlp::json::{self, SCOPE_SPANS, SPAN};
use crate::otlp::protobuf::{FieldReader, FieldValue, InvalidProtobuf};

/// Field number of the spans in a `ScopeSpans`.
const SPANS: u32 = 2;
/// End of a scope.
const SCOPE_END: &[u8] = b"]}";

/// Collects spans and writes a line when it is full.
pub(super) struct SpillWriter<'a> {
    spill: &'a Spill,
    out: &'a mut dyn Write,
    /// Scopes of the current line, as OTLP/JSON.
    body: Vec<u8>,
    /// JSON of the current scope, up to its first span.
    scope: Vec<u8>,
    /// True if the body ends within the current scope.
    is_open: bool,
    spans: u64,
    /// Buffer for the complete line.
    line: Vec<u8>,
}

impl<'a> SpillWriter<'a> {
    pub(super) fn new(spill: &'a Spill, out: &'a mut dyn Write) -> Self {
        Self {
            spill,
            out,
            body: Vec::new(),
            scope: Vec::new(),
            is_open: false,
            spans: 0,
            line: Vec::new(),
        }
    }

    /// Writes the spans of one scope.
    pub(super) fn write_scope(&mut self, scope: &[u8], spans: &[u8]) -> io::Result<()> {
        self.close_scope();
        self.scope.clear();
        self.scope.push(b'{');
        if json::members(&mut self.scope, &SCOPE_SPANS, scope).map_err(invalid_data)? {
            self.scope.push(b',');
        }
        self.scope.extend_from_slice(br#""spans":["#);
        for field in FieldReader::new(spans) {
            if let (SPANS, FieldValue::Bytes(span)) = field.map_err(invalid_data)? {
                self.write_span(span)?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.end_line()
    }

    fn write_span(&mut self, span: &[u8]) -> io::Result<()> {
        if self.append(span).map_err(invalid_data)? {
            return Ok(());
        }
        let is_alone = self.spans == 0;
        self.end_line()?;
        // Encoded again, on the next line. This happens once per line, so its cost does not matter.
        if !is_alone && self.append(span).map_err(invalid_data)? {
            return Ok(());
        }
        self.write_fragments(span)
    }

    /// Adds a span to the line. Returns false if the line would be too long.
    fn append(&mut self, span: &[u8]) -> Result<bool, InvalidProtobuf> {
        let (length, was_open) = (self.body.len(), self.is_open);
        if !self.body.is_empty() {
            self.body.push(b',');
        }
        if !self.is_open {
            self.body.extend_from_slice(&self.scope);
            self.is_open = true;
        }
        let outcome = json::object(&mut self.body, &SPAN, span);
        let fits = outcome.is_ok() && self.body.len() <= self.max_body_bytes();
        if fits {
            self.spans += 1;
        } else {
            self.body.truncate(length);
            self.is_open = was_open;
        }
        outcome.map(|()| fits)
    }

    /// Returns the maximum length of the body before its last scope is closed.
    fn max_body_bytes(&self) -> usize {
        let Document { head, tail } = &self.spill.document;
        let fixed = MAX_HEADER_BYTES + head.len() + tail.len() + SCOPE_END.len();
        self.spill.line_bytes.saturating_sub(fixed)
    }

    fn close_scope(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.body.extend_from_slice(SCOPE_END);
        }
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.close_scope();
        if self.spans == 0 {
            return Ok(());
        }
        let Document { head, tail } = &self.spill.document;
        self.line.clear();
        write_header(&mut self.line, &self.spill.next_id(), self.spans);
        self.line.extend_from_slice(br#""otlp":"#);
        self.line.extend_from_slice(head);
        self.line.extend_from_slice(&self.body);
        self.line.extend_from_slice(tail);
        self.line.extend_from_slice(b"}\n");
        self.body.clear();
        self.spans = 0;
        self.out.write_all(&self.line)
    }

    /// Writes a span that is too long for a line.
    fn write_fragments(&mut self, span: &[u8]) -> io::Result<()> {
        let Document { head, tail } = &self.spill.document;
        let mut text = [head.as_slice(), &self.scope].concat();
        json::object(&mut text, &SPAN, span).map_err(invalid_data)?;
        text.extend_from_slice(SCOPE_END);
        text.extend_from_slice(tail);
        let text = String::from_utf8(text).map_err(|_| invalid_data(InvalidProtobuf::NotUtf8))?;
        let (id, line_bytes) = (self.spill.next_id(), self.spill.line_bytes);
        fragments::write(&text, &id, line_bytes, self.out)
    }
}

/// Wraps the error for bytes that the encoder did not write.
fn invalid_data(error: InvalidProtobuf) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
