//! Tables of the fields of OTLP's messages:
//! `opentelemetry/proto/{collector,common,resource,trace,metrics,logs}`, OTLP 1.9.

use FieldKind::{Base64, Hex, Text};
use Scalar::{
    Bool, Double, Fixed32, Fixed64, Signed32, Signed64, SignedFixed64, Unsigned32, Unsigned64,
    ZigZag32,
};
use Shape::{Many, One};

use crate::otlp::Signal;
use crate::otlp::protobuf::WireType;

/// Descriptor of a message: its fields.
#[derive(Debug)]
pub(crate) struct MessageDescriptor {
    pub(super) fields: &'static [FieldDescriptor],
    /// Number of fields, from the first, that are written even if they are empty.
    /// `opentelemetry-proto`, and so every Rust program that reads OTLP/JSON, requires them.
    required: usize,
}

#[derive(Debug)]
pub(super) struct FieldDescriptor {
    pub(super) number: u32,
    /// Name with quotes and colon, as written before the value.
    pub(super) key: &'static str,
    pub(super) shape: Shape,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    One(FieldKind),
    Many(FieldKind),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum FieldKind {
    Text,
    Hex,
    Base64,
    Scalar(Scalar),
    Message(&'static MessageDescriptor),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Bool,
    /// `uint32`.
    Unsigned32,
    /// `int32`, or an enumeration.
    Signed32,
    /// `sint32`.
    ZigZag32,
    Fixed32,
    /// `uint64`.
    Unsigned64,
    /// `int64`.
    Signed64,
    Fixed64,
    /// `sfixed64`.
    SignedFixed64,
    Double,
}

impl MessageDescriptor {
    /// Returns the field with this number, and its index in the table.
    pub(super) fn field(&self, number: u32) -> Option<(usize, &'static FieldDescriptor)> {
        let mut fields = self.fields.iter().enumerate();
        fields.find(|(_, field)| field.number == number)
    }

    /// Returns the field with this name.
    #[cfg(feature = "replay")]
    pub(super) fn field_by_name(&self, name: &str) -> Option<&'static FieldDescriptor> {
        self.fields.iter().find(|field| field.name() == name)
    }

    pub(super) fn required(&self) -> impl Iterator<Item = (usize, &'static FieldDescriptor)> {
        self.fields.iter().take(self.required).enumerate()
    }
}

#[cfg(feature = "replay")]
impl FieldDescriptor {
    /// Returns the name without quotes and colon.
    pub(super) fn name(&self) -> &'static str {
        self.key.trim_matches(['"', ':'])
    }
}

impl Scalar {
    pub(super) const fn wire_type(self) -> WireType {
        match self {
            Bool | Unsigned32 | Signed32 | ZigZag32 | Unsigned64 | Signed64 => WireType::Varint,
            Fixed64 | SignedFixed64 | Double => WireType::Fixed64,
            Fixed32 => WireType::Fixed32,
        }
    }
}

/// Defines the table of a message. The number of required fields follows the name.
macro_rules! message {
    ($visibility:vis $name:ident, $required:literal: $($number:literal $field:literal $shape:expr),* $(,)?) => {
        $visibility static $name: MessageDescriptor = MessageDescriptor {
            fields: &[$(FieldDescriptor {
                number: $number,
                key: concat!("\"", $field, "\":"),
                shape: $shape,
            }),*],
            required: $required,
        };
    };
}

const fn scalar(scalar: Scalar) -> Shape {
    One(FieldKind::Scalar(scalar))
}

const fn scalars(scalar: Scalar) -> Shape {
    Many(FieldKind::Scalar(scalar))
}

const fn message(message: &'static MessageDescriptor) -> Shape {
    One(FieldKind::Message(message))
}

const fn messages(message: &'static MessageDescriptor) -> Shape {
    Many(FieldKind::Message(message))
}

/// Returns the request of a signal.
pub(super) fn request(signal: Signal) -> &'static MessageDescriptor {
    match signal {
        Signal::Traces => &TRACE_REQUEST,
        Signal::Metrics => &METRICS_REQUEST,
        Signal::Logs => &LOGS_REQUEST,
    }
}

message! { pub(super) ANY_VALUE, 0:
    1 "stringValue" One(Text),
    2 "boolValue" scalar(Bool),
    3 "intValue" scalar(Signed64),
    4 "doubleValue" scalar(Double),
    5 "arrayValue" message(&ARRAY_VALUE),
    6 "kvlistValue" message(&KEY_VALUE_LIST),
    7 "bytesValue" One(Base64),
}
message! { ARRAY_VALUE, 1: 1 "values" messages(&ANY_VALUE) }
message! { KEY_VALUE_LIST, 1: 1 "values" messages(&KEY_VALUE) }
message! { KEY_VALUE, 1:
    1 "key" One(Text),
    2 "value" message(&ANY_VALUE),
}
message! { SCOPE, 0:
    1 "name" One(Text),
    2 "version" One(Text),
    3 "attributes" messages(&KEY_VALUE),
    4 "droppedAttributesCount" scalar(Unsigned32),
}
message! { ENTITY_REF, 4:
    1 "schemaUrl" One(Text),
    2 "type" One(Text),
    3 "idKeys" Many(Text),
    4 "descriptionKeys" Many(Text),
}
message! { RESOURCE, 0:
    1 "attributes" messages(&KEY_VALUE),
    2 "droppedAttributesCount" scalar(Unsigned32),
    3 "entityRefs" messages(&ENTITY_REF),
}

message! { TRACE_REQUEST, 0: 1 "resourceSpans" messages(&RESOURCE_SPANS) }
message! { pub(crate) RESOURCE_SPANS, 0:
    1 "resource" message(&RESOURCE),
    2 "scopeSpans" messages(&SCOPE_SPANS),
    3 "schemaUrl" One(Text),
}
message! { pub(crate) SCOPE_SPANS, 0:
    1 "scope" message(&SCOPE),
    2 "spans" messages(&SPAN),
    3 "schemaUrl" One(Text),
}
message! { pub(crate) SPAN, 0:
    1 "traceId" One(Hex),
    2 "spanId" One(Hex),
    3 "traceState" One(Text),
    4 "parentSpanId" One(Hex),
    5 "name" One(Text),
    6 "kind" scalar(Signed32),
    7 "startTimeUnixNano" scalar(Fixed64),
    8 "endTimeUnixNano" scalar(Fixed64),
    9 "attributes" messages(&KEY_VALUE),
    10 "droppedAttributesCount" scalar(Unsigned32),
    11 "events" messages(&EVENT),
    12 "droppedEventsCount" scalar(Unsigned32),
    13 "links" messages(&LINK),
    14 "droppedLinksCount" scalar(Unsigned32),
    15 "status" message(&STATUS),
    16 "flags" scalar(Fixed32),
}
message! { EVENT, 0:
    1 "timeUnixNano" scalar(Fixed64),
    2 "name" One(Text),
    3 "attributes" messages(&KEY_VALUE),
    4 "droppedAttributesCount" scalar(Unsigned32),
}
message! { LINK, 0:
    1 "traceId" One(Hex),
    2 "spanId" One(Hex),
    3 "traceState" One(Text),
    4 "attributes" messages(&KEY_VALUE),
    5 "droppedAttributesCount" scalar(Unsigned32),
    6 "flags" scalar(Fixed32),
}
message! { STATUS, 0:
    2 "message" One(Text),
    3 "code" scalar(Signed32),
}

message! { METRICS_REQUEST, 0: 1 "resourceMetrics" messages(&RESOURCE_METRICS) }
message! { RESOURCE_METRICS, 0:
    1 "resource" message(&RESOURCE),
    2 "scopeMetrics" messages(&SCOPE_METRICS),
    3 "schemaUrl" One(Text),
}
message! { SCOPE_METRICS, 0:
    1 "scope" message(&SCOPE),
    2 "metrics" messages(&METRIC),
    3 "schemaUrl" One(Text),
}
message! { METRIC, 0:
    1 "name" One(Text),
    2 "description" One(Text),
    3 "unit" One(Text),
    5 "gauge" message(&GAUGE),
    7 "sum" message(&SUM),
    9 "histogram" message(&HISTOGRAM),
    10 "exponentialHistogram" message(&EXPONENTIAL_HISTOGRAM),
    11 "summary" message(&SUMMARY),
    12 "metadata" messages(&KEY_VALUE),
}
message! { GAUGE, 0: 1 "dataPoints" messages(&NUMBER_DATA_POINT) }
message! { SUM, 0:
    1 "dataPoints" messages(&NUMBER_DATA_POINT),
    2 "aggregationTemporality" scalar(Signed32),
    3 "isMonotonic" scalar(Bool),
}
message! { HISTOGRAM, 0:
    1 "dataPoints" messages(&HISTOGRAM_DATA_POINT),
    2 "aggregationTemporality" scalar(Signed32),
}
message! { EXPONENTIAL_HISTOGRAM, 0:
    1 "dataPoints" messages(&EXPONENTIAL_HISTOGRAM_DATA_POINT),
    2 "aggregationTemporality" scalar(Signed32),
}
message! { SUMMARY, 0: 1 "dataPoints" messages(&SUMMARY_DATA_POINT) }
message! { NUMBER_DATA_POINT, 0:
    2 "startTimeUnixNano" scalar(Fixed64),
    3 "timeUnixNano" scalar(Fixed64),
    4 "asDouble" scalar(Double),
    5 "exemplars" messages(&EXEMPLAR),
    6 "asInt" scalar(SignedFixed64),
    7 "attributes" messages(&KEY_VALUE),
    8 "flags" scalar(Unsigned32),
}
message! { HISTOGRAM_DATA_POINT, 0:
    2 "startTimeUnixNano" scalar(Fixed64),
    3 "timeUnixNano" scalar(Fixed64),
    4 "count" scalar(Fixed64),
    5 "sum" scalar(Double),
    6 "bucketCounts" scalars(Fixed64),
    7 "explicitBounds" scalars(Double),
    8 "exemplars" messages(&EXEMPLAR),
    9 "attributes" messages(&KEY_VALUE),
    10 "flags" scalar(Unsigned32),
    11 "min" scalar(Double),
    12 "max" scalar(Double),
}
message! { EXPONENTIAL_HISTOGRAM_DATA_POINT, 0:
    1 "attributes" messages(&KEY_VALUE),
    2 "startTimeUnixNano" scalar(Fixed64),
    3 "timeUnixNano" scalar(Fixed64),
    4 "count" scalar(Fixed64),
    5 "sum" scalar(Double),
    6 "scale" scalar(ZigZag32),
    7 "zeroCount" scalar(Fixed64),
    8 "positive" message(&BUCKETS),
    9 "negative" message(&BUCKETS),
    10 "flags" scalar(Unsigned32),
    11 "exemplars" messages(&EXEMPLAR),
    12 "min" scalar(Double),
    13 "max" scalar(Double),
    14 "zeroThreshold" scalar(Double),
}
message! { BUCKETS, 0:
    1 "offset" scalar(ZigZag32),
    2 "bucketCounts" scalars(Unsigned64),
}
message! { SUMMARY_DATA_POINT, 0:
    2 "startTimeUnixNano" scalar(Fixed64),
    3 "timeUnixNano" scalar(Fixed64),
    4 "count" scalar(Fixed64),
    5 "sum" scalar(Double),
    6 "quantileValues" messages(&VALUE_AT_QUANTILE),
    7 "attributes" messages(&KEY_VALUE),
    8 "flags" scalar(Unsigned32),
}
message! { VALUE_AT_QUANTILE, 0:
    1 "quantile" scalar(Double),
    2 "value" scalar(Double),
}
message! { EXEMPLAR, 0:
    2 "timeUnixNano" scalar(Fixed64),
    3 "asDouble" scalar(Double),
    4 "spanId" One(Hex),
    5 "traceId" One(Hex),
    6 "asInt" scalar(SignedFixed64),
    7 "filteredAttributes" messages(&KEY_VALUE),
}

message! { LOGS_REQUEST, 0: 1 "resourceLogs" messages(&RESOURCE_LOGS) }
message! { RESOURCE_LOGS, 0:
    1 "resource" message(&RESOURCE),
    2 "scopeLogs" messages(&SCOPE_LOGS),
    3 "schemaUrl" One(Text),
}
message! { SCOPE_LOGS, 0:
    1 "scope" message(&SCOPE),
    2 "logRecords" messages(&LOG_RECORD),
    3 "schemaUrl" One(Text),
}
message! { LOG_RECORD, 0:
    1 "timeUnixNano" scalar(Fixed64),
    2 "severityNumber" scalar(Signed32),
    3 "severityText" One(Text),
    5 "body" message(&ANY_VALUE),
    6 "attributes" messages(&KEY_VALUE),
    7 "droppedAttributesCount" scalar(Unsigned32),
    8 "flags" scalar(Fixed32),
    9 "traceId" One(Hex),
    10 "spanId" One(Hex),
    11 "observedTimeUnixNano" scalar(Fixed64),
    12 "eventName" One(Text),
}
