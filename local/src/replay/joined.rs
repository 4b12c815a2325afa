//! Long lines that a container's runtime has cut apart, as one again.
//!
//! Docker's `json-file` and the files of Kubernetes' runtimes (CRI) cut a line after 16 KiB, and write each piece as a line of their own.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read};

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;
/// The longest of their lines: 16 KiB, each byte of which may have become six, and what stands around them.
const MAX_PIECE: usize = 128 * 1024;
/// A piece that others follow is so long in Docker's files, which do not say it in another way.
const DOCKER_PIECE: usize = 16 * 1024;
/// It may be a little longer where a character was cut apart, and became three of U+FFFD.
const DOCKER_EXCESS: usize = 16;
/// Lines are not put together beyond this: none of ours is longer.
const MAX_JOINED: usize = 4 * 1024 * 1024;

/// Everything that can be read, with the pieces of a line put together, and all else as it is.
pub(super) struct Joined<R> {
    input: BufReader<R>,
    /// What is to be read next, from a place on.
    out: Vec<u8>,
    at: usize,
    /// The pieces that wait for the next one, by the stream that they were written to.
    waiting: HashMap<Vec<u8>, Waiting>,
    /// In the middle of a line that is too long for a piece.
    is_long: bool,
}

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    line_breaks: usize,
}

/// A line of a container's runtime.
struct Piece<'a> {
    stream: &'a [u8],
    /// What stands before and behind the text.
    around: [&'a [u8]; 2],
    text: &'a [u8],
    is_last: bool,
}

impl<R: Read> Joined<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(READ_BYTES, input),
            out: Vec::new(),
            at: 0,
            waiting: HashMap::new(),
            is_long: false,
        }
    }

    /// Takes the next line, and says whether there was one.
    fn line(&mut self) -> io::Result<bool> {
        let mut line = Vec::new();
        let mut limited = self.input.by_ref().take(MAX_PIECE as u64);
        limited.read_until(b'\n', &mut line)?;
        let is_whole = line.ends_with(b"\n");
        let is_middle = std::mem::replace(&mut self.is_long, !is_whole);
        match piece(&line) {
            _ if line.is_empty() => {
                self.is_long = false;
                let waiting = self.waiting.drain();
                waiting.for_each(|(_, waiting)| self.out.extend(waiting.text));
                return Ok(!self.out.is_empty());
            }
            Some(piece) if is_whole && !is_middle => self.join(&piece),
            _ => self.out.extend(line),
        }
        Ok(true)
    }

    fn join(&mut self, piece: &Piece<'_>) {
        let [before, behind] = piece.around;
        let mut waiting = self.waiting.remove(piece.stream).unwrap_or_default();
        if waiting.text.is_empty() {
            waiting.text.extend_from_slice(before);
        }
        waiting.text.extend_from_slice(piece.text);
        if !piece.is_last && waiting.text.len() < MAX_JOINED {
            waiting.line_breaks += 1;
            self.waiting.insert(piece.stream.to_vec(), waiting);
            return;
        }
        self.out.extend(waiting.text);
        self.out.extend_from_slice(behind);
        // Lines behind it keep their numbers.
        let length = self.out.len() + waiting.line_breaks;
        self.out.resize(length, b'\n');
    }
}

impl<R: Read> Read for Joined<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.out.len() {
            self.out.clear();
            self.at = 0;
            if !self.line()? {
                return Ok(0);
            }
            // Short lines are many: all that are there already, so that nobody waits for one that is not.
            while self.out.len() < READ_BYTES && self.input.buffer().contains(&b'\n') {
                self.line()?;
            }
        }
        let rest = &self.out[self.at..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }
}

fn piece(line: &[u8]) -> Option<Piece<'_>> {
    cri(line).or_else(|| docker(line))
}

/// `TIME STREAM P TEXT`, with `F` in the place of `P` for the last one.
fn cri(line: &[u8]) -> Option<Piece<'_>> {
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let (time, stream, tag, text) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let is_time = time.first()?.is_ascii_digit() && time.contains(&b'T');
    let is_stream = matches!(stream, b"stdout" | b"stderr");
    let is_last = match tag {
        b"P" => false,
        b"F" => true,
        _ => return None,
    };
    let text = text.strip_suffix(b"\n")?;
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let before = line.len() - 1 - text.len();
    (is_time && is_stream).then_some(Piece {
        stream,
        around: [line.get(..before)?, b"\n"],
        text,
        is_last,
    })
}

/// `{"log":"TEXT","stream":"STREAM","time":"TIME"}`, also with spaces: all but the last one have no line break at the text's end.
fn docker(line: &[u8]) -> Option<Piece<'_>> {
    let rest = after(line, &[b"{", b"\"log\"", b":", b"\""])?;
    let before = line.get(..line.len() - rest.len())?;
    let Text {
        text,
        length,
        has_line_break,
    } = string(rest)?;
    let behind = &rest[text.len()..];
    let stream = after(behind, &[b"\"", b",", b"\"stream\"", b":", b"\""])?;
    let stream = &stream[..6.min(stream.len())];
    let is_cut = (DOCKER_PIECE..=DOCKER_PIECE + DOCKER_EXCESS).contains(&length);
    matches!(stream, b"stdout" | b"stderr").then_some(Piece {
        stream,
        around: [before, behind],
        text,
        is_last: !is_cut || has_line_break,
    })
}

/// Returns what follows these tokens, between which there may be spaces.
fn after<'a>(text: &'a [u8], tokens: &[&[u8]]) -> Option<&'a [u8]> {
    let (first, others) = tokens.split_first()?;
    others
        .iter()
        .try_fold(text.strip_prefix(*first)?, |rest, token| {
            rest.trim_ascii_start().strip_prefix(*token)
        })
}

/// The inside of a JSON string, as it is written.
struct Text<'a> {
    text: &'a [u8],
    /// How many bytes it stands for.
    length: usize,
    has_line_break: bool,
}

/// A JSON string up to its end.
fn string(text: &[u8]) -> Option<Text<'_>> {
    let (mut at, mut length, mut has_line_break) = (0, 0, false);
    loop {
        let escaped = text.get(at + 1);
        let skipped = match text.get(at)? {
            b'"' => break,
            b'\\' if escaped == Some(&b'u') => {
                length += utf8_bytes(text.get(at + 2..at + 6)?)? - 1;
                6
            }
            b'\\' => 2,
            _ => 1,
        };
        has_line_break = skipped == 2 && escaped == Some(&b'n');
        at += skipped;
        length += 1;
    }
    Some(Text {
        text: text.get(..at)?,
        length,
        has_line_break,
    })
}

/// Returns how many bytes of UTF-8 four hexadecimal digits of UTF-16 stand for.
fn utf8_bytes(digits: &[u8]) -> Option<usize> {
    let unit = u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    Some(match unit {
        0..=0x7f => 1,
        // A character of four bytes is two units.
        0x80..=0x7ff | 0xd800..=0xdfff => 2,
        _ => 3,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(log: &str) -> String {
        let mut text = String::new();
        Joined::new(log.as_bytes())
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    #[test]
    fn pieces_are_put_together_although_the_other_stream_is_between_them() {
        let log = "2026-11-21T17:00:00.1Z stdout P {\"a\":\n\
            2026-11-21T17:00:00.1Z stderr F between\n\
            2026-11-21T17:00:00.1Z stdout P 1,\n\
            2026-11-21T17:00:00.1Z stdout F \"b\":2}\nrest";
        let expected = "2026-11-21T17:00:00.1Z stderr F between\n\
            2026-11-21T17:00:00.1Z stdout P {\"a\":1,\"b\":2}\n\n\nrest";
        assert_eq!(joined(log), expected);
    }

    #[test]
    fn dockers_pieces_are_known_by_their_length() {
        let record =
            |text: &str| format!("{{\"log\":\"{text}\",\"stream\":\"stdout\",\"time\":\"T\"}}\n");
        let cut = "\\\"\\u003c".repeat(DOCKER_PIECE / 2);
        let log = record(&cut) + &record("rest\\n") + &record("short") + &record("other");
        let expected = record(&(cut + "rest\\n")) + "\n" + &record("short") + &record("other");
        assert_eq!(joined(&log), expected);
    }

    #[test]
    fn docker_records_may_be_written_again_with_spaces_and_ascii_only() {
        let record = |text: &str| {
            format!("{{\"log\": \"{text}\", \"stream\" : \"stdout\", \"time\": \"T\"}}\n")
        };
        let cut = "\\u00e9\\u001b\\ud83d\\ude00x".repeat(DOCKER_PIECE / 8);
        let log = record(&cut) + &record("rest\\n") + &record("short");
        let expected = record(&(cut + "rest\\n")) + "\n" + &record("short");
        assert_eq!(joined(&log), expected);
    }

    #[test]
    fn what_waits_at_the_end_is_not_lost() {
        assert_eq!(joined("2026T stdout P text\n"), "2026T stdout P text");
    }

    proptest! {
        #[test]
        fn everything_else_stays_as_it_is(text in "[a-z{}\":\\\\ \n]{0,200}", long in 0..3_usize) {
            let log = text.clone() + &"x".repeat(long * MAX_PIECE) + &text;
            prop_assert_eq!(joined(&log), log);
        }
    }
}
