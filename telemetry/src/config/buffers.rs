//! Bounds of the buffers.

use std::num::NonZeroUsize;

use super::reader::VariableReader;
use crate::buffer::Bounds;

/// The spans of a batch of 10,000 records, the maximum of an event source mapping, with four spans
/// of the handler for each.
pub(super) const DEFAULT_MAX_SPANS: usize = 50_000;
/// The size of these spans, usually 350 to 600 bytes each: a quarter of the smallest function's
/// memory.
pub(super) const DEFAULT_MAX_SPAN_BYTES: usize = 32 * 1024 * 1024;
/// The log records of the same batch, with two lines for each record.
pub(super) const DEFAULT_MAX_LOG_RECORDS: usize = 20_000;
/// The size of these log records, usually 250 to 400 bytes each. It is a quarter of the limit for
/// spans, because each of them is also on stdout.
pub(super) const DEFAULT_MAX_LOG_BYTES: usize = 8 * 1024 * 1024;
/// The metrics of some hundreds of flushes, a few kilobytes each.
pub(super) const DEFAULT_MAX_METRIC_BYTES: usize = 1024 * 1024;

const BYTES_FORM: &str = "a positive integer, in bytes";

pub(super) fn spans(reader: &mut VariableReader<'_>) -> Bounds {
    Bounds {
        records: bound(
            reader,
            "OTEL_BSP_MAX_QUEUE_SIZE",
            "a positive integer",
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

pub(super) fn logs(reader: &mut VariableReader<'_>) -> Bounds {
    Bounds {
        records: bound(
            reader,
            "OTEL_BLRP_MAX_QUEUE_SIZE",
            "a positive integer",
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

pub(super) fn metric_bytes(reader: &mut VariableReader<'_>) -> usize {
    let default = DEFAULT_MAX_METRIC_BYTES;
    bound(reader, "BATON_METRIC_BUFFER_BYTES", BYTES_FORM, default)
}

/// Reads a bound, which must not be zero.
fn bound(
    reader: &mut VariableReader<'_>,
    name: &'static str,
    form: &'static str,
    default: usize,
) -> usize {
    let number: Option<NonZeroUsize> = reader.number(name, form);
    number.map_or(default, NonZeroUsize::get)
}
