//! Joins YAML strings that are folded over several lines (`aws logs … --output yaml`).
//!
//! Only quoted values of a mapping are processed, line by line; everything else passes unchanged. A YAML parser would need the whole
//! document in memory, reject a truncated document, and fail on logs that are not YAML, which cannot be recognised beforehand.

use std::io::Read;

use super::rewritten::{Rewrite, Rewritten};

/// Limit on the length of a string. Longer strings are left unchanged, because spill lines are shorter.
const MAX_STRING: usize = 4 * 1024 * 1024;

/// Returns a reader that puts folded strings on one line and leaves all other text unchanged.
pub(super) fn unfolded(input: impl Read) -> impl Read {
    Rewritten::new(input, Unfold::default())
}

#[derive(Default)]
struct Unfold {
    /// The string that has not ended yet.
    open: Option<Open>,
}

/// A string whose end has not been read yet.
struct Open {
    /// Its unchanged lines, in case it is not a string.
    lines: Vec<u8>,
    /// Start of the text after the quotation mark.
    text_at: usize,
    /// Position up to which the text was searched for its end.
    searched: usize,
    quote: u8,
    /// Lines of the string are indented further than its key.
    indent: usize,
}

impl Rewrite for Unfold {
    /// Longer lines are not folded YAML.
    const MAX_LINE: usize = 1024 * 1024;

    fn line(&mut self, line: Vec<u8>, is_whole: bool, out: &mut Vec<u8>) {
        if let Some(mut open) = self.open.take() {
            if is_whole && open.takes(&line) {
                open.lines.extend_from_slice(&line);
                self.put(open, out);
                return;
            }
            out.extend(open.lines);
        }
        match beginning(&line) {
            Some(open) if is_whole => self.put(open, out),
            _ => out.extend(line),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        out.extend(self.open.take().into_iter().flat_map(|open| open.lines));
    }
}

impl Unfold {
    /// Writes the string if it is complete, and keeps it otherwise.
    fn put(&mut self, mut open: Open, out: &mut Vec<u8>) {
        let text = &open.lines[open.text_at..];
        let end = match closing(text, open.quote, open.searched) {
            Ok(end) => end,
            Err(searched) => {
                open.searched = searched;
                self.open = Some(open);
                return;
            }
        };
        let (inside, behind) = (&text[..end], &text[end + 1..]);
        let before = &open.lines[..open.text_at - 1];
        let line_breaks = inside.iter().filter(|byte| **byte == b'\n').count();
        out.extend_from_slice(before);
        if open.quote == b'"' {
            out.push(b'"');
            json_escapes(&joined_lines(inside, true), out);
            out.push(b'"');
        } else {
            let text = joined_lines(inside, false);
            let mut pieces = memchr::memmem::find_iter(&text, b"''");
            let mut at = 0;
            for quote in pieces.by_ref() {
                out.extend_from_slice(&text[at..=quote]);
                at = quote + 2;
            }
            out.extend_from_slice(&text[at..]);
        }
        out.extend_from_slice(behind);
        // Blank lines preserve the numbers of the lines after it.
        let length = out.len() + line_breaks;
        out.resize(length, b'\n');
    }
}

impl Open {
    fn takes(&self, line: &[u8]) -> bool {
        let is_blank = line.trim_ascii().is_empty();
        (is_blank || indent(line) > self.indent) && self.lines.len() + line.len() <= MAX_STRING
    }
}

/// `KEY: "TEXT` or `KEY: 'TEXT`, in a list (`- KEY: …`) too.
fn beginning(line: &[u8]) -> Option<Open> {
    let mut indent = indent(line);
    let mut rest = &line[indent..];
    while let Some(behind) = rest.strip_prefix(b"- ") {
        let spaces = self::indent(behind);
        indent += 2 + spaces;
        rest = &behind[spaces..];
    }
    let is_key =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@');
    let key = rest.iter().take_while(|byte| is_key(byte)).count();
    let behind = rest[key..].strip_prefix(b":")?;
    let spaces = self::indent(behind);
    let quote = *behind.get(spaces)?;
    let is_string = key > 0 && spaces > 0 && matches!(quote, b'"' | b'\'');
    is_string.then(|| Open {
        text_at: indent + key + 1 + spaces + 1,
        searched: 0,
        lines: line.to_vec(),
        quote,
        indent,
    })
}

fn indent(line: &[u8]) -> usize {
    line.iter().take_while(|byte| **byte == b' ').count()
}

/// Returns the end of the string, or else the position from which to search for it later.
fn closing(text: &[u8], quote: u8, mut at: usize) -> Result<usize, usize> {
    while let Some(byte) = text.get(at) {
        match *byte {
            b'\\' if quote == b'"' => at += 2,
            b'\'' if quote == b'\'' && text.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return Ok(at),
            _ => at += 1,
        }
    }
    Err(at)
}

/// Joins the lines of a string (YAML 1.2, 7.3.1 and 7.3.2): a line break becomes a space, each further one a line break, and one
/// after a backslash is removed.
fn joined_lines(inside: &[u8], is_double: bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(inside.len());
    let (mut breaks, mut is_escaped) = (0, false);
    for (number, line) in inside.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let content = if number > 0 {
            line.trim_ascii_start()
        } else {
            line
        };
        if number > 0 {
            if content.is_empty() {
                breaks += 1;
                continue;
            }
            fold(&mut text, breaks, is_escaped, is_double);
        }
        breaks = 0;
        let backslashes = content
            .iter()
            .rev()
            .take_while(|byte| **byte == b'\\')
            .count();
        is_escaped = is_double && backslashes % 2 == 1;
        let end = content.len() - usize::from(is_escaped);
        text.extend_from_slice(&content[..end]);
    }
    // The string's last line holds only its closing quotation mark.
    if breaks > 0 {
        fold(&mut text, breaks - 1, is_escaped, is_double);
    }
    text
}

fn fold(text: &mut Vec<u8>, breaks: usize, is_escaped: bool, is_double: bool) {
    if !is_escaped {
        // White space around a line break is not part of the content.
        text.truncate(text.trim_ascii_end().len());
    }
    let line_break: &[u8] = if is_double { b"\\n" } else { b"\n" };
    if breaks > 0 {
        text.extend(line_break.repeat(breaks));
    } else if !is_escaped {
        text.push(b' ');
    }
}

/// Converts escapes that exist only in YAML to JSON escapes.
fn json_escapes(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let Some((letter, behind)) = rest.split_first() else {
            break;
        };
        let (code, digits) = match letter {
            b'0' => (Some(0), 0),
            b'a' => (Some(7), 0),
            b'v' => (Some(11), 0),
            b'e' => (Some(27), 0),
            b' ' => (Some(32), 0),
            b'\t' => (Some(9), 0),
            b'N' => (Some(0x85), 0),
            b'_' => (Some(0xa0), 0),
            b'L' => (Some(0x2028), 0),
            b'P' => (Some(0x2029), 0),
            b'x' => (hexadecimal(behind, 2), 2),
            b'U' => (hexadecimal(behind, 8), 8),
            _ => (None, 0),
        };
        rest = behind;
        match code.and_then(char::from_u32) {
            Some(character) => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
                rest = &rest[digits..];
            }
            None => out.extend_from_slice(&[b'\\', *letter]),
        }
    }
    out.extend_from_slice(rest);
}

fn hexadecimal(text: &[u8], digits: usize) -> Option<u32> {
    let text = std::str::from_utf8(text.get(..digits)?).ok()?;
    u32::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests;
