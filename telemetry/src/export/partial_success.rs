//! What a collector says of records that it did not take of a request it answered with success (OTLP specification, "Partial Success").

use std::borrow::Cow;

/// Of a collector's message so much goes into the log: enough for a sentence and an identifier.
const MAX_MESSAGE: usize = 512;

/// Tags of `ExportTraceServiceResponse` and of the `ExportTracePartialSuccess` in it; the other signals have the same.
const PARTIAL_SUCCESS: u64 = 1 << 3 | LENGTH_DELIMITED;
const REJECTED: u64 = 1 << 3 | VARINT;
const ERROR_MESSAGE: u64 = 2 << 3 | LENGTH_DELIMITED;

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PartialSuccess<'a> {
    pub(crate) rejected: u64,
    message: &'a [u8],
}

impl<'a> PartialSuccess<'a> {
    /// `None` where none were rejected, or the body is not OTLP: the status has said that the request was accepted.
    pub(crate) fn read(body: &'a [u8]) -> Option<Self> {
        let mut partial = Self::default();
        each_field(body, |tag, _, inner| match tag {
            PARTIAL_SUCCESS => partial.read_inner(inner),
            _ => Some(()),
        })?;
        (partial.rejected > 0).then_some(partial)
    }

    fn read_inner(&mut self, bytes: &'a [u8]) -> Option<()> {
        each_field(bytes, |tag, number, text| {
            match tag {
                // An `int64`: what is below zero says nothing.
                REJECTED => self.rejected = i64::try_from(number).unwrap_or(0) as u64,
                ERROR_MESSAGE => self.message = text,
                _ => {}
            }
            Some(())
        })
    }

    pub(crate) fn message(&self) -> Cow<'a, str> {
        let length = self.message.len().min(MAX_MESSAGE);
        String::from_utf8_lossy(&self.message[..length])
    }
}

/// Gives each field's tag, with its number or its bytes; `None` where this is not protobuf.
pub(crate) fn each_field<'a>(
    mut rest: &'a [u8],
    mut read: impl FnMut(u64, u64, &'a [u8]) -> Option<()>,
) -> Option<()> {
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let (mut number, mut length) = (0, 0);
        match tag & 7 {
            VARINT => number = varint(&mut rest)?,
            FIXED64 => length = 8,
            LENGTH_DELIMITED => length = usize::try_from(varint(&mut rest)?).ok()?,
            FIXED32 => length = 4,
            _ => return None,
        }
        let (bytes, behind) = rest.split_at_checked(length)?;
        rest = behind;
        read(tag, number, bytes)?;
    }
    Some(())
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use proptest::prelude::*;
    use prost::Message as _;

    fn response(rejected_spans: i64, error_message: &str) -> Vec<u8> {
        let partial_success = Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: error_message.to_owned(),
        });
        ExportTraceServiceResponse { partial_success }.encode_to_vec()
    }

    fn read(body: &[u8]) -> Option<(u64, String)> {
        PartialSuccess::read(body).map(|partial| (partial.rejected, partial.message().into_owned()))
    }

    #[test]
    fn full_success_and_what_is_not_otlp_reject_nothing() {
        let cut = &response(300, "quota")[..5];
        for body in [&[][..], &[10, 0], b"{}", b"ok", cut] {
            assert_eq!(read(body), None, "{body:?}");
        }
        assert_eq!(read(&response(0, "a warning")), None);
        assert_eq!(read(&response(-1, "nonsense")), None);
    }

    #[test]
    fn fields_of_other_versions_are_passed_over() {
        let unknown = [
            0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8, 0x28, 0x80, 1,
        ];
        let body = [&unknown[..], &response(2, "quota"), &unknown].concat();
        assert_eq!(read(&body), Some((2, "quota".to_owned())));
    }

    #[test]
    fn a_long_message_is_cut() {
        let (_, message) = read(&response(1, &"x".repeat(MAX_MESSAGE * 2))).unwrap();
        assert_eq!(message.len(), MAX_MESSAGE);
    }

    proptest! {
        #[test]
        fn what_others_write_is_read(rejected in 1..=i64::MAX, message in "\\PC{0,100}") {
            let expected = Some((rejected as u64, message.clone()));
            prop_assert_eq!(read(&response(rejected, &message)), expected);
        }

        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&body);
        }
    }
}
