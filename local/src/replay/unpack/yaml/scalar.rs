//! Joining of the lines of a YAML string.

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ScalarStyle {
    Double,
    Single,
    /// A block that begins with `>` and ends before the first line that is not indented further.
    Folded,
}

impl ScalarStyle {
    /// Returns the end of the string, or, as an error, the position from which to continue the
    /// search once there is more text.
    pub(super) fn end(self, text: &[u8], mut at: usize) -> Result<usize, usize> {
        let quote = match self {
            Self::Double => b'"',
            Self::Single => b'\'',
            Self::Folded => return Err(text.len()),
        };
        while let Some(byte) = text.get(at) {
            at += match byte {
                b'\\' if self == Self::Double => 2,
                b'\'' if self == Self::Single && text.get(at + 1) == Some(&quote) => 2,
                byte if *byte == quote => return Ok(at),
                _ => 1,
            };
        }
        Err(at)
    }
}

/// Joins the lines of a quoted string (YAML 1.2, 7.3.1 and 7.3.2): a single line break becomes a
/// space, each blank line becomes a line break, and a line break after a backslash is removed.
pub(super) fn join_quoted(inside: &[u8], style: ScalarStyle) -> Vec<u8> {
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
            fold(&mut text, breaks, is_escaped, style);
        }
        breaks = 0;
        let backslashes = content
            .iter()
            .rev()
            .take_while(|byte| **byte == b'\\')
            .count();
        is_escaped = style == ScalarStyle::Double && backslashes % 2 == 1;
        let end = content.len() - usize::from(is_escaped);
        text.extend_from_slice(&content[..end]);
    }
    // The string's last line holds only its closing quotation mark.
    if breaks > 0 {
        fold(&mut text, breaks - 1, is_escaped, style);
    }
    text
}

/// Joins the lines of a folded block scalar (YAML 1.2, 8.1.3): a single line break becomes a space,
/// each blank line becomes a line break, and line breaks next to more-indented lines are kept. The
/// indentation is that of the first line; an indentation indicator is ignored.
pub(super) fn join_folded(block: &[u8]) -> Vec<u8> {
    let lines = || {
        block
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii_end)
    };
    let first = lines().find(|line| !line.is_empty()).unwrap_or_default();
    let indent = leading_spaces(first);
    let mut text = Vec::with_capacity(block.len());
    let mut breaks = 0;
    let mut is_indented = false;
    for line in lines() {
        let Some(content) = line.get(indent..).filter(|content| !content.is_empty()) else {
            breaks += 1;
            continue;
        };
        let was_indented = std::mem::replace(&mut is_indented, content.starts_with(b" "));
        if !text.is_empty() {
            let kept = breaks + usize::from(was_indented || is_indented);
            match kept {
                0 => text.push(b' '),
                _ => text.extend(b"\n".repeat(kept)),
            }
        }
        breaks = 0;
        text.extend_from_slice(content);
    }
    text
}

fn fold(text: &mut Vec<u8>, breaks: usize, is_escaped: bool, style: ScalarStyle) {
    if !is_escaped {
        // White space around a line break is not part of the content.
        text.truncate(text.trim_ascii_end().len());
    }
    let line_break: &[u8] = if style == ScalarStyle::Double {
        b"\\n"
    } else {
        b"\n"
    };
    if breaks > 0 {
        text.extend(line_break.repeat(breaks));
    } else if !is_escaped {
        text.push(b' ');
    }
}

/// Converts escapes that exist only in YAML to JSON escapes.
pub(super) fn json_escapes(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let Some((letter, after)) = rest.split_first() else {
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
            b'x' => (hexadecimal(after, 2), 2),
            b'U' => (hexadecimal(after, 8), 8),
            _ => (None, 0),
        };
        rest = after;
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

pub(super) fn leading_spaces(line: &[u8]) -> usize {
    line.iter().take_while(|byte| **byte == b' ').count()
}
