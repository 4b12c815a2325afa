//! Documents that are too long for a line, written in fragments.

use std::io::{self, Write};

use super::{MAX_HEADER_BYTES, write_header};
use crate::otlp::json::{escaped_length, string};

/// Writes the text of a document with one span as numbered lines of at most `line_bytes`.
pub(super) fn write(
    text: &str,
    id: &str,
    line_bytes: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let max_bytes = line_bytes - MAX_HEADER_BYTES;
    let count = fragments(text, max_bytes).count();
    let mut line = Vec::with_capacity(line_bytes);
    for (index, fragment) in fragments(text, max_bytes).enumerate() {
        line.clear();
        write_header(&mut line, id, 1);
        // Writing to a `Vec` cannot fail.
        let _ = write!(line, r#""part":{},"parts":{count},"text":"#, index + 1);
        string(&mut line, fragment);
        line.extend_from_slice(b"}\n");
        out.write_all(&line)?;
    }
    Ok(())
}

/// Splits the text into fragments of at most `max_bytes` bytes, as escaped in the line, at
/// character boundaries.
fn fragments(mut rest: &str, max_bytes: usize) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let mut length = 0;
        let mut characters = rest.char_indices();
        let end = characters.find(|(_, character)| {
            length += escaped_length(*character);
            length > max_bytes
        });
        let (fragment, remainder) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        rest = remainder;
        (!fragment.is_empty()).then_some(fragment)
    })
}
