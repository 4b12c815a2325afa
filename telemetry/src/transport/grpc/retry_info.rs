//! When a collector wants to be asked again over gRPC (OTLP specification, "OTLP/gRPC Throttling"): `google.rpc.RetryInfo` among the
//! details of the status.

use crate::export::each_field;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::time::Duration;

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
