//! `google.rpc.RetryInfo` in the details of a gRPC status: the delay after which the collector
//! accepts a retry (OTLP specification, "OTLP/gRPC Throttling").

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::otlp::protobuf::{FieldReader, FieldValue};

/// Field number of the list of `google.protobuf.Any` in a `google.rpc.Status`.
const DETAILS: u32 = 3;
/// Field numbers of a `google.protobuf.Any`.
const TYPE_URL: u32 = 1;
const VALUE: u32 = 2;
/// Field number of the `google.protobuf.Duration` in a `google.rpc.RetryInfo`.
const RETRY_DELAY: u32 = 1;
/// Field numbers of a `google.protobuf.Duration`.
const SECONDS: u32 = 1;
const NANOSECONDS: u32 = 2;

const RETRY_INFO: &[u8] = b"/google.rpc.RetryInfo";

/// gRPC writes binary values without padding, and accepts both forms.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Returns the delay in the value of `grpc-status-details-bin`.
pub(super) fn delay(details: &[u8]) -> Option<Duration> {
    let status = BASE64.decode(details.trim_ascii()).ok()?;
    let mut delay = None;
    for field in FieldReader::new(&status) {
        if let (DETAILS, FieldValue::Bytes(any)) = field.ok()? {
            delay = delay.or_else(|| retry_info_delay(any));
        }
    }
    delay
}

/// Returns the delay in a `google.protobuf.Any` if it holds a `google.rpc.RetryInfo`.
fn retry_info_delay(any: &[u8]) -> Option<Duration> {
    let (mut type_url, mut value) = (&[][..], &[][..]);
    for field in FieldReader::new(any) {
        match field.ok()? {
            (TYPE_URL, FieldValue::Bytes(bytes)) => type_url = bytes,
            (VALUE, FieldValue::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    if !type_url.ends_with(RETRY_INFO) {
        return None;
    }
    let mut delay = None;
    for field in FieldReader::new(value) {
        if let (RETRY_DELAY, FieldValue::Bytes(bytes)) = field.ok()? {
            delay = duration(bytes);
        }
    }
    delay
}

/// Reads a `google.protobuf.Duration`. Returns `None` if it is negative or malformed.
fn duration(bytes: &[u8]) -> Option<Duration> {
    let (mut seconds, mut nanoseconds) = (0, 0);
    for field in FieldReader::new(bytes) {
        match field.ok()? {
            (SECONDS, FieldValue::Varint(number)) => seconds = number,
            (NANOSECONDS, FieldValue::Varint(number)) => nanoseconds = number,
            _ => {}
        }
    }
    let seconds = u64::try_from(seconds.cast_signed()).ok()?;
    let nanoseconds = u32::try_from(nanoseconds).ok()?;
    Some(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanoseconds.into())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Encodes a length-delimited field.
    fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
        const LENGTH_DELIMITED: u32 = 2;
        let tag = number << 3 | LENGTH_DELIMITED;
        [&[tag as u8, bytes.len() as u8], bytes].concat()
    }

    fn details(type_url: &str, delay: &[u8]) -> Vec<u8> {
        let any = [
            field(TYPE_URL, type_url.as_bytes()),
            field(VALUE, &field(RETRY_DELAY, delay)),
        ];
        let bad_request = field(TYPE_URL, b"type.googleapis.com/google.rpc.BadRequest");
        [
            vec![0x08, 14],
            field(2, b"busy"),
            field(DETAILS, &bad_request),
            field(DETAILS, &any.concat()),
        ]
        .concat()
    }

    const RETRY_INFO_URL: &str = "type.googleapis.com/google.rpc.RetryInfo";

    fn encoded(details: &[u8]) -> String {
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(details)
    }

    #[test]
    fn the_delay_is_read_from_the_details_with_and_without_padding() {
        let read_delay = |bytes: &[u8]| {
            let details = details(RETRY_INFO_URL, bytes);
            let padded = base64::engine::general_purpose::STANDARD.encode(&details);
            assert_eq!(
                delay(padded.as_bytes()),
                delay(encoded(&details).as_bytes())
            );
            delay(padded.as_bytes())
        };
        assert_eq!(read_delay(&[0x08, 5]), Some(Duration::from_secs(5)));
        let half = [0x08, 1, 0x10, 0x80, 0xca, 0xb5, 0xee, 1];
        assert_eq!(read_delay(&half), Some(Duration::from_millis(1500)));
        assert_eq!(read_delay(&[]), Some(Duration::ZERO));
        let negative = [
            0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ];
        assert_eq!(read_delay(&negative), None);
    }

    #[test]
    fn details_without_retry_info_have_no_delay() {
        let other = details("type.googleapis.com/google.rpc.Help", &[0x08, 5]);
        let truncated = &details(RETRY_INFO_URL, &[0x08, 5])[..20];
        for value in [
            encoded(&other),
            encoded(truncated),
            "*".to_owned(),
            String::new(),
        ] {
            assert_eq!(delay(value.as_bytes()), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = delay(&bytes);
            let _ = delay(encoded(&bytes).as_bytes());
            let _ = delay(encoded(&details(RETRY_INFO_URL, &bytes)).as_bytes());
        }
    }
}
