//! Requests as the lines that they would be in a log.

use std::io::{self, Write};

use crate::export::spill::Spill;
use crate::otlp::encode::ResourceFrame;
use crate::otlp::json::{Raw, Reader};
use crate::otlp::protobuf as wire;

/// The field of a request that is a `ResourceSpans`, and that of a `ResourceSpans` that is a
/// `ScopeSpans`.
const RESOURCE_SPANS: u32 = 1;
const SCOPE_SPANS: u32 = 2;
/// The field of a `ScopeSpans` that is a span.
const SPANS: u32 = 2;

/// Writes an `ExportTraceServiceRequest` in protobuf as the lines that a process writes for spans
/// that no collector takes: for tests of programs that read such lines. `line_bytes` is the maximum
/// length of a line, including its line break, as `BATON_SPILL_LINE_BYTES` sets it.
///
/// # Errors
///
/// When `out` fails, or when the request is none.
pub fn spill(request: &[u8], line_bytes: usize, out: &mut dyn Write) -> io::Result<()> {
    for resource in messages(request, RESOURCE_SPANS)?.of_interest {
        let resource = messages(resource, SCOPE_SPANS)?;
        let frame = ResourceFrame {
            head: resource.rest,
            ..ResourceFrame::default()
        };
        let spill = Spill::new(&frame, line_bytes);
        let mut scopes = Vec::new();
        for scope in resource.of_interest {
            let scope = messages(scope, SPANS)?;
            let mut spans = Vec::new();
            for span in scope.of_interest {
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

/// A message taken apart.
struct Apart<'a> {
    of_interest: Vec<&'a [u8]>,
    /// The other fields that are bytes, as they were: in these messages all are.
    rest: Vec<u8>,
}

fn messages(bytes: &[u8], field: u32) -> io::Result<Apart<'_>> {
    let mut apart = Apart {
        of_interest: Vec::new(),
        rest: Vec::new(),
    };
    let mut reader = Reader::new(bytes);
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    while let Some((number, raw)) = reader.next().map_err(invalid)? {
        match raw {
            Raw::Bytes(message) if number == field => apart.of_interest.push(message),
            Raw::Bytes(other) => wire::bytes_always(&mut apart.rest, number, other),
            _ => {}
        }
    }
    Ok(apart)
}
