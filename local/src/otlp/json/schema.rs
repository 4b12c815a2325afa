//! Messages of OTLP (opentelemetry-proto 1.7): the name, number and type of each field. Fields that
//! are not listed here are ignored.

use FieldType::{
    Bool, Bytes, Double, Enum, Fixed32, Fixed64, Id, Int64, Message, Sfixed64, Sint32, Text,
    Uint32, Uint64,
};

/// A message type.
#[derive(Debug)]
pub(in crate::otlp) struct Schema {
    pub(super) fields: &'static [Field],
    /// Reaction to a message that cannot be read.
    pub(super) recovery: Recovery,
}

impl Schema {
    /// Returns the field with this name, in camelCase or snake_case.
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        let name = camel_case(name);
        self.fields.iter().find(|field| field.name == name)
    }
}

/// Converts `trace_id` to `traceId`, so that both spellings compare equal.
fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut after_underscore = false;
    for character in name.chars() {
        if character == '_' {
            after_underscore = true;
            continue;
        }
        if after_underscore {
            camel.push(character.to_ascii_uppercase());
        } else {
            camel.push(character);
        }
        after_underscore = false;
    }
    camel
}

/// Reaction to a message that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recovery {
    /// Skips the enclosing message.
    Propagate,
    /// Skips the message, which is one span, data point or log record.
    SkipRecord,
    /// Skips the message with the records in it.
    SkipGroup,
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    /// Name in camelCase.
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) field_type: FieldType,
    pub(super) is_repeated: bool,
}

/// The type of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum FieldType {
    Message(&'static Schema),
    /// Enum names, in the order of their numbers from 0.
    Enum(&'static [&'static str]),
    Text,
    Bool,
    Double,
    Int64,
    Uint64,
    Uint32,
    Sint32,
    Fixed32,
    Fixed64,
    Sfixed64,
    /// Bytes in base64.
    Bytes,
    /// Bytes in hexadecimal, which OTLP uses for trace and span ids.
    Id,
}

const fn field(name: &'static str, number: u32, field_type: FieldType) -> Field {
    Field {
        name,
        number,
        field_type,
        is_repeated: false,
    }
}

const fn repeated(name: &'static str, number: u32, field_type: FieldType) -> Field {
    Field {
        name,
        number,
        field_type,
        is_repeated: true,
    }
}

const fn nested(fields: &'static [Field]) -> Schema {
    Schema {
        fields,
        recovery: Recovery::Propagate,
    }
}

const fn record(fields: &'static [Field]) -> Schema {
    Schema {
        fields,
        recovery: Recovery::SkipRecord,
    }
}

const fn group(fields: &'static [Field]) -> Schema {
    Schema {
        fields,
        recovery: Recovery::SkipGroup,
    }
}

/// Request of a signal. Its only field is the list of resources.
pub(in crate::otlp) static TRACES: Schema =
    nested(&[repeated("resourceSpans", 1, Message(&RESOURCE_SPANS))]);
pub(in crate::otlp) static METRICS: Schema =
    nested(&[repeated("resourceMetrics", 1, Message(&RESOURCE_METRICS))]);
pub(in crate::otlp) static LOGS: Schema =
    nested(&[repeated("resourceLogs", 1, Message(&RESOURCE_LOGS))]);

static RESOURCE_SPANS: Schema = group(&[
    field("resource", 1, Message(&RESOURCE)),
    repeated("scopeSpans", 2, Message(&SCOPE_SPANS)),
    field("schemaUrl", 3, Text),
]);
static SCOPE_SPANS: Schema = group(&[
    field("scope", 1, Message(&SCOPE)),
    repeated("spans", 2, Message(&SPAN)),
    field("schemaUrl", 3, Text),
]);
static RESOURCE_METRICS: Schema = group(&[
    field("resource", 1, Message(&RESOURCE)),
    repeated("scopeMetrics", 2, Message(&SCOPE_METRICS)),
    field("schemaUrl", 3, Text),
]);
static SCOPE_METRICS: Schema = group(&[
    field("scope", 1, Message(&SCOPE)),
    repeated("metrics", 2, Message(&METRIC)),
    field("schemaUrl", 3, Text),
]);
static RESOURCE_LOGS: Schema = group(&[
    field("resource", 1, Message(&RESOURCE)),
    repeated("scopeLogs", 2, Message(&SCOPE_LOGS)),
    field("schemaUrl", 3, Text),
]);
static SCOPE_LOGS: Schema = group(&[
    field("scope", 1, Message(&SCOPE)),
    repeated("logRecords", 2, Message(&LOG_RECORD)),
    field("schemaUrl", 3, Text),
]);

// An unreadable resource or scope is skipped without its spans, which are worth more than their
// description.
static RESOURCE: Schema = group(&[
    repeated("attributes", 1, Message(&KEY_VALUE)),
    field("droppedAttributesCount", 2, Uint32),
]);
static SCOPE: Schema = group(&[
    field("name", 1, Text),
    field("version", 2, Text),
    repeated("attributes", 3, Message(&KEY_VALUE)),
    field("droppedAttributesCount", 4, Uint32),
]);

static KEY_VALUE: Schema = nested(&[
    field("key", 1, Text),
    field("value", 2, Message(&ANY_VALUE)),
]);
static ANY_VALUE: Schema = nested(&[
    field("stringValue", 1, Text),
    field("boolValue", 2, Bool),
    field("intValue", 3, Int64),
    field("doubleValue", 4, Double),
    field("arrayValue", 5, Message(&ARRAY_VALUE)),
    field("kvlistValue", 6, Message(&KEY_VALUE_LIST)),
    field("bytesValue", 7, Bytes),
]);
static ARRAY_VALUE: Schema = nested(&[repeated("values", 1, Message(&ANY_VALUE))]);
static KEY_VALUE_LIST: Schema = nested(&[repeated("values", 1, Message(&KEY_VALUE))]);

static SPAN: Schema = record(&[
    field("traceId", 1, Id),
    field("spanId", 2, Id),
    field("traceState", 3, Text),
    field("parentSpanId", 4, Id),
    field("name", 5, Text),
    field("kind", 6, Enum(&SPAN_KINDS)),
    field("startTimeUnixNano", 7, Fixed64),
    field("endTimeUnixNano", 8, Fixed64),
    repeated("attributes", 9, Message(&KEY_VALUE)),
    field("droppedAttributesCount", 10, Uint32),
    repeated("events", 11, Message(&EVENT)),
    field("droppedEventsCount", 12, Uint32),
    repeated("links", 13, Message(&LINK)),
    field("droppedLinksCount", 14, Uint32),
    field("status", 15, Message(&STATUS)),
    field("flags", 16, Fixed32),
]);
static EVENT: Schema = nested(&[
    field("timeUnixNano", 1, Fixed64),
    field("name", 2, Text),
    repeated("attributes", 3, Message(&KEY_VALUE)),
    field("droppedAttributesCount", 4, Uint32),
]);
static LINK: Schema = nested(&[
    field("traceId", 1, Id),
    field("spanId", 2, Id),
    field("traceState", 3, Text),
    repeated("attributes", 4, Message(&KEY_VALUE)),
    field("droppedAttributesCount", 5, Uint32),
    field("flags", 6, Fixed32),
]);
static STATUS: Schema = nested(&[
    field("message", 2, Text),
    field("code", 3, Enum(&STATUS_CODES)),
]);

static METRIC: Schema = group(&[
    field("name", 1, Text),
    field("description", 2, Text),
    field("unit", 3, Text),
    field("gauge", 5, Message(&GAUGE)),
    field("sum", 7, Message(&SUM)),
    field("histogram", 9, Message(&HISTOGRAM)),
    field("exponentialHistogram", 10, Message(&EXPONENTIAL_HISTOGRAM)),
    field("summary", 11, Message(&SUMMARY)),
    repeated("metadata", 12, Message(&KEY_VALUE)),
]);
static GAUGE: Schema = nested(&[repeated("dataPoints", 1, Message(&NUMBER_POINT))]);
static SUM: Schema = nested(&[
    repeated("dataPoints", 1, Message(&NUMBER_POINT)),
    field("aggregationTemporality", 2, Enum(&TEMPORALITIES)),
    field("isMonotonic", 3, Bool),
]);
static HISTOGRAM: Schema = nested(&[
    repeated("dataPoints", 1, Message(&HISTOGRAM_POINT)),
    field("aggregationTemporality", 2, Enum(&TEMPORALITIES)),
]);
static EXPONENTIAL_HISTOGRAM: Schema = nested(&[
    repeated("dataPoints", 1, Message(&EXPONENTIAL_POINT)),
    field("aggregationTemporality", 2, Enum(&TEMPORALITIES)),
]);
static SUMMARY: Schema = nested(&[repeated("dataPoints", 1, Message(&SUMMARY_POINT))]);

static NUMBER_POINT: Schema = record(&[
    field("startTimeUnixNano", 2, Fixed64),
    field("timeUnixNano", 3, Fixed64),
    field("asDouble", 4, Double),
    repeated("exemplars", 5, Message(&EXEMPLAR)),
    field("asInt", 6, Sfixed64),
    repeated("attributes", 7, Message(&KEY_VALUE)),
    field("flags", 8, Uint32),
]);
static HISTOGRAM_POINT: Schema = record(&[
    field("startTimeUnixNano", 2, Fixed64),
    field("timeUnixNano", 3, Fixed64),
    field("count", 4, Fixed64),
    field("sum", 5, Double),
    repeated("bucketCounts", 6, Fixed64),
    repeated("explicitBounds", 7, Double),
    repeated("exemplars", 8, Message(&EXEMPLAR)),
    repeated("attributes", 9, Message(&KEY_VALUE)),
    field("flags", 10, Uint32),
    field("min", 11, Double),
    field("max", 12, Double),
]);
static EXPONENTIAL_POINT: Schema = record(&[
    repeated("attributes", 1, Message(&KEY_VALUE)),
    field("startTimeUnixNano", 2, Fixed64),
    field("timeUnixNano", 3, Fixed64),
    field("count", 4, Fixed64),
    field("sum", 5, Double),
    field("scale", 6, Sint32),
    field("zeroCount", 7, Fixed64),
    field("positive", 8, Message(&BUCKETS)),
    field("negative", 9, Message(&BUCKETS)),
    field("flags", 10, Uint32),
    repeated("exemplars", 11, Message(&EXEMPLAR)),
    field("min", 12, Double),
    field("max", 13, Double),
    field("zeroThreshold", 14, Double),
]);
static BUCKETS: Schema = nested(&[
    field("offset", 1, Sint32),
    repeated("bucketCounts", 2, Uint64),
]);
static SUMMARY_POINT: Schema = record(&[
    field("startTimeUnixNano", 2, Fixed64),
    field("timeUnixNano", 3, Fixed64),
    field("count", 4, Fixed64),
    field("sum", 5, Double),
    repeated("quantileValues", 6, Message(&QUANTILE)),
    repeated("attributes", 7, Message(&KEY_VALUE)),
    field("flags", 8, Uint32),
]);
static QUANTILE: Schema = nested(&[field("quantile", 1, Double), field("value", 2, Double)]);
static EXEMPLAR: Schema = nested(&[
    field("timeUnixNano", 2, Fixed64),
    field("asDouble", 3, Double),
    field("spanId", 4, Id),
    field("traceId", 5, Id),
    field("asInt", 6, Sfixed64),
    repeated("filteredAttributes", 7, Message(&KEY_VALUE)),
]);

static LOG_RECORD: Schema = record(&[
    field("timeUnixNano", 1, Fixed64),
    field("severityNumber", 2, Enum(&SEVERITIES)),
    field("severityText", 3, Text),
    field("body", 5, Message(&ANY_VALUE)),
    repeated("attributes", 6, Message(&KEY_VALUE)),
    field("droppedAttributesCount", 7, Uint32),
    field("flags", 8, Fixed32),
    field("traceId", 9, Id),
    field("spanId", 10, Id),
    field("observedTimeUnixNano", 11, Fixed64),
    field("eventName", 12, Text),
]);

static SPAN_KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];
static STATUS_CODES: [&str; 3] = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];
static TEMPORALITIES: [&str; 3] = [
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
];
static SEVERITIES: [&str; 25] = [
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE",
    "SEVERITY_NUMBER_TRACE2",
    "SEVERITY_NUMBER_TRACE3",
    "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG",
    "SEVERITY_NUMBER_DEBUG2",
    "SEVERITY_NUMBER_DEBUG3",
    "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO",
    "SEVERITY_NUMBER_INFO2",
    "SEVERITY_NUMBER_INFO3",
    "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN",
    "SEVERITY_NUMBER_WARN2",
    "SEVERITY_NUMBER_WARN3",
    "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR",
    "SEVERITY_NUMBER_ERROR2",
    "SEVERITY_NUMBER_ERROR3",
    "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL",
    "SEVERITY_NUMBER_FATAL2",
    "SEVERITY_NUMBER_FATAL3",
    "SEVERITY_NUMBER_FATAL4",
];
