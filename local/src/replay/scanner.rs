//! Finds spill lines in whatever logs are kept in.

use std::collections::VecDeque;
use std::io::{self, Cursor, Read};

use super::cut;
use super::line::{Line, Problem};
use super::markers::{Kind, MAX_NAME, Marker, Markers};
use super::pieces::{Incomplete, Piece, Pieces};
use super::unwrapped::{self, Layer, Object, mark_before};
use super::window::{LOOKBACK, Window};

/// Behind the marker so much must be there to see that it is one: a quotation mark in all its wrappings, spaces and a colon.
const LOOKAHEAD: usize = 64;
/// So many objects before the marker are looked at, of which usually the first is the one.
const MAX_CANDIDATES: usize = 100_000;
/// So many of them may be none: a brace may stand in a text.
const MAX_PROBLEMS: usize = 8;
/// Quotation marks in encodings that are not supported: HTML, URLs, Python, and numeric JSON escapes.
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
                Kind::Piece => self.piece(&marker, Piece::of)?,
                // Most messages are strings, and their records need not be parsed.
                Kind::Message if is_string_member(&self.window.buffer[marker.end..]) => {}
                Kind::Message => self.piece(&marker, Piece::of_message)?,
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

    /// Returns the object that the marker is a member of. Returns `None` if the marker is nested inside another object's value, or if the
    /// rest of the object is in other pieces.
    fn line(
        &mut self,
        marker: usize,
        mark: &[u8],
        layers: &[Layer],
    ) -> io::Result<Option<Result<Line, Problem>>> {
        let first = marker.saturating_sub(LOOKBACK);
        let mut start = marker;
        let mut problems = Vec::new();
        let mut nearest = None;
        for _ in 0..MAX_CANDIDATES {
            let Some(before) = self.window.brace_before(start, first, mark) else {
                break;
            };
            start = before;
            let problem = match self.window.object(start, layers)? {
                // It ends before the marker.
                Object::Whole { length, .. } if start + length <= marker => continue,
                Object::Whole { text, .. } => match Line::parse(&text) {
                    Ok(line) => return Ok(line.map(Ok)),
                    Err(problem) => problem,
                },
                Object::Unfinished | Object::Cut => Problem::Cut,
            };
            nearest = nearest.or(Some(start));
            problems.push(problem);
            if problems.len() == MAX_PROBLEMS {
                break;
            }
        }
        // The nearest object is the likeliest one.
        let Some(start) = nearest else {
            return Ok(Some(Err(Problem::NoBeginning)));
        };
        if let Some(outcome) = self.joined(start, layers)? {
            return Ok(outcome.map(Ok));
        }
        let nearest = problems.into_iter().next();
        Ok(Some(Err(nearest.unwrap_or(Problem::NoBeginning))))
    }

    /// Returns a line that is split where it begins: one without marked pieces, or (the inner `None`) one whose marked pieces follow.
    fn joined(&mut self, start: usize, layers: &[Layer]) -> io::Result<Option<Option<Line>>> {
        let Some((_, outer)) = layers.split_last() else {
            return Ok(cut::lines(&mut self.window, start)?.map(Some));
        };
        let mark = unwrapped::mark(outer);
        let Some((record, text)) = self.enclosing(start, &mark, outer)? else {
            return Ok(None);
        };
        if self.pieces.has_part(&text) {
            return Ok(Some(None));
        }
        Ok(cut::events(&mut self.window, record, outer)?.map(Some))
    }

    /// Adds a piece of a line if the marker is a member of one.
    fn piece(&mut self, marker: &Marker, parse: fn(&[u8]) -> Option<Piece>) -> io::Result<()> {
        let Some(piece) = self.record(marker)?.as_deref().and_then(parse) else {
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

    /// Returns the object that contains a member.
    fn record(&mut self, marker: &Marker) -> io::Result<Option<Vec<u8>>> {
        let Some(layers) = self.member(marker) else {
            return Ok(None);
        };
        let mark = mark_before(&self.window.buffer[..marker.start]).to_vec();
        let record = self.enclosing(marker.start, &mark, &layers)?;
        Ok(record.map(|(_, text)| text))
    }

    /// Returns the innermost object around a position, and its start. Its members' names have the given quotation marks.
    fn enclosing(
        &mut self,
        place: usize,
        mark: &[u8],
        layers: &[Layer],
    ) -> io::Result<Option<(usize, Vec<u8>)>> {
        let first = place.saturating_sub(LOOKBACK);
        let mut start = place;
        for _ in 0..MAX_CANDIDATES {
            let Some(before) = self.window.brace_before(start, first, mark) else {
                break;
            };
            start = before;
            match self.window.object(start, layers)? {
                Object::Whole { length, .. } if start + length <= place => {}
                Object::Whole { text, .. } => return Ok(Some((start, text))),
                Object::Unfinished | Object::Cut => break,
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

/// Returns `true` if a name is followed by an unsupported form of a quotation mark, a colon or its equivalent, and a number.
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
