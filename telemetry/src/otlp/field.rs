//! Field numbers of `opentelemetry/proto/{common,resource,trace}/v1`, OTLP 1.9.

pub(super) const REQUEST_RESOURCE_SPANS: u32 = 1;
pub(super) const RESOURCE_SPANS_RESOURCE: u32 = 1;
pub(super) const RESOURCE_SPANS_SCOPE_SPANS: u32 = 2;
pub(super) const RESOURCE_SPANS_SCHEMA_URL: u32 = 3;
pub(super) const RESOURCE_ATTRIBUTES: u32 = 1;
pub(super) const SCOPE_SPANS_SCOPE: u32 = 1;
pub(super) const SCOPE_SPANS_SPANS: u32 = 2;
pub(super) const SCOPE_SPANS_SCHEMA_URL: u32 = 3;
pub(super) const SCOPE_NAME: u32 = 1;
pub(super) const SCOPE_VERSION: u32 = 2;
pub(super) const SCOPE_ATTRIBUTES: u32 = 3;
pub(super) const SPAN_TRACE_ID: u32 = 1;
pub(super) const SPAN_SPAN_ID: u32 = 2;
pub(super) const SPAN_TRACE_STATE: u32 = 3;
pub(super) const SPAN_PARENT_SPAN_ID: u32 = 4;
pub(super) const SPAN_NAME: u32 = 5;
pub(super) const SPAN_KIND: u32 = 6;
pub(super) const SPAN_START: u32 = 7;
pub(super) const SPAN_END: u32 = 8;
pub(super) const SPAN_ATTRIBUTES: u32 = 9;
pub(super) const SPAN_DROPPED_ATTRIBUTES: u32 = 10;
pub(super) const SPAN_EVENTS: u32 = 11;
pub(super) const SPAN_DROPPED_EVENTS: u32 = 12;
pub(super) const SPAN_LINKS: u32 = 13;
pub(super) const SPAN_DROPPED_LINKS: u32 = 14;
pub(super) const SPAN_STATUS: u32 = 15;
pub(super) const SPAN_FLAGS: u32 = 16;
pub(super) const EVENT_TIME: u32 = 1;
pub(super) const EVENT_NAME: u32 = 2;
pub(super) const EVENT_ATTRIBUTES: u32 = 3;
pub(super) const EVENT_DROPPED_ATTRIBUTES: u32 = 4;
pub(super) const LINK_TRACE_ID: u32 = 1;
pub(super) const LINK_SPAN_ID: u32 = 2;
pub(super) const LINK_TRACE_STATE: u32 = 3;
pub(super) const LINK_ATTRIBUTES: u32 = 4;
pub(super) const LINK_DROPPED_ATTRIBUTES: u32 = 5;
pub(super) const LINK_FLAGS: u32 = 6;
pub(super) const STATUS_MESSAGE: u32 = 2;
pub(super) const STATUS_CODE: u32 = 3;
pub(super) const KEY: u32 = 1;
pub(super) const VALUE: u32 = 2;
pub(super) const VALUE_STRING: u32 = 1;
pub(super) const VALUE_BOOL: u32 = 2;
pub(super) const VALUE_INT: u32 = 3;
pub(super) const VALUE_DOUBLE: u32 = 4;
pub(super) const VALUE_ARRAY: u32 = 5;
pub(super) const ARRAY_VALUES: u32 = 1;

/// Field numbers of `opentelemetry/proto/logs/v1`, OTLP 1.9. The fields of `ScopeLogs`,
/// `ResourceLogs` and the request have the numbers of their counterparts for spans.
pub(super) mod log {
    pub(in crate::otlp) const SCOPE_LOGS_RECORDS: u32 = super::SCOPE_SPANS_SPANS;
    pub(in crate::otlp) const TIME: u32 = 1;
    pub(in crate::otlp) const SEVERITY_NUMBER: u32 = 2;
    pub(in crate::otlp) const SEVERITY_TEXT: u32 = 3;
    pub(in crate::otlp) const BODY: u32 = 5;
    pub(in crate::otlp) const ATTRIBUTES: u32 = 6;
    pub(in crate::otlp) const DROPPED_ATTRIBUTES: u32 = 7;
    pub(in crate::otlp) const FLAGS: u32 = 8;
    pub(in crate::otlp) const TRACE_ID: u32 = 9;
    pub(in crate::otlp) const SPAN_ID: u32 = 10;
    pub(in crate::otlp) const OBSERVED_TIME: u32 = 11;
    pub(in crate::otlp) const EVENT_NAME: u32 = 12;
    pub(in crate::otlp) const VALUE_BYTES: u32 = 7;
}

/// `SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK`: the flag below is valid.
pub(super) const FLAG_HAS_IS_REMOTE: u32 = 0x100;
/// `SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`.
pub(super) const FLAG_IS_REMOTE: u32 = 0x200;
/// `Status.StatusCode`.
pub(super) const STATUS_OK: u64 = 1;
pub(super) const STATUS_ERROR: u64 = 2;
