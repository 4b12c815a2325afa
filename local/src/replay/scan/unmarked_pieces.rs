//! Spill lines that a log pipeline split without marking the pieces.
//!
//! Docker's `awslogs` driver wrote pieces of 16 KiB as separate events, in non-blocking mode up to
//! Docker 20.10. The text output of `journalctl` has pieces of 48 KiB. Every piece but the last has
//! exactly that length, and the pieces of a line have the same time and stream. They are joined
//! only if they form a complete spill line with the number of spans that it states.

use std::io::{self, Read};

use baton_telemetry::spill::MARKER;
use memchr::memmem;
use serde_json::{Map, Value};

use super::quoting::{self, ObjectResult, Quoting};
use super::window::{MAX_OBJECT, Window};
use crate::replay::spill_line::SpillLine;

/// Lengths of every piece but the last: 16 KiB for Docker and containerd, 48 KiB for journald.
const LENGTHS: [usize; 2] = [16 * 1024, 48 * 1024];
/// Limit on the prefix of a line, which consists of a time and the names of a log group and a
/// stream, each of at most 512 characters.
const MAX_PREFIX: usize = 2048;
/// Limit on unrelated lines or events between two pieces of a line.
const MAX_BETWEEN: usize = 1000;
/// Members in which the events of the pieces differ.
const VARYING: [&str; 4] = ["message", "id", "eventId", "ingestionTime"];

/// Joins a line that begins at `start` and continues on lines with the same prefix.
pub(super) fn join_lines(
    window: &mut Window<impl Read>,
    start: usize,
) -> io::Result<Option<SpillLine>> {
    let line_start = memchr::memrchr(b'\n', &window.buffer[..start]).map_or(0, |at| at + 1);
    let prefix = window.buffer[line_start..start].to_vec();
    if prefix.len() > MAX_PREFIX {
        return Ok(None);
    }
    let mut end = window.line_end(start)?;
    let Some(mut pieces) = UnmarkedLine::new(strip_carriage_return(&window.buffer[start..end]))
    else {
        return Ok(None);
    };
    for _ in 0..MAX_BETWEEN {
        let next = end + 1;
        end = window.line_end(next)?;
        let Some(line) = window.buffer.get(next..end) else {
            break;
        };
        if let Some(text) = strip_carriage_return(line).strip_prefix(&*prefix) {
            match pieces.add(text) {
                JoinOutcome::Complete(line) => return Ok(Some(line)),
                JoinOutcome::Continued => {}
                JoinOutcome::Impossible => break,
            }
        }
    }
    Ok(None)
}

/// Joins a line that begins in the message of the event at `start` and continues in the following
/// events.
pub(super) fn join_events(
    window: &mut Window<impl Read>,
    mut start: usize,
    levels: &[Quoting],
) -> io::Result<Option<SpillLine>> {
    let mut line: Option<(UnmarkedLine, Map<String, Value>)> = None;
    for _ in 0..MAX_BETWEEN {
        let ObjectResult::Complete { text, length } = window.object(start, levels)? else {
            break;
        };
        let Ok(mut event) = serde_json::from_slice::<Map<String, Value>>(&text) else {
            break;
        };
        let message = event
            .get("message")
            .and_then(Value::as_str)
            .map(str::to_owned);
        event.retain(|name, _| !VARYING.contains(&name.as_str()));
        match (&mut line, message) {
            (None, Some(message)) => {
                let Some(pieces) = UnmarkedLine::new(message.as_bytes()) else {
                    break;
                };
                line = Some((pieces, event));
            }
            (Some((pieces, first)), Some(message)) if *first == event => {
                match pieces.add(message.trim_end().as_bytes()) {
                    JoinOutcome::Complete(line) => return Ok(Some(line)),
                    JoinOutcome::Continued => {}
                    JoinOutcome::Impossible => break,
                }
            }
            _ => {}
        }
        let Some(next) = next_object(window, start + length)? else {
            break;
        };
        start = next;
    }
    Ok(None)
}

/// Returns the position of the next element in an array of objects.
fn next_object(window: &mut Window<impl Read>, mut at: usize) -> io::Result<Option<usize>> {
    loop {
        window.read_to(at + 1)?;
        match window.buffer.get(at) {
            Some(b'{') => return Ok(Some(at)),
            Some(byte) if *byte == b',' || byte.is_ascii_whitespace() => at += 1,
            _ => return Ok(None),
        }
    }
}

fn strip_carriage_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A line that is being joined from pieces.
struct UnmarkedLine {
    text: Vec<u8>,
    /// Length of each piece but the last.
    length: usize,
}

enum JoinOutcome {
    Complete(SpillLine),
    Continued,
    Impossible,
}

impl UnmarkedLine {
    /// Starts a line with its first piece. Returns `None` if the piece does not have one of the
    /// known lengths.
    fn new(first: &[u8]) -> Option<Self> {
        LENGTHS.contains(&first.len()).then(|| Self {
            text: first.to_vec(),
            length: first.len(),
        })
    }

    /// Adds a text if it may be a piece. A shorter text that does not complete the line is
    /// unrelated.
    fn add(&mut self, text: &[u8]) -> JoinOutcome {
        let before = self.text.len();
        if text.len() > self.length || before + text.len() > MAX_OBJECT {
            return JoinOutcome::Continued;
        }
        // A second line begins. Its pieces and those of this line cannot be distinguished.
        if memmem::find(text, MARKER.as_bytes()).is_some() {
            return JoinOutcome::Impossible;
        }
        self.text.extend_from_slice(text);
        if let Some(line) = self.complete() {
            return JoinOutcome::Complete(line);
        }
        if text.len() < self.length {
            self.text.truncate(before);
        }
        JoinOutcome::Continued
    }

    fn complete(&self) -> Option<SpillLine> {
        match quoting::read_object(&self.text, &[], MAX_OBJECT) {
            ObjectResult::Complete { text, length } if length == self.text.len() => {
                SpillLine::parse(&text).ok().flatten()
            }
            _ => None,
        }
    }
}
