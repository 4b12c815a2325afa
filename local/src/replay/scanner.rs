//! Finds spill lines in whatever logs are kept in.

use std::collections::VecDeque;
use std::io::{self, Cursor, Read};

use super::cut;
use super::line::{Line, Problem};
use super::markers::{Kind, MAX_NAME, Marker, Markers};
use super::pieces::{Incomplete, Piece, Pieces, Record};
use super::unwrapped::{self, Layer, Object, mark_before};
use super::window::{LOOKBACK, Window};

/// Behind the marker so much must be there to see that it is one: a quotation mark in all its
/// wrappings, spaces and a colon.
const LOOKAHEAD: usize = 64;
/// Limit on the braces that are tried as the start of the object around a position. Usually the
/// nearest one is right.
const MAX_CANDIDATES: usize = 100_000;
/// Limit on those braces whose object could contain the position and is rejected: a text may
/// contain braces.
const MAX_REFUSED: usize = 8;
/// Quotation marks in encodings that are not supported: HTML, URLs, Python, and numeric JSON
/// escapes.
const FOREIGN_MARKS: [&[u8]; 10] = [
    b"\"", b"\\", b"'", b"u0022", b"x22", b"%22", b"%5C", b"&quot;", b"&#34;", b"&#x22;",
];

/// A spill line, or what looks like one.
#[derive(Debug)]
pub(super) struct Found {
    /// Where its marker is, counted from 1.
    pub(super) line_number: u64,
    pub(super) line: Result<Line, Problem>,
}

/// Reads a log from its beginning to its end, keeping a few megabytes of it.
pub(super) struct Scanner<R> {
    window: Window<R>,
    markers: Markers,
    /// Markers before this place have been found.
    at: usize,
    pieces: Pieces,
    /// Findings in a line that was joined from pieces.
    found: VecDeque<Found>,
}

impl<R: Read> Scanner<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            window: Window::new(input),
            markers: Markers::new(),
            at: 0,
            pieces: Pieces::default(),
            found: VecDeque::new(),
        }
    }

    /// The next spill line.
    pub(super) fn next(&mut self) -> io::Result<Option<Found>> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return Ok(Some(found));
            }
            let Window { buffer, .. } = &self.window;
            let Some(marker) = self.markers.next(buffer, self.window.dropped(), self.at) else {
                // The end of the buffer may be the beginning of a marker.
                self.at = self.at.max(buffer.len().saturating_sub(MAX_NAME - 1));
                self.forget();
                if !self.window.read()? {
                    return Ok(self.pieces.finish().map(found));
                }
                continue;
            };
            self.at = marker.end;
            self.window.read_to(self.at + LOOKAHEAD)?;
            match marker.kind {
                Kind::Spill => {
                    if let Some(found) = self.spilled(&marker)? {
                        return Ok(Some(found));
                    }
                }
                Kind::Piece => self.piece(&marker, Piece::from_record)?,
                // Most messages are strings, and their records need not be parsed.
                Kind::Message if is_string_member(&self.window.buffer[marker.end..]) => {}
                Kind::Message => self.piece(&marker, Piece::from_journal_message)?,
            }
        }
    }

    fn spilled(&mut self, marker: &Marker) -> io::Result<Option<Found>> {
        let line = if let Some(layers) = self.member(marker) {
            let mark = mark_before(&self.window.buffer[..marker.start]).to_vec();
            self.line(marker.start, &mark, &layers)?
        } else {
            let is_foreign = is_foreign_member(&self.window.buffer[marker.end..]);
            is_foreign.then_some(Err(Problem::Wrapping))
        };
        let line_number = self.window.line_number(marker.start);
        Ok(line.map(|line| Found { line_number, line }))
    }

    /// How the marker is wrapped, if it is the name of a member.
    fn member(&self, marker: &Marker) -> Option<Vec<Layer>> {
        let layers = unwrapped::layers(&self.window.buffer[..marker.start])?;
        let behind = &self.window.buffer[marker.end..];
        let behind = &behind[..behind.len().min(LOOKAHEAD)];
        let is_mark = |byte: &&u8| matches!(byte, b'"' | b'\\');
        let mark = behind.iter().take_while(is_mark).count();
        let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t');
        let spaces = behind[mark..].iter().take_while(is_space).count();
        (mark > 0 && behind.get(mark + spaces) == Some(&b':')).then_some(layers)
    }

    /// Returns the spill line that has the marker as a member. Returns `None` if the marker is
    /// nested inside another object's value, or if the rest of the object is in other pieces.
    fn line(
        &mut self,
        marker: usize,
        mark: &[u8],
        layers: &[Layer],
    ) -> io::Result<Option<Result<Line, Problem>>> {
        // The nearest object is the likeliest one.
        let mut nearest = None;
        let line = self.enclosing(marker, mark, layers, |start, object| {
            let problem = match object {
                Object::Whole { text, .. } => match Line::parse(&text) {
                    Ok(line) => return Some(line),
                    Err(problem) => problem,
                },
                Object::Unfinished | Object::Cut => Problem::Cut,
            };
            nearest.get_or_insert((start, problem));
            None
        })?;
        if let Some(line) = line {
            return Ok(line.map(Ok));
        }
        let Some((start, problem)) = nearest else {
            return Ok(Some(Err(Problem::NoBeginning)));
        };
        let outcome = self.joined(start, layers)?;
        Ok(outcome.map_or(Some(Err(problem)), |line| line.map(Ok)))
    }

    /// Joins a line whose first piece begins at `start`. The inner `None` stands for a line with
    /// marked pieces, which are joined when their markers are found; the outer `None`, for a line
    /// that cannot be joined.
    fn joined(&mut self, start: usize, layers: &[Layer]) -> io::Result<Option<Option<Line>>> {
        let Some((_, outer)) = layers.split_last() else {
            return Ok(cut::lines(&mut self.window, start)?.map(Some));
        };
        let mark = unwrapped::mark(outer);
        let Some((start, record)) = self.record(start, &mark, outer)? else {
            return Ok(None);
        };
        if self.pieces.has_part(&record) {
            return Ok(Some(None));
        }
        Ok(cut::events(&mut self.window, start, outer)?.map(Some))
    }

    /// Adds a piece of a line if the marker is a member of one.
    fn piece(&mut self, marker: &Marker, parse: fn(&Record) -> Option<Piece>) -> io::Result<()> {
        let Some(layers) = self.member(marker) else {
            return Ok(());
        };
        let mark = mark_before(&self.window.buffer[..marker.start]).to_vec();
        let record = self.record(marker.start, &mark, &layers)?;
        let Some(piece) = record.and_then(|(_, record)| parse(&record)) else {
            return Ok(());
        };
        let line_number = self.window.line_number(marker.start);
        match self.pieces.put(piece, line_number) {
            Ok(None) => {}
            Ok(Some(text)) => {
                let mut scanner = Scanner::new(Cursor::new(text));
                while let Some(found) = scanner.next()? {
                    self.found.push_back(Found {
                        line_number,
                        ..found
                    });
                }
            }
            Err(problem) => self.found.push_back(Found {
                line_number,
                line: Err(problem),
            }),
        }
        let incomplete = std::iter::from_fn(|| self.pieces.give_up());
        self.found.extend(incomplete.map(found));
        Ok(())
    }

    /// Returns the innermost object around a position, and its start.
    fn record(
        &mut self,
        place: usize,
        mark: &[u8],
        layers: &[Layer],
    ) -> io::Result<Option<(usize, Record)>> {
        self.enclosing(place, mark, layers, |start, object| match object {
            Object::Whole { text, .. } => Some((start, serde_json::from_slice(&text).ok()?)),
            Object::Unfinished | Object::Cut => None,
        })
    }

    /// Passes the objects around a position to `accept`, the innermost one first, until it returns
    /// a value. A brace in a text may look like the start of an object. The members' names have the
    /// given quotation marks.
    fn enclosing<T>(
        &mut self,
        place: usize,
        mark: &[u8],
        layers: &[Layer],
        mut accept: impl FnMut(usize, Object) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let first = place.saturating_sub(LOOKBACK);
        let mut start = place;
        let mut refused = 0;
        for _ in 0..MAX_CANDIDATES {
            let Some(before) = self.window.brace_before(start, first, mark) else {
                break;
            };
            start = before;
            let object = self.window.object(start, layers)?;
            if matches!(object, Object::Whole { length, .. } if start + length <= place) {
                continue;
            }
            if let Some(value) = accept(start, object) {
                return Ok(Some(value));
            }
            refused += 1;
            if refused == MAX_REFUSED {
                break;
            }
        }
        Ok(None)
    }

    /// Drops what nothing that is still to be found can begin in.
    fn forget(&mut self) {
        // Only where it is worth moving the rest.
        if self.at >= 2 * LOOKBACK {
            let gone = self.at - LOOKBACK;
            self.window.drop_before(gone);
            self.at -= gone;
        }
    }
}

fn found(incomplete: Incomplete) -> Found {
    Found {
        line_number: incomplete.line_number,
        line: Err(incomplete.problem),
    }
}

/// Returns `true` if a name, at any level of quoting, is followed by a string as its value.
fn is_string_member(behind: &[u8]) -> bool {
    let behind = &behind[..behind.len().min(LOOKAHEAD)];
    let is_mark = |byte: &u8| matches!(byte, b'"' | b'\\');
    let mut value = behind
        .iter()
        .skip_while(|byte| is_mark(byte))
        .skip_while(|byte| matches!(byte, b' ' | b'\t' | b':'));
    value.next().is_some_and(is_mark)
}

/// Returns `true` if a name is followed by an unsupported form of a quotation mark, a colon or its
/// equivalent, and a number.
fn is_foreign_member(behind: &[u8]) -> bool {
    let behind = &behind[..behind.len().min(LOOKAHEAD)];
    let mut unquoted = behind;
    let mark_in = |text: &[u8]| {
        FOREIGN_MARKS
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
    let is_quoted = unquoted.len() < behind.len();
    is_quoted
        && value.is_some_and(|value| {
            value
                .trim_ascii_start()
                .first()
                .is_some_and(u8::is_ascii_digit)
        })
}
