//! A document that is too long for a line, cut into pieces.

use std::io::{self, Write};

use super::{HEADER_ROOM, begin_line};
use crate::otlp::json::{escaped_length, string};

/// Writes the text of a document with one span as numbered lines of at most `line_bytes`.
pub(super) fn write(
    text: &str,
    id: &str,
    line_bytes: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let room = line_bytes - HEADER_ROOM;
    let parts = pieces(text, room).count();
    let mut line = Vec::with_capacity(line_bytes);
    for (at, piece) in pieces(text, room).enumerate() {
        line.clear();
        begin_line(&mut line, id, 1);
        // Writing to a `Vec` cannot fail.
        let _ = write!(line, r#""part":{},"parts":{parts},"text":"#, at + 1);
        string(&mut line, piece);
        line.extend_from_slice(b"}\n");
        out.write_all(&line)?;
    }
    Ok(())
}

/// Splits the text into pieces of at most `room` bytes, as escaped in the line, at character
/// boundaries.
fn pieces(mut rest: &str, room: usize) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let mut length = 0;
        let mut characters = rest.char_indices();
        let end = characters.find(|(_, character)| {
            length += escaped_length(*character);
            length > room
        });
        let (piece, behind) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}
