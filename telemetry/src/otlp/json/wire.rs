//! Reading protobuf field by field.

/// Why bytes are not the message that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a protobuf field ends too early")]
    Truncated,
    #[error("a protobuf number is longer than 64 bits")]
    Overlong,
    #[error("a protobuf field has a wire type that its message does not have")]
    WireType,
    #[error("a protobuf field is there twice")]
    Twice,
    #[error("a protobuf string is not UTF-8")]
    NotUtf8,
    #[error("protobuf messages are nested too deeply")]
    TooDeep,
}

/// How a field's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint,
    Fixed64,
    Bytes,
    Fixed32,
}

/// A field's value, as it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Raw<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// The fields of one message, from the first to the last.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field's number and value.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Raw<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let wire_type = match tag & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Bytes,
            5 => WireType::Fixed32,
            // Groups are older than the oldest OTLP.
            _ => return Err(Malformed::WireType),
        };
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed::Overlong)?;
        Ok(Some((number, self.value(wire_type)?)))
    }

    /// The next of several values that were packed into one field.
    pub(crate) fn packed(&mut self, wire_type: WireType) -> Result<Option<Raw<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.value(wire_type).map(Some)
    }

    fn value(&mut self, wire_type: WireType) -> Result<Raw<'a>, Malformed> {
        Ok(match wire_type {
            WireType::Varint => Raw::Varint(self.varint()?),
            WireType::Fixed64 => Raw::Fixed64(u64::from_le_bytes(self.array()?)),
            WireType::Fixed32 => Raw::Fixed32(u32::from_le_bytes(self.array()?)),
            WireType::Bytes => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed::Overlong)?;
                let split = self.rest.split_at_checked(length);
                let (bytes, rest) = split.ok_or(Malformed::Truncated)?;
                self.rest = rest;
                Raw::Bytes(bytes)
            }
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(Malformed::Truncated)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte <= 0x7f {
                return Ok(value);
            }
        }
        Err(Malformed::Overlong)
    }
}
