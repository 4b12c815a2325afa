//! When a collector wants to be asked again over gRPC (OTLP specification, "OTLP/gRPC Throttling"):
//! `google.rpc.RetryInfo` among the details of the status.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::otlp::each_field;

const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;

/// Of `google.rpc.Status`: a list of `google.protobuf.Any`.
const DETAILS: u64 = 3 << 3 | LENGTH_DELIMITED;
const TYPE_URL: u64 = 1 << 3 | LENGTH_DELIMITED;
const VALUE: u64 = 2 << 3 | LENGTH_DELIMITED;
/// Of `google.rpc.RetryInfo`: a `google.protobuf.Duration`.
const RETRY_DELAY: u64 = 1 << 3 | LENGTH_DELIMITED;
const SECONDS: u64 = 1 << 3 | VARINT;
const NANOSECONDS: u64 = 2 << 3 | VARINT;

const RETRY_INFO: &[u8] = b"/google.rpc.RetryInfo";

/// gRPC writes binary values without padding, and takes both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The delay in the value of `grpc-status-details-bin`.
pub(super) fn delay(details: &[u8]) -> Option<Duration> {
    let status = BASE64.decode(details.trim_ascii()).ok()?;
    let mut delay = None;
    each_field(&status, |tag, _, any| {
        if tag == DETAILS {
            delay = delay.or_else(|| of_any(any));
        }
        Some(())
    })?;
    delay
}

fn of_any(any: &[u8]) -> Option<Duration> {
    let (mut type_url, mut value) = (&[][..], &[][..]);
    each_field(any, |tag, _, bytes| {
        match tag {
            TYPE_URL => type_url = bytes,
            VALUE => value = bytes,
            _ => {}
        }
        Some(())
    })?;
    if !type_url.ends_with(RETRY_INFO) {
        return None;
    }
    let mut delay = None;
    each_field(value, |tag, _, bytes| {
        if tag == RETRY_DELAY {
            delay = duration(bytes);
        }
        Some(())
    })?;
    delay
}

/// `None` for a time that is over, or none at all.
fn duration(bytes: &[u8]) -> Option<Duration> {
    let (mut seconds, mut nanoseconds) = (0, 0);
    each_field(bytes, |tag, number, _| {
        match tag {
            SECONDS => seconds = number,
            NANOSECONDS => nanoseconds = number,
            _ => {}
        }
        Some(())
    })?;
    let seconds = u64::try_from(seconds.cast_signed()).ok()?;
    let nanoseconds = u32::try_from(nanoseconds).ok()?;
    Some(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanoseconds.into())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Messages of the types of Google, written by hand: nothing else here needs them.
    fn field(tag: u64, bytes: &[u8]) -> Vec<u8> {
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
            field(2 << 3 | LENGTH_DELIMITED, b"busy"),
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
    fn the_delay_is_found_among_other_details_padded_or_not() {
        let delay_of = |bytes: &[u8]| {
            let details = details(RETRY_INFO_URL, bytes);
            let padded = base64::engine::general_purpose::STANDARD.encode(&details);
            assert_eq!(
                delay(padded.as_bytes()),
                delay(encoded(&details).as_bytes())
            );
            delay(padded.as_bytes())
        };
        assert_eq!(delay_of(&[0x08, 5]), Some(Duration::from_secs(5)));
        let half = [0x08, 1, 0x10, 0x80, 0xca, 0xb5, 0xee, 1];
        assert_eq!(delay_of(&half), Some(Duration::from_millis(1500)));
        assert_eq!(delay_of(&[]), Some(Duration::ZERO));
        let negative = [
            0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ];
        assert_eq!(delay_of(&negative), None);
    }

    #[test]
    fn without_retry_info_there_is_no_delay() {
        let other = details("type.googleapis.com/google.rpc.Help", &[0x08, 5]);
        let cut = &details(RETRY_INFO_URL, &[0x08, 5])[..20];
        for value in [encoded(&other), encoded(cut), "*".to_owned(), String::new()] {
            assert_eq!(delay(value.as_bytes()), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = delay(&bytes);
            let _ = delay(encoded(&bytes).as_bytes());
            let _ = delay(encoded(&details(RETRY_INFO_URL, &bytes)).as_bytes());
        }
    }
}
