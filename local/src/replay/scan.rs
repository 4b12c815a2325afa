//! Search for spill lines in a log.

use std::collections::VecDeque;
use std::io::{self, Cursor, Read};

use self::markers::{MAX_NAME, Marker, MarkerKind, MarkerSearch};
use self::partial_records::{IncompleteLine, JsonRecord, LinePiece, PartialLines};
use self::quoting::{ObjectResult, Quoting, trailing_mark};
use self::window::{LOOKBACK, Window};
use super::spill_line::{SpillLine, SpillLineError};

mod markers;
mod partial_records;
mod quoting;
mod unmarked_pieces;
mod window;

/// Number of bytes after a marker that are needed to recognise it: an escaped quotation mark,
/// spaces and a colon.
const LOOKAHEAD: usize = 64;
/// Limit on the braces that are tried as the start of the object around a position. Usually, the
/// nearest one is the start.
const MAX_CANDIDATES: usize = 100_000;
/// Limit on the rejected objects around a position. Braces in text may look like the start of an
/// object.
const MAX_REJECTED: usize = 8;
/// Quotation marks in unsupported encodings: HTML, URLs, Python, and numeric JSON escapes.
const UNSUPPORTED_MARKS: [&[u8]; 10] = [
    b"\"", b"\\", b"'", b"u0022", b"x22", b"%22", b"%5C", b"&quot;", b"&#34;", b"&#x22;",
];

/// A spill line, or an error for text that looks like one.
#[derive(Debug)]
pub(super) struct ScannedLine {
    /// Line number of the marker, from 1.
    pub(super) line_number: u64,
    pub(super) line: Result<SpillLine, SpillLineError>,
}

/// Finds the spill lines of a log, which is read sequentially, with a few megabytes in memory.
pub(super) struct Scanner<R> {
    window: Window<R>,
    markers: MarkerSearch,
    /// Position up to which markers have been processed.
    at: usize,
    partial_lines: PartialLines,
    /// Lines that were found and not returned yet.
    pending: VecDeque<ScannedLine>,
}

impl<R: Read> Scanner<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            window: Window::new(input),
            markers: MarkerSearch::new(),
            at: 0,
            partial_lines: PartialLines::default(),
            pending: VecDeque::new(),
        }
    }

    /// Returns the next spill line.
    pub(super) fn next(&mut self) -> io::Result<Option<ScannedLine>> {
        loop {
            if let Some(found) = self.pending.pop_front() {
                return Ok(Some(found));
            }
            let Window { buffer, .. } = &self.window;
            let Some(marker) = self.markers.next(buffer, self.window.discarded(), self.at) else {
                // A marker may begin at the end of the buffer.
                self.at = self.at.max(buffer.len().saturating_sub(MAX_NAME - 1));
                self.discard();
                if !self.window.read()? {
                    return Ok(self.partial_lines.remove_incomplete().map(to_scanned_line));
                }
                continue;
            };
            self.at = marker.end;
            self.window.read_to(self.at + LOOKAHEAD)?;
            match marker.kind {
                MarkerKind::Spill => {
                    if let Some(found) = self.scan_marker(&marker)? {
                        return Ok(Some(found));
                    }
                }
                MarkerKind::Piece => self.add_piece(&marker, LinePiece::from_record)?,
                // Most messages are strings. The search finds spill lines in them without parsing
                // the record.
                MarkerKind::Message if is_string_member(&self.window.buffer[marker.end..]) => {}
                MarkerKind::Message => self.add_piece(&marker, LinePiece::from_journal_message)?,
            }
        }
    }

    fn scan_marker(&mut self, marker: &Marker) -> io::Result<Option<ScannedLine>> {
        let line = if let Some(levels) = self.detect_quoting(marker) {
            let mark = trailing_mark(&self.window.buffer[..marker.start]).to_vec();
            self.read_line(marker.start, &mark, &levels)?
        } else {
            let is_unsupported = has_unsupported_quoting(&self.window.buffer[marker.end..]);
            is_unsupported.then_some(Err(SpillLineError::Quoting))
        };
        let line_number = self.window.line_number(marker.start);
        Ok(line.map(|line| ScannedLine { line_number, line }))
    }

    /// Returns the levels of quoting at a marker, or `None` if the marker is not the name of a
    /// member.
    fn detect_quoting(&self, marker: &Marker) -> Option<Vec<Quoting>> {
        let levels = quoting::detect(&self.window.buffer[..marker.start])?;
        let after = &self.window.buffer[marker.end..];
        let after = &after[..after.len().min(LOOKAHEAD)];
        let is_mark = |byte: &&u8| matches!(byte, b'"' | b'\\');
        let mark = after.iter().take_while(is_mark).count();
        let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t');
        let spaces = after[mark..].iter().take_while(is_space).count();
        (mark > 0 && after.get(mark + spaces) == Some(&b':')).then_some(levels)
    }

    /// Returns the spill line that has the marker as a member. Returns `None` if the marker is
    /// nested inside another object's value, or if the rest of the object is in other pieces.
    fn read_line(
        &mut self,
        marker: usize,
        mark: &[u8],
        levels: &[Quoting],
    ) -> io::Result<Option<Result<SpillLine, SpillLineError>>> {
        // The nearest object is most likely the spill line, so its error is reported.
        let mut nearest = None;
        let line = self.find_enclosing(marker, mark, levels, |start, object| {
            let error = match object {
                ObjectResult::Complete { text, .. } => match SpillLine::parse(&text) {
                    Ok(line) => return Some(line),
                    Err(error) => error,
                },
                ObjectResult::Unfinished | ObjectResult::Broken => SpillLineError::NoEnd,
            };
            nearest.get_or_insert((start, error));
            None
        })?;
        if let Some(line) = line {
            return Ok(line.map(Ok));
        }
        let Some((start, error)) = nearest else {
            return Ok(Some(Err(SpillLineError::NoBeginning)));
        };
        let outcome = self.join_pieces(start, levels)?;
        Ok(outcome.map_or(Some(Err(error)), |line| line.map(Ok)))
    }

    /// Joins a line whose first piece begins at `start`. Returns `Some(None)` for a line with
    /// marked pieces, which are joined when their own markers are found, and `None` for a line that
    /// cannot be joined.
    fn join_pieces(
        &mut self,
        start: usize,
        levels: &[Quoting],
    ) -> io::Result<Option<Option<SpillLine>>> {
        let Some((_, outer)) = levels.split_last() else {
            return Ok(unmarked_pieces::join_lines(&mut self.window, start)?.map(Some));
        };
        let mark = quoting::quotation_mark(outer);
        let Some((start, record)) = self.read_record(start, &mark, outer)? else {
            return Ok(None);
        };
        if self.partial_lines.has_piece(&record) {
            return Ok(Some(None));
        }
        Ok(unmarked_pieces::join_events(&mut self.window, start, outer)?.map(Some))
    }

    /// Adds a piece of a line if the marker is a member of a record that contains one.
    fn add_piece(
        &mut self,
        marker: &Marker,
        parse: fn(&JsonRecord) -> Option<LinePiece>,
    ) -> io::Result<()> {
        let Some(levels) = self.detect_quoting(marker) else {
            return Ok(());
        };
        let mark = trailing_mark(&self.window.buffer[..marker.start]).to_vec();
        let record = self.read_record(marker.start, &mark, &levels)?;
        let Some(piece) = record.and_then(|(_, record)| parse(&record)) else {
            return Ok(());
        };
        let line_number = self.window.line_number(marker.start);
        match self.partial_lines.add(piece, line_number) {
            Ok(None) => {}
            Ok(Some(text)) => {
                let mut scanner = Scanner::new(Cursor::new(text));
                while let Some(found) = scanner.next()? {
                    self.pending.push_back(ScannedLine {
                        line_number,
                        ..found
                    });
                }
            }
            Err(error) => self.pending.push_back(ScannedLine {
                line_number,
                line: Err(error),
            }),
        }
        let incomplete = std::iter::from_fn(|| self.partial_lines.remove_excess());
        self.pending.extend(incomplete.map(to_scanned_line));
        Ok(())
    }

    /// Returns the innermost object around a position as a record, and its start.
    fn read_record(
        &mut self,
        position: usize,
        mark: &[u8],
        levels: &[Quoting],
    ) -> io::Result<Option<(usize, JsonRecord)>> {
        self.find_enclosing(position, mark, levels, |start, object| match object {
            ObjectResult::Complete { text, .. } => {
                Some((start, serde_json::from_slice(&text).ok()?))
            }
            ObjectResult::Unfinished | ObjectResult::Broken => None,
        })
    }

    /// Passes the objects around a position to `accept`, the innermost one first, until it returns
    /// a value. The names of members must have the quotation mark `mark`, because a brace in text
    /// may look like the start of an object.
    fn find_enclosing<T>(
        &mut self,
        position: usize,
        mark: &[u8],
        levels: &[Quoting],
        mut accept: impl FnMut(usize, ObjectResult) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let first = position.saturating_sub(LOOKBACK);
        let mut start = position;
        let mut rejected = 0;
        for _ in 0..MAX_CANDIDATES {
            let Some(before) = self.window.previous_brace(start, first, mark) else {
                break;
            };
            start = before;
            let object = self.window.object(start, levels)?;
            if matches!(object, ObjectResult::Complete { length, .. } if start + length <= position)
            {
                continue;
            }
            if let Some(value) = accept(start, object) {
                return Ok(Some(value));
            }
            rejected += 1;
            if rejected == MAX_REJECTED {
                break;
            }
        }
        Ok(None)
    }

    /// Discards bytes that are too far back to be part of a spill line.
    fn discard(&mut self) {
        // Moving the remaining bytes costs time, so this is done only in large steps.
        if self.at >= 2 * LOOKBACK {
            let gone = self.at - LOOKBACK;
            self.window.discard(gone);
            self.at -= gone;
        }
    }
}

fn to_scanned_line(incomplete: IncompleteLine) -> ScannedLine {
    ScannedLine {
        line_number: incomplete.line_number,
        line: Err(incomplete.error),
    }
}

/// Returns true if the value of a name is a string, at any level of quoting.
fn is_string_member(after: &[u8]) -> bool {
    let after = &after[..after.len().min(LOOKAHEAD)];
    let is_mark = |byte: &u8| matches!(byte, b'"' | b'\\');
    let mut value = after
        .iter()
        .skip_while(|byte| is_mark(byte))
        .skip_while(|byte| matches!(byte, b' ' | b'\t' | b':'));
    value.next().is_some_and(is_mark)
}

/// Returns true if a name is followed by a quotation mark in an unsupported encoding, a colon or
/// its equivalent, and a number.
fn has_unsupported_quoting(after: &[u8]) -> bool {
    let after = &after[..after.len().min(LOOKAHEAD)];
    let mut unquoted = after;
    let mark_in = |text: &[u8]| {
        UNSUPPORTED_MARKS
            .iter()
            .find(|mark| text.starts_with(mark))
            .copied()
    };
    while let Some(mark) = mark_in(unquoted) {
        unquoted = &unquoted[mark.len()..];
    }
    let colon = unquoted.trim_ascii_start();
    let colons: [&[u8]; 4] = [b":", b"=>", b"%3A", b"%3a"];
    let value = colons.iter().find_map(|sign| colon.strip_prefix(*sign));
    let is_quoted = unquoted.len() < after.len();
    is_quoted
        && value.is_some_and(|value| {
            value
                .trim_ascii_start()
                .first()
                .is_some_and(u8::is_ascii_digit)
        })
}
