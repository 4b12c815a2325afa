//! Spilling of requests, for tests.

use std::io::{self, Write};

use crate::export::spill::Spill;
use crate::otlp::encode::ResourceFrame;
use crate::otlp::protobuf::{self as wire, FieldReader, FieldValue};

/// Field numbers of the `ResourceSpans` in a request, and of the `ScopeSpans` in a `ResourceSpans`.
const RESOURCE_SPANS: u32 = 1;
const SCOPE_SPANS: u32 = 2;
/// Field number of the spans in a `ScopeSpans`.
const SPANS: u32 = 2;

/// Writes an `ExportTraceServiceRequest` in protobuf as spilled lines, for tests of programs that
/// read them. `line_bytes` is the maximum length of a line, including its line break, as
/// `BATON_SPILL_LINE_BYTES` sets it.
///
/// # Errors
///
/// Returns an error if `out` fails, or if the bytes are not such a request.
pub fn spill(request: &[u8], line_bytes: usize, out: &mut dyn Write) -> io::Result<()> {
    for resource in split_message(request, RESOURCE_SPANS)?.selected {
        let resource = split_message(resource, SCOPE_SPANS)?;
        let frame = ResourceFrame {
            head: resource.rest,
            ..ResourceFrame::default()
        };
        let spill = Spill::new(&frame, line_bytes);
        let mut scopes = Vec::new();
        for scope in resource.selected {
            let scope = split_message(scope, SPANS)?;
            let mut spans = Vec::new();
            for span in scope.selected {
                wire::bytes_always(&mut spans, SPANS, span);
            }
            scopes.push((scope.rest, spans));
        }
        spill.write_scopes(
            scopes.iter().map(|(scope, spans)| (&**scope, &**spans)),
            out,
        )?;
    }
    Ok(())
}

/// A message, split into the fields with one number and the others.
struct SplitMessage<'a> {
    selected: Vec<&'a [u8]>,
    /// The other length-delimited fields, encoded. These messages have no others.
    rest: Vec<u8>,
}

fn split_message(bytes: &[u8], field: u32) -> io::Result<SplitMessage<'_>> {
    let mut split = SplitMessage {
        selected: Vec::new(),
        rest: Vec::new(),
    };
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    for next in FieldReader::new(bytes) {
        let (number, value) = next.map_err(invalid)?;
        match value {
            FieldValue::Bytes(message) if number == field => split.selected.push(message),
            FieldValue::Bytes(other) => wire::bytes_always(&mut split.rest, number, other),
            _ => {}
        }
    }
    Ok(split)
}
