//! Partial success: records that the collector rejected although it accepted the request (OTLP
//! specification, "Partial Success").

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::protobuf::{FieldReader, FieldValue};

/// Maximum number of bytes of a collector's message that are logged: enough for a sentence and an
/// identifier.
const MAX_MESSAGE: usize = 512;

/// Field numbers of `ExportTraceServiceResponse` and of the `ExportTracePartialSuccess` in it. The
/// other signals have the same.
const PARTIAL_SUCCESS: u32 = 1;
const REJECTED: u32 = 1;
const ERROR_MESSAGE: u32 = 2;

/// JSON names. A parser must also accept the names of the protobuf fields (proto3 JSON mapping).
/// Each signal has its own count.
const PARTIAL_SUCCESS_NAMES: [&str; 2] = ["partialSuccess", "partial_success"];
const ERROR_MESSAGE_NAMES: [&str; 2] = ["errorMessage", "error_message"];
const REJECTED_NAMES: [&str; 6] = [
    "rejectedSpans",
    "rejectedDataPoints",
    "rejectedLogRecords",
    "rejected_spans",
    "rejected_data_points",
    "rejected_log_records",
];

/// Content of a partial success. Full success has 0 rejected records and an empty message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PartialSuccess {
    pub(crate) rejected: u64,
    /// Human-readable text; a warning if no record was rejected (OTLP specification, "Partial
    /// Success").
    pub(crate) message: String,
}

impl PartialSuccess {
    /// Reads an `Export…ServiceResponse` in protobuf. Returns `None` if it is not one.
    pub(crate) fn from_protobuf(body: &[u8]) -> Option<Self> {
        let (mut rejected, mut message) = (0, &[][..]);
        for field in FieldReader::new(body) {
            let (PARTIAL_SUCCESS, FieldValue::Bytes(partial)) = field.ok()? else {
                continue;
            };
            for field in FieldReader::new(partial) {
                match field.ok()? {
                    // The field is an `int64`; negative values have no meaning.
                    (REJECTED, FieldValue::Varint(number)) => {
                        rejected = i64::try_from(number).unwrap_or(0);
                    }
                    (ERROR_MESSAGE, FieldValue::Bytes(text)) => message = text,
                    _ => {}
                }
            }
        }
        let message = &message[..message.len().min(MAX_MESSAGE)];
        Some(Self::new(rejected, String::from_utf8_lossy(message)))
    }

    /// Reads an `Export…ServiceResponse` in OTLP/JSON, where numbers may be strings (proto3 JSON
    /// mapping). Unknown members are ignored if there is a `partialSuccess`. Without it they show
    /// another kind of response, and `None` is returned.
    pub(crate) fn from_json(body: &[u8]) -> Option<Self> {
        let Value::Object(response) = serde_json::from_slice(body).ok()? else {
            return None;
        };
        let partial = match member(&response, &PARTIAL_SUCCESS_NAMES) {
            Some(Value::Null) => return Some(Self::default()),
            Some(Value::Object(partial)) => partial,
            None if response.is_empty() => return Some(Self::default()),
            _ => return None,
        };
        // 1, 1.0 and "1" are the same number (proto3 JSON mapping).
        let rejected = match member(partial, &REJECTED_NAMES) {
            None | Some(Value::Null) => 0.0,
            Some(Value::String(number)) => number.parse().ok()?,
            Some(number) => number.as_f64()?,
        };
        // The fraction of NaN and infinity is NaN.
        if rejected.fract() != 0.0 {
            return None;
        }
        let message = match member(partial, &ERROR_MESSAGE_NAMES) {
            None | Some(Value::Null) => "",
            Some(message) => message.as_str()?,
        };
        let message = &message[..message.floor_char_boundary(MAX_MESSAGE)];
        Some(Self::new(rejected as i64, message.into()))
    }

    fn new(rejected: i64, message: Cow<'_, str>) -> Self {
        Self {
            rejected: u64::try_from(rejected).unwrap_or(0),
            message: message.into_owned(),
        }
    }
}

/// Returns the first member with one of the names.
fn member<'a>(object: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    names.iter().find_map(|name| object.get(*name))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn response(rejected_spans: i64, error_message: &str) -> Vec<u8> {
        let partial_success = Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: error_message.to_owned(),
        });
        ExportTraceServiceResponse { partial_success }.encode_to_vec()
    }

    fn read(body: &[u8]) -> Option<(u64, String)> {
        PartialSuccess::from_protobuf(body).map(|partial| (partial.rejected, partial.message))
    }

    fn read_json(body: &str) -> Option<(u64, String)> {
        let partial = PartialSuccess::from_json(body.as_bytes());
        partial.map(|partial| (partial.rejected, partial.message))
    }

    fn partial(rejected: u64, message: &str) -> Option<(u64, String)> {
        Some((rejected, message.to_owned()))
    }

    #[test]
    fn full_success_is_empty() {
        for body in [&[][..], &[10, 0], &response(-1, "")] {
            assert_eq!(read(body), partial(0, ""), "{body:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_protobuf_are_not_a_response() {
        let truncated = &response(300, "quota")[..5];
        for body in [&b"{}"[..], b"ok", b"<!doctype html>", &[0, 0], truncated] {
            assert_eq!(read(body), None, "{body:?}");
        }
    }

    #[test]
    fn a_message_without_rejected_records_is_kept() {
        let expected = partial(0, "a warning");
        assert_eq!(read(&response(0, "a warning")), expected);
        assert_eq!(read(&response(-1, "a warning")), expected);
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let unknown = [
            0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8, 0x28, 0x80, 1,
        ];
        let body = [&unknown[..], &response(2, "quota"), &unknown].concat();
        assert_eq!(read(&body), partial(2, "quota"));
    }

    #[test]
    fn a_long_message_is_truncated() {
        let long = "ü".repeat(MAX_MESSAGE);
        let (_, message) = read(&response(1, &long)).unwrap();
        assert_eq!(message.len(), MAX_MESSAGE);
        let json = format!("{{\"partialSuccess\":{{\"errorMessage\":\"x{long}\"}}}}");
        let (_, message) = read_json(&json).unwrap();
        assert_eq!(message.len(), MAX_MESSAGE - 1);
    }

    #[test]
    fn json_is_read_with_numbers_as_numbers_and_as_strings() {
        for (body, expected) in [
            ("{}", (0, "")),
            (r#"{"partialSuccess":null}"#, (0, "")),
            (r#"{"other":[1],"partialSuccess":{}}"#, (0, "")),
            (r#"{"partialSuccess":{"rejectedSpans":"2"}}"#, (2, "")),
            (r#"{"partialSuccess":{"rejectedSpans":2.0}}"#, (2, "")),
            (r#"{"partialSuccess":{"rejectedSpans":"2.0"}}"#, (2, "")),
            (r#"{"partialSuccess":{"rejectedSpans":-1}}"#, (0, "")),
            (
                r#"{"partial_success":{"rejected_spans":2,"error_message":"x"}}"#,
                (2, "x"),
            ),
            (
                r#"{"partialSuccess":{"rejectedDataPoints":3,"errorMessage":"x"}}"#,
                (3, "x"),
            ),
            (
                r#"{"partialSuccess":{"rejectedLogRecords":"0","errorMessage":"x"}}"#,
                (0, "x"),
            ),
        ] {
            let (rejected, message) = expected;
            assert_eq!(read_json(body), partial(rejected, message), "{body}");
        }
        for body in [
            "",
            "[]",
            "null",
            "{",
            r#"{"error":"no such route","ok":false}"#,
            r#"{"partialSuccess":[]}"#,
            r#"{"partialSuccess":{"rejectedSpans":1.5}}"#,
            r#"{"partialSuccess":{"rejectedSpans":"NaN"}}"#,
            r#"{"partialSuccess":{"rejectedSpans":"inf"}}"#,
            r#"{"partialSuccess":{"rejectedSpans":"many"}}"#,
        ] {
            assert_eq!(read_json(body), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn responses_of_opentelemetry_proto_are_read(rejected in 1..=i64::MAX, message in "\\PC{0,100}") {
            let expected = Some((rejected as u64, message.clone()));
            prop_assert_eq!(read(&response(rejected, &message)), expected);
        }

        #[test]
        fn parsing_never_panics(body in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&body);
        }
    }
}
