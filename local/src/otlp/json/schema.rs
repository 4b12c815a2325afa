//! The messages of OTLP (opentelemetry-proto 1.7): the name, number and type of each field. Fields
//! that are left out here are ignored.

use Kind::{Bool, Bytes, Double, Enum, Fixed32, Fixed64, Id, Int64, Message, Sfixed64, Sint32};
use Kind::{Text, Uint32, Uint64};

/// A message type.
#[derive(Debug)]
pub(in crate::otlp) struct Schema {
    pub(super) fields: &'static [Field],
    /// The extent of the loss when a message cannot be read.
    pub(super) loss: Loss,
}

/// The extent of the loss when a message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The enclosing message.
    Parent,
    /// The message alone, which is one span, data point or log record.
    Record,
    /// The message alone, with the records in it.
    Group,
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    /// The name in camelCase.
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) repeated: bool,
}

/// The type of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
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

const fn one(name: &'static str, number: u32, kind: Kind) -> Field {
    Field {
        name,
        number,
        kind,
        repeated: false,
    }
}

const fn many(name: &'static str, number: u32, kind: Kind) -> Field {
    Field {
        name,
        number,
        kind,
        repeated: true,
    }
}

const fn part(fields: &'static [Field]) -> Schema {
    Schema {
        fields,
        loss: Loss::Parent,
    }
}

const fn record(fields: &'static [Field]) -> Schema {
    Schema {
        fields,
        loss: Loss::Record,
    }
}

const fn group(fields: &'static [Field]) -> Schema {
    Schema {
        fields,
        loss: Loss::Group,
    }
}

/// The request of a signal, whose only field is the list of resources.
pub(in crate::otlp) static TRACES: Schema =
    part(&[many("resourceSpans", 1, Message(&RESOURCE_SPANS))]);
pub(in crate::otlp) static METRICS: Schema =
    part(&[many("resourceMetrics", 1, Message(&RESOURCE_METRICS))]);
pub(in crate::otlp) static LOGS: Schema = part(&[many("resourceLogs", 1, Message(&RESOURCE_LOGS))]);

static RESOURCE_SPANS: Schema = group(&[
    one("resource", 1, Message(&RESOURCE)),
    many("scopeSpans", 2, Message(&SCOPE_SPANS)),
    one("schemaUrl", 3, Text),
]);
static SCOPE_SPANS: Schema = group(&[
    one("scope", 1, Message(&SCOPE)),
    many("spans", 2, Message(&SPAN)),
    one("schemaUrl", 3, Text),
]);
static RESOURCE_METRICS: Schema = group(&[
    one("resource", 1, Message(&RESOURCE)),
    many("scopeMetrics", 2, Message(&SCOPE_METRICS)),
    one("schemaUrl", 3, Text),
]);
static SCOPE_METRICS: Schema = group(&[
    one("scope", 1, Message(&SCOPE)),
    many("metrics", 2, Message(&METRIC)),
    one("schemaUrl", 3, Text),
]);
static RESOURCE_LOGS: Schema = group(&[
    one("resource", 1, Message(&RESOURCE)),
    many("scopeLogs", 2, Message(&SCOPE_LOGS)),
    one("schemaUrl", 3, Text),
]);
static SCOPE_LOGS: Schema = group(&[
    one("scope", 1, Message(&SCOPE)),
    many("logRecords", 2, Message(&LOG_RECORD)),
    one("schemaUrl", 3, Text),
]);

// An unreadable resource or scope is left out by itself, because its spans are worth more than its
// description.
static RESOURCE: Schema = group(&[
    many("attributes", 1, Message(&KEY_VALUE)),
    one("droppedAttributesCount", 2, Uint32),
]);
static SCOPE: Schema = group(&[
    one("name", 1, Text),
    one("version", 2, Text),
    many("attributes", 3, Message(&KEY_VALUE)),
    one("droppedAttributesCount", 4, Uint32),
]);

static KEY_VALUE: Schema = part(&[one("key", 1, Text), one("value", 2, Message(&ANY_VALUE))]);
static ANY_VALUE: Schema = part(&[
    one("stringValue", 1, Text),
    one("boolValue", 2, Bool),
    one("intValue", 3, Int64),
    one("doubleValue", 4, Double),
    one("arrayValue", 5, Message(&ARRAY_VALUE)),
    one("kvlistValue", 6, Message(&KEY_VALUE_LIST)),
    one("bytesValue", 7, Bytes),
]);
static ARRAY_VALUE: Schema = part(&[many("values", 1, Message(&ANY_VALUE))]);
static KEY_VALUE_LIST: Schema = part(&[many("values", 1, Message(&KEY_VALUE))]);

static SPAN: Schema = record(&[
    one("traceId", 1, Id),
    one("spanId", 2, Id),
    one("traceState", 3, Text),
    one("parentSpanId", 4, Id),
    one("name", 5, Text),
    one("kind", 6, Enum(&SPAN_KINDS)),
    one("startTimeUnixNano", 7, Fixed64),
    one("endTimeUnixNano", 8, Fixed64),
    many("attributes", 9, Message(&KEY_VALUE)),
    one("droppedAttributesCount", 10, Uint32),
    many("events", 11, Message(&EVENT)),
    one("droppedEventsCount", 12, Uint32),
    many("links", 13, Message(&LINK)),
    one("droppedLinksCount", 14, Uint32),
    one("status", 15, Message(&STATUS)),
    one("flags", 16, Fixed32),
]);
static EVENT: Schema = part(&[
    one("timeUnixNano", 1, Fixed64),
    one("name", 2, Text),
    many("attributes", 3, Message(&KEY_VALUE)),
    one("droppedAttributesCount", 4, Uint32),
]);
static LINK: Schema = part(&[
    one("traceId", 1, Id),
    one("spanId", 2, Id),
    one("traceState", 3, Text),
    many("attributes", 4, Message(&KEY_VALUE)),
    one("droppedAttributesCount", 5, Uint32),
    one("flags", 6, Fixed32),
]);
static STATUS: Schema = part(&[one("message", 2, Text), one("code", 3, Enum(&STATUS_CODES))]);

static METRIC: Schema = group(&[
    one("name", 1, Text),
    one("description", 2, Text),
    one("unit", 3, Text),
    one("gauge", 5, Message(&GAUGE)),
    one("sum", 7, Message(&SUM)),
    one("histogram", 9, Message(&HISTOGRAM)),
    one("exponentialHistogram", 10, Message(&EXPONENTIAL_HISTOGRAM)),
    one("summary", 11, Message(&SUMMARY)),
    many("metadata", 12, Message(&KEY_VALUE)),
]);
static GAUGE: Schema = part(&[many("dataPoints", 1, Message(&NUMBER_POINT))]);
static SUM: Schema = part(&[
    many("dataPoints", 1, Message(&NUMBER_POINT)),
    one("aggregationTemporality", 2, Enum(&TEMPORALITIES)),
    one("isMonotonic", 3, Bool),
]);
static HISTOGRAM: Schema = part(&[
    many("dataPoints", 1, Message(&HISTOGRAM_POINT)),
    one("aggregationTemporality", 2, Enum(&TEMPORALITIES)),
]);
static EXPONENTIAL_HISTOGRAM: Schema = part(&[
    many("dataPoints", 1, Message(&EXPONENTIAL_POINT)),
    one("aggregationTemporality", 2, Enum(&TEMPORALITIES)),
]);
static SUMMARY: Schema = part(&[many("dataPoints", 1, Message(&SUMMARY_POINT))]);

static NUMBER_POINT: Schema = record(&[
    one("startTimeUnixNano", 2, Fixed64),
    one("timeUnixNano", 3, Fixed64),
    one("asDouble", 4, Double),
    many("exemplars", 5, Message(&EXEMPLAR)),
    one("asInt", 6, Sfixed64),
    many("attributes", 7, Message(&KEY_VALUE)),
    one("flags", 8, Uint32),
]);
static HISTOGRAM_POINT: Schema = record(&[
    one("startTimeUnixNano", 2, Fixed64),
    one("timeUnixNano", 3, Fixed64),
    one("count", 4, Fixed64),
    one("sum", 5, Double),
    many("bucketCounts", 6, Fixed64),
    many("explicitBounds", 7, Double),
    many("exemplars", 8, Message(&EXEMPLAR)),
    many("attributes", 9, Message(&KEY_VALUE)),
    one("flags", 10, Uint32),
    one("min", 11, Double),
    one("max", 12, Double),
]);
static EXPONENTIAL_POINT: Schema = record(&[
    many("attributes", 1, Message(&KEY_VALUE)),
    one("startTimeUnixNano", 2, Fixed64),
    one("timeUnixNano", 3, Fixed64),
    one("count", 4, Fixed64),
    one("sum", 5, Double),
    one("scale", 6, Sint32),
    one("zeroCount", 7, Fixed64),
    one("positive", 8, Message(&BUCKETS)),
    one("negative", 9, Message(&BUCKETS)),
    one("flags", 10, Uint32),
    many("exemplars", 11, Message(&EXEMPLAR)),
    one("min", 12, Double),
    one("max", 13, Double),
    one("zeroThreshold", 14, Double),
]);
static BUCKETS: Schema = part(&[one("offset", 1, Sint32), many("bucketCounts", 2, Uint64)]);
static SUMMARY_POINT: Schema = record(&[
    one("startTimeUnixNano", 2, Fixed64),
    one("timeUnixNano", 3, Fixed64),
    one("count", 4, Fixed64),
    one("sum", 5, Double),
    many("quantileValues", 6, Message(&QUANTILE)),
    many("attributes", 7, Message(&KEY_VALUE)),
    one("flags", 8, Uint32),
]);
static QUANTILE: Schema = part(&[one("quantile", 1, Double), one("value", 2, Double)]);
static EXEMPLAR: Schema = part(&[
    one("timeUnixNano", 2, Fixed64),
    one("asDouble", 3, Double),
    one("spanId", 4, Id),
    one("traceId", 5, Id),
    one("asInt", 6, Sfixed64),
    many("filteredAttributes", 7, Message(&KEY_VALUE)),
]);

static LOG_RECORD: Schema = record(&[
    one("timeUnixNano", 1, Fixed64),
    one("severityNumber", 2, Enum(&SEVERITIES)),
    one("severityText", 3, Text),
    one("body", 5, Message(&ANY_VALUE)),
    many("attributes", 6, Message(&KEY_VALUE)),
    one("droppedAttributesCount", 7, Uint32),
    one("flags", 8, Fixed32),
    one("traceId", 9, Id),
    one("spanId", 10, Id),
    one("observedTimeUnixNano", 11, Fixed64),
    one("eventName", 12, Text),
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
