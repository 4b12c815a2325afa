//! Unfolding of YAML strings that extend over several lines (`aws logs … --output yaml`).
//!
//! Only quoted strings and folded blocks (`>`) in a mapping or a list are processed, line by line.
//! All other text is passed on unchanged. A YAML parser would need the whole document in memory,
//! reject a truncated document, and fail on logs that are not YAML, which cannot be recognised in
//! advance.

use std::io::Read;

use self::scalar::{ScalarStyle, leading_spaces};
use crate::replay::line_rewriter::{LineRewriter, RewriteReader};

mod scalar;

/// Limit on the length of a string. Longer strings are left unchanged, because spill lines are
/// shorter.
const MAX_STRING: usize = 4 * 1024 * 1024;

/// Returns a reader of the text in which folded strings are on one line.
pub(super) fn unfold_yaml(input: impl Read) -> impl Read {
    RewriteReader::new(input, YamlUnfolder::default())
}

#[derive(Default)]
struct YamlUnfolder {
    /// String whose end has not been read yet.
    open: Option<OpenString>,
}

/// A string whose end has not been read yet.
struct OpenString {
    /// Original lines, which are written if the text is not a YAML string.
    lines: Vec<u8>,
    /// Start of the text after the quotation mark or the block header.
    text_at: usize,
    /// Position up to which the text was searched for the end of the string.
    searched: usize,
    style: ScalarStyle,
    /// Indentation of the key. The lines of the string are indented further.
    indent: usize,
}

impl LineRewriter for YamlUnfolder {
    /// Lines that are longer are not folded YAML.
    const MAX_LINE: usize = 1024 * 1024;

    fn rewrite(&mut self, line: Vec<u8>, is_whole: bool, out: &mut Vec<u8>) {
        if let Some(mut open) = self.open.take() {
            if is_whole && open.accepts(&line) {
                open.lines.extend_from_slice(&line);
                self.put(open, out);
                return;
            }
            open.finish(out);
        }
        match parse_string_start(&line) {
            Some(open) if is_whole => self.put(open, out),
            _ => out.extend(line),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(open) = self.open.take() {
            open.finish(out);
        }
    }
}

impl YamlUnfolder {
    /// Writes the string if it is complete, and stores it otherwise.
    fn put(&mut self, mut open: OpenString, out: &mut Vec<u8>) {
        let text = &open.lines[open.text_at..];
        let end = match open.style.end(text, open.searched) {
            Ok(end) => end,
            Err(searched) => {
                open.searched = searched;
                self.open = Some(open);
                return;
            }
        };
        let (inside, after) = (&text[..end], &text[end + 1..]);
        let before = &open.lines[..open.text_at - 1];
        out.extend_from_slice(before);
        if open.style == ScalarStyle::Double {
            out.push(b'"');
            scalar::json_escapes(&scalar::join_quoted(inside, open.style), out);
            out.push(b'"');
        } else {
            let text = scalar::join_quoted(inside, open.style);
            let mut pieces = memchr::memmem::find_iter(&text, b"''");
            let mut at = 0;
            for quote in pieces.by_ref() {
                out.extend_from_slice(&text[at..=quote]);
                at = quote + 2;
            }
            out.extend_from_slice(&text[at..]);
        }
        out.extend_from_slice(after);
        keep_line_numbers(inside, out);
    }
}

impl OpenString {
    fn accepts(&self, line: &[u8]) -> bool {
        let is_blank = line.trim_ascii().is_empty();
        (is_blank || leading_spaces(line) > self.indent)
            && self.lines.len() + line.len() <= MAX_STRING
    }

    /// Writes a string to which the next line does not belong. A folded block is complete. A quoted
    /// string without a closing quotation mark is not YAML, so its lines are written unchanged.
    fn finish(self, out: &mut Vec<u8>) {
        if self.style != ScalarStyle::Folded {
            out.extend(self.lines);
            return;
        }
        let (before, block) = self.lines.split_at(self.text_at);
        let indicator = before.iter().rposition(|byte| *byte == b'>');
        out.extend_from_slice(&before[..indicator.unwrap_or(before.len())]);
        out.extend(scalar::join_folded(block));
        out.push(b'\n');
        keep_line_numbers(block, out);
    }
}

/// Writes a blank line for each line break in the text, so that the following lines keep their
/// numbers.
fn keep_line_numbers(text: &[u8], out: &mut Vec<u8>) {
    let line_breaks = memchr::memchr_iter(b'\n', text).count();
    out.resize(out.len() + line_breaks, b'\n');
}

/// Returns the string that begins in this line: `KEY: "TEXT`, `KEY: 'TEXT` or `KEY: >`. The key may
/// be quoted and may follow `- `. An element of a list may have no key (`- 'TEXT`).
fn parse_string_start(line: &[u8]) -> Option<OpenString> {
    let mut indent = leading_spaces(line);
    let mut at = indent;
    while line[at..].starts_with(b"- ") {
        indent = at;
        at += 2 + leading_spaces(&line[at + 2..]);
    }
    if let Some(length) = key_length(&line[at..]) {
        indent = at;
        at += length;
    } else if at == indent {
        // Without a key or a list marker, a quotation mark belongs to ordinary text.
        return None;
    }
    let value = &line[at..];
    let (style, length) = match value {
        [b'"', ..] => (ScalarStyle::Double, 1),
        [b'\'', ..] => (ScalarStyle::Single, 1),
        [b'>', header @ ..] if is_block_header(header) => (ScalarStyle::Folded, value.len()),
        _ => return None,
    };
    Some(OpenString {
        text_at: at + length,
        searched: 0,
        lines: line.to_vec(),
        style,
        indent,
    })
}

/// Returns the length of a key, its colon and the spaces after the colon.
fn key_length(text: &[u8]) -> Option<usize> {
    let is_key =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@');
    let quote = text.first().filter(|byte| matches!(byte, b'"' | b'\''));
    let mark = usize::from(quote.is_some());
    let name = text[mark..].iter().take_while(|byte| is_key(byte)).count();
    let after = &text[mark + name..];
    let after = quote.map_or(Some(after), |quote| after.strip_prefix(&[*quote]))?;
    let value = after.strip_prefix(b":")?;
    let spaces = leading_spaces(value);
    (name > 0 && spaces > 0).then(|| text.len() - value.len() + spaces)
}

/// Returns true if only indicators and white space follow the `>` of a folded block (YAML 1.2,
/// 8.1.1).
fn is_block_header(text: &[u8]) -> bool {
    text.trim_ascii()
        .iter()
        .all(|byte| matches!(byte, b'-' | b'+' | b'1'..=b'9'))
}

#[cfg(test)]
mod tests;
