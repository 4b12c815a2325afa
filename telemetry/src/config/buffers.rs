//! How much is kept for a collector that does not take it.

use std::num::NonZeroUsize;

use super::reader::Reader;
use crate::buffer::Bounds;

/// A batch of 10,000 records, the most that SQS hands to a function, each with four spans of its
/// own.
pub(super) const DEFAULT_MAX_SPANS: usize = 50_000;
/// As many spans at a usual 350 to 600 bytes, a quarter of the smallest function's memory.
pub(super) const DEFAULT_MAX_SPAN_BYTES: usize = 32 * 1024 * 1024;
/// The same batch with two lines a record.
pub(super) const DEFAULT_MAX_LOG_RECORDS: usize = 20_000;
/// As many at a usual 250 to 400 bytes. A quarter of what spans may take: every one of them is on
/// stdout as well.
pub(super) const DEFAULT_MAX_LOG_BYTES: usize = 8 * 1024 * 1024;
/// A flush's metrics are a few kilobytes, so these are the metrics of some hundreds of flushes.
pub(super) const DEFAULT_MAX_METRIC_BYTES: usize = 1024 * 1024;

const BYTES_FORM: &str = "a whole number of bytes from 1";

pub(super) fn spans(reader: &mut Reader<'_>) -> Bounds {
    Bounds {
        records: bound(
            reader,
            "OTEL_BSP_MAX_QUEUE_SIZE",
            "a whole number from 1",
            DEFAULT_MAX_SPANS,
        ),
        bytes: bound(
            reader,
            "BATON_SPAN_BUFFER_BYTES",
            BYTES_FORM,
            DEFAULT_MAX_SPAN_BYTES,
        ),
    }
}

pub(super) fn logs(reader: &mut Reader<'_>) -> Bounds {
    Bounds {
        records: bound(
            reader,
            "OTEL_BLRP_MAX_QUEUE_SIZE",
            "a whole number from 1",
            DEFAULT_MAX_LOG_RECORDS,
        ),
        bytes: bound(
            reader,
            "BATON_LOG_BUFFER_BYTES",
            BYTES_FORM,
            DEFAULT_MAX_LOG_BYTES,
        ),
    }
}

pub(super) fn metric_bytes(reader: &mut Reader<'_>) -> usize {
    let default = DEFAULT_MAX_METRIC_BYTES;
    bound(reader, "BATON_METRIC_BUFFER_BYTES", BYTES_FORM, default)
}

/// Zero would drop everything.
fn bound(reader: &mut Reader<'_>, name: &'static str, form: &'static str, default: usize) -> usize {
    let number: Option<NonZeroUsize> = reader.number(name, form);
    number.map_or(default, NonZeroUsize::get)
}
