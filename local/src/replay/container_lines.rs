//! Joining of long lines that a container runtime split.
//!
//! Docker's `json-file` driver and the Kubernetes runtimes (CRI) split a line after 16 KiB and
//! write each piece as a separate line.

use std::collections::BTreeMap;
use std::io::Read;

use super::line_rewriter::{LineRewriter, RewriteReader};

/// Length of every piece but the last in Docker's files, which do not mark the pieces.
const DOCKER_PIECE: usize = 16 * 1024;
/// Number of bytes by which a piece may be longer: a split inside a character leaves up to three
/// bytes, each of which becomes U+FFFD.
const DOCKER_EXCESS: usize = 16;
/// Limit on the length of a joined line. Spill lines are shorter.
const MAX_JOINED: usize = 4 * 1024 * 1024;

/// Returns a reader of the text in which the pieces of a line are joined.
pub(super) fn join_container_lines(input: impl Read) -> impl Read {
    RewriteReader::new(input, ContainerLineJoiner::default())
}

#[derive(Default)]
struct ContainerLineJoiner {
    /// Lines whose last piece has not been read, by stream.
    unfinished: BTreeMap<Vec<u8>, UnfinishedLine>,
}

#[derive(Default)]
struct UnfinishedLine {
    text: Vec<u8>,
    line_breaks: usize,
}

/// A piece of a line, in the format of a container runtime.
struct ContainerPiece<'a> {
    stream: &'a [u8],
    /// Bytes before and after the text.
    around: [&'a [u8]; 2],
    text: &'a [u8],
    is_last: bool,
}

impl LineRewriter for ContainerLineJoiner {
    /// Room for a piece of 16 KiB in which each byte is escaped as six, and for the bytes around
    /// it.
    const MAX_LINE: usize = 128 * 1024;

    fn rewrite(&mut self, line: Vec<u8>, is_whole: bool, out: &mut Vec<u8>) {
        match parse_piece(&line) {
            Some(piece) if is_whole => self.join(&piece, out),
            _ => out.extend(line),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let unfinished = std::mem::take(&mut self.unfinished);
        out.extend(
            unfinished
                .into_values()
                .flat_map(|unfinished| unfinished.text),
        );
    }
}

impl ContainerLineJoiner {
    fn join(&mut self, piece: &ContainerPiece<'_>, out: &mut Vec<u8>) {
        let [before, after] = piece.around;
        let mut unfinished = self.unfinished.remove(piece.stream).unwrap_or_default();
        if unfinished.text.is_empty() {
            unfinished.text.extend_from_slice(before);
        }
        unfinished.text.extend_from_slice(piece.text);
        if !piece.is_last && unfinished.text.len() < MAX_JOINED {
            unfinished.line_breaks += 1;
            self.unfinished.insert(piece.stream.to_vec(), unfinished);
            return;
        }
        out.extend(unfinished.text);
        out.extend_from_slice(after);
        // Blank lines replace the joined pieces, so that the following lines keep their numbers.
        let length = out.len() + unfinished.line_breaks;
        out.resize(length, b'\n');
    }
}

fn parse_piece(line: &[u8]) -> Option<ContainerPiece<'_>> {
    parse_cri(line).or_else(|| parse_docker(line))
}

/// Parses `TIME STREAM P TEXT`. The last piece has `F` instead of `P`.
fn parse_cri(line: &[u8]) -> Option<ContainerPiece<'_>> {
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let (time, stream, tag, text) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let is_time = time.first()?.is_ascii_digit() && time.contains(&b'T');
    let is_stream = matches!(stream, b"stdout" | b"stderr");
    let is_last = match tag {
        b"P" => false,
        b"F" => true,
        _ => return None,
    };
    let content = text.strip_suffix(b"\n").unwrap_or(text);
    let content = content.strip_suffix(b"\r").unwrap_or(content);
    let before = line.len() - text.len();
    (is_time && is_stream).then_some(ContainerPiece {
        stream,
        around: [&line[..before], &text[content.len()..]],
        text: content,
        is_last,
    })
}

/// Parses `{"log":"TEXT","stream":"STREAM","time":"TIME"}`, with optional spaces. Only the text of
/// the last piece ends with a line break.
fn parse_docker(line: &[u8]) -> Option<ContainerPiece<'_>> {
    let rest = strip_tokens(line, &[b"{", b"\"log\"", b":", b"\""])?;
    let before = line.get(..line.len() - rest.len())?;
    let JsonString {
        text,
        length,
        has_line_break,
    } = parse_string(rest)?;
    let after = &rest[text.len()..];
    let stream = strip_tokens(after, &[b"\"", b",", b"\"stream\"", b":", b"\""])?;
    let stream = &stream[..6.min(stream.len())];
    let is_cut = (DOCKER_PIECE..=DOCKER_PIECE + DOCKER_EXCESS).contains(&length);
    matches!(stream, b"stdout" | b"stderr").then_some(ContainerPiece {
        stream,
        around: [before, after],
        text,
        is_last: !is_cut || has_line_break,
    })
}

/// Returns the text after these tokens, which may be separated by spaces.
fn strip_tokens<'a>(text: &'a [u8], tokens: &[&[u8]]) -> Option<&'a [u8]> {
    let (first, others) = tokens.split_first()?;
    others
        .iter()
        .try_fold(text.strip_prefix(*first)?, |rest, token| {
            rest.trim_ascii_start().strip_prefix(*token)
        })
}

/// Content of a JSON string.
struct JsonString<'a> {
    text: &'a [u8],
    /// Length after unescaping.
    length: usize,
    has_line_break: bool,
}

/// Parses a JSON string up to its closing quotation mark.
fn parse_string(text: &[u8]) -> Option<JsonString<'_>> {
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
    Some(JsonString {
        text: text.get(..at)?,
        length,
        has_line_break,
    })
}

/// Returns the number of UTF-8 bytes for a UTF-16 code unit of four hexadecimal digits.
fn utf8_bytes(digits: &[u8]) -> Option<usize> {
    let unit = u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    Some(match unit {
        0..=0x7f => 1,
        // A four-byte character has two code units.
        0x80..=0x7ff | 0xd800..=0xdfff => 2,
        _ => 3,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(log: &str) -> String {
        let mut text = String::new();
        super::join_container_lines(log.as_bytes())
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    #[test]
    fn pieces_are_joined_across_lines_of_the_other_stream() {
        let log = "2026-11-21T17:00:00.1Z stdout P {\"a\":\n\
            2026-11-21T17:00:00.1Z stderr F between\n\
            2026-11-21T17:00:00.1Z stdout P 1,\n\
            2026-11-21T17:00:00.1Z stdout F \"b\":2}\nrest";
        let expected = "2026-11-21T17:00:00.1Z stderr F between\n\
            2026-11-21T17:00:00.1Z stdout P {\"a\":1,\"b\":2}\n\n\nrest";
        assert_eq!(joined(log), expected);
    }

    #[test]
    fn pieces_of_docker_are_recognised_by_their_length() {
        let record =
            |text: &str| format!("{{\"log\":\"{text}\",\"stream\":\"stdout\",\"time\":\"T\"}}\n");
        let cut = "\\\"\\u003c".repeat(DOCKER_PIECE / 2);
        let log = record(&cut) + &record("rest\\n") + &record("short") + &record("other");
        let expected = record(&(cut + "rest\\n")) + "\n" + &record("short") + &record("other");
        assert_eq!(joined(&log), expected);
    }

    #[test]
    fn docker_records_may_have_spaces_and_ascii_only() {
        let record = |text: &str| {
            format!("{{\"log\": \"{text}\", \"stream\" : \"stdout\", \"time\": \"T\"}}\n")
        };
        let cut = "\\u00e9\\u001b\\ud83d\\ude00x".repeat(DOCKER_PIECE / 8);
        let log = record(&cut) + &record("rest\\n") + &record("short");
        let expected = record(&(cut + "rest\\n")) + "\n" + &record("short");
        assert_eq!(joined(&log), expected);
    }

    #[test]
    fn the_last_line_may_lack_its_line_break() {
        let log = "2026T stdout P {\"a\":\n2026T stdout F 1}";
        assert_eq!(joined(log), "2026T stdout P {\"a\":1}\n");
    }

    #[test]
    fn an_unfinished_line_is_written_at_the_end() {
        assert_eq!(joined("2026T stdout P text\n"), "2026T stdout P text");
    }

    proptest! {
        #[test]
        fn other_text_is_unchanged(text in "[a-z{}\":\\\\ \n]{0,200}", long in 0..3_usize) {
            let log = text.clone() + &"x".repeat(long * ContainerLineJoiner::MAX_LINE) + &text;
            prop_assert_eq!(joined(&log), log);
        }
    }
}
