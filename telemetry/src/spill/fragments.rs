//! A document that is too long for a line, cut into pieces.

use super::{HEADER_ROOM, MAX_LINE, begin_line};
use crate::otlp_json::{escaped_length, string};
use std::io::{self, Write};

/// The longest piece, as it stands in the line.
const ROOM: usize = MAX_LINE - HEADER_ROOM;

/// Writes the text of a document with one span as numbered lines.
pub(super) fn write(text: &str, id: &str, out: &mut dyn Write) -> io::Result<()> {
    let parts = pieces(text).count();
    let mut line = Vec::with_capacity(MAX_LINE);
    for (at, piece) in pieces(text).enumerate() {
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

/// Pieces that are as long as they can be, none of which ends inside of a character.
fn pieces(mut rest: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let mut length = 0;
        let mut characters = rest.char_indices();
        let end = characters.find(|(_, character)| {
            length += escaped_length(*character);
            length > ROOM
        });
        let (piece, behind) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}
