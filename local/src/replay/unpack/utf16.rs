//! UTF-16, which Windows PowerShell writes when a command's output is redirected into a file.

use std::io::{self, Read};

use super::peek_reader::SharedPeekReader;

/// Number of bytes needed to recognise UTF-16.
pub(super) const LOOKAHEAD: usize = 32;

/// Byte order of UTF-16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    BigEndian,
    LittleEndian,
}

impl ByteOrder {
    fn unit(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::BigEndian => u16::from_be_bytes(bytes),
            Self::LittleEndian => u16::from_le_bytes(bytes),
        }
    }
}

/// Detects UTF-16 and its byte order from a byte order mark, or else from the zero bytes of mostly
/// ASCII text.
pub(super) fn detect(first: &[u8]) -> Option<ByteOrder> {
    match first {
        [0xff, 0xfe, 0, 0, ..] => return None,
        [0xff, 0xfe, ..] => return Some(ByteOrder::LittleEndian),
        [0xfe, 0xff, ..] => return Some(ByteOrder::BigEndian),
        _ => {}
    }
    let first = &first[..first.len().min(LOOKAHEAD)];
    let pairs: Vec<[u8; 2]> = first
        .chunks_exact(2)
        .map(|pair| [pair[0], pair[1]])
        .collect();
    let share = |is: fn(&[u8; 2]) -> bool| {
        let count = pairs.iter().filter(|pair| is(pair)).count();
        pairs.len() >= 4 && count * 4 >= pairs.len() * 3
    };
    if share(|[first, second]| *first != 0 && *second == 0) {
        Some(ByteOrder::LittleEndian)
    } else if share(|[first, second]| *first == 0 && *second != 0) {
        Some(ByteOrder::BigEndian)
    } else {
        None
    }
}

/// Reads UTF-16 as UTF-8. Unpaired surrogates become U+FFFD.
pub(super) struct Utf16Reader {
    input: SharedPeekReader,
    order: ByteOrder,
    /// UTF-8 that has not been read yet, in reverse order.
    rest: Vec<u8>,
}

impl Utf16Reader {
    pub(super) fn new(input: SharedPeekReader, order: ByteOrder) -> Self {
        Self {
            input,
            order,
            rest: Vec::new(),
        }
    }

    /// Decodes all complete characters in the buffer: at least one, unless the input ends.
    fn fill(&mut self) -> io::Result<()> {
        let mut input = self.input.borrow_mut();
        let is_short = input.peek(2)?.len() < 2;
        let bytes = input.peek(4)?;
        let mut units: Vec<u16> = bytes
            .chunks_exact(2)
            .map(|pair| self.order.unit([pair[0], pair[1]]))
            .collect();
        // The second half of a surrogate pair may be in the next bytes.
        if units.len() > 1
            && units
                .last()
                .is_some_and(|unit| (0xd800..0xdc00).contains(unit))
        {
            units.pop();
        }
        let consumed = if is_short {
            bytes.len()
        } else {
            units.len() * 2
        };
        let is_cut = is_short && consumed > 0;
        let characters =
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
        let text: String = characters
            .chain(is_cut.then_some(char::REPLACEMENT_CHARACTER))
            // Byte order marks also appear in the middle of concatenated files.
            .filter(|character| *character != '\u{feff}')
            .collect();
        input.consume(consumed);
        self.rest = text.into_bytes();
        self.rest.reverse();
        Ok(())
    }
}

impl Read for Utf16Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            if self.input.borrow_mut().peek(1)?.is_empty() {
                return Ok(0);
            }
            self.fill()?;
        }
        let count = buffer.len().min(self.rest.len());
        let decoded = self.rest.drain(self.rest.len() - count..).rev();
        buffer
            .iter_mut()
            .zip(decoded)
            .for_each(|(to, from)| *to = from);
        Ok(count)
    }
}
