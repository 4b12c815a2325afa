//! Spill lines that a log pipeline split without marking the pieces.
//!
//! Docker's `awslogs` driver used to write pieces of 16 KiB as separate events, and in non-blocking
//! mode did so up to Docker 20.10; the text output of `journalctl` has pieces of 48 KiB. Every
//! piece but the last has exactly that length, and the pieces of a line have the same time and
//! stream. They are joined only if they form a complete spill line with the number of spans that it
//! states.

use std::io::{self, Read};

use baton_telemetry::spill::MARKER;
use memchr::memmem;
use serde_json::{Map, Value};

use super::line::Line;
use super::unwrapped::{self, Layer, Object};
use super::window::{MAX_OBJECT, Window};

/// Lengths of every piece but the last: Docker and containerd, and journald.
const LENGTHS: [usize; 2] = [16 * 1024, 48 * 1024];
/// Limit on the prefix of a line: a time and the names of a log group and a stream, each of at most
/// 512 characters.
const MAX_PREFIX: usize = 2048;
/// Limit on unrelated lines or events between two pieces of a line.
const MAX_BETWEEN: usize = 1000;
/// Members that differ between the pieces' events.
const VARYING: [&str; 4] = ["message", "id", "eventId", "ingestionTime"];

/// Joins a line that begins at `start`, has its marker before `marker`, and continues on lines with
/// the same prefix.
pub(super) fn lines(window: &mut Window<impl Read>, start: usize) -> io::Result<Option<Line>> {
    let line_start = memchr::memrchr(b'\n', &window.buffer[..start]).map_or(0, |at| at + 1);
    let prefix = window.buffer[line_start..start].to_vec();
    if prefix.len() > MAX_PREFIX {
        return Ok(None);
    }
    let mut end = window.line_end(start)?;
    let Some(mut joined) = Joined::new(without_break(&window.buffer[start..end])) else {
        return Ok(None);
    };
    for _ in 0..MAX_BETWEEN {
        let next = end + 1;
        end = window.line_end(next)?;
        let Some(line) = window.buffer.get(next..end) else {
            break;
        };
        if let Some(text) = without_break(line).strip_prefix(&*prefix) {
            match joined.put(text) {
                Outcome::Complete(line) => return Ok(Some(line)),
                Outcome::Continued => {}
                Outcome::Impossible => break,
            }
        }
    }
    Ok(None)
}

/// Joins a line that begins in the text of the event at `start` and continues in the following
/// events.
pub(super) fn events(
    window: &mut Window<impl Read>,
    mut start: usize,
    layers: &[Layer],
) -> io::Result<Option<Line>> {
    let mut line: Option<(Joined, Map<String, Value>)> = None;
    for _ in 0..MAX_BETWEEN {
        let Object::Whole { text, length } = window.object(start, layers)? else {
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
                let Some(joined) = Joined::new(message.as_bytes()) else {
                    break;
                };
                line = Some((joined, event));
            }
            (Some((joined, first)), Some(message)) if *first == event => {
                match joined.put(message.trim_end().as_bytes()) {
                    Outcome::Complete(line) => return Ok(Some(line)),
                    Outcome::Continued => {}
                    Outcome::Impossible => break,
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

/// Returns the next element of an array of objects.
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

fn without_break(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The pieces of a line.
struct Joined {
    text: Vec<u8>,
    /// Length of each piece but the last.
    length: usize,
}

enum Outcome {
    Complete(Line),
    Continued,
    Impossible,
}

impl Joined {
    /// Returns `None` if the first piece does not have such a length.
    fn new(first: &[u8]) -> Option<Self> {
        LENGTHS.contains(&first.len()).then(|| Self {
            text: first.to_vec(),
            length: first.len(),
        })
    }

    /// Adds a text if it is a piece. A shorter text that does not complete the line is unrelated.
    fn put(&mut self, text: &[u8]) -> Outcome {
        let before = self.text.len();
        if text.len() > self.length || before + text.len() > MAX_OBJECT {
            return Outcome::Continued;
        }
        // Pieces of two lines are mixed and cannot be told apart.
        if memmem::find(text, MARKER.as_bytes()).is_some() {
            return Outcome::Impossible;
        }
        self.text.extend_from_slice(text);
        if let Some(line) = self.complete() {
            return Outcome::Complete(line);
        }
        if text.len() < self.length {
            self.text.truncate(before);
        }
        Outcome::Continued
    }

    fn complete(&self) -> Option<Line> {
        match unwrapped::object(&self.text, &[], MAX_OBJECT) {
            Object::Whole { text, length } if length == self.text.len() => {
                Line::parse(&text).ok().flatten()
            }
            _ => None,
        }
    }
}
