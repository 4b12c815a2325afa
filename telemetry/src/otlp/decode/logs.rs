//! Decoding of log records.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry::{InstrumentationScope, Key};
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger, SdkLoggerProvider};

use super::{Decoded, for_each_record, span_id, text, time, trace_flags, trace_id};
use crate::otlp::field::{self, log};
use crate::otlp::protobuf::{FieldReader, FieldValue};

/// Decodes log records.
#[derive(Debug)]
pub(crate) struct LogDecoder {
    /// Creates empty records, which only a logger of the SDK can create.
    logger: SdkLogger,
    event_names: EventNames,
}

impl LogDecoder {
    pub(crate) fn new() -> Self {
        Self {
            logger: SdkLoggerProvider::builder().build().logger(""),
            event_names: EventNames::default(),
        }
    }

    /// Decodes the records of an `ExportLogsServiceRequest`, each with its scope. The resource is
    /// skipped.
    pub(crate) fn records(
        &self,
        request: &[u8],
    ) -> Decoded<Vec<(SdkLogRecord, InstrumentationScope)>> {
        let mut records = Vec::new();
        for_each_record(request, |scope, message| {
            let mut record = self.record(message)?;
            // The target of the event is the name of the scope.
            record.set_target(scope.name().to_owned());
            records.push((record, scope.clone()));
            Ok(())
        })?;
        Ok(records)
    }

    fn record(&self, message: &[u8]) -> Decoded<SdkLogRecord> {
        let mut record = self.logger.create_log_record();
        let (mut trace, mut span, mut flags) = (TraceId::INVALID, SpanId::INVALID, 0);
        for field in FieldReader::new(message) {
            match field? {
                (log::TIME, FieldValue::Fixed64(nanos)) => record.set_timestamp(time(nanos)),
                (log::OBSERVED_TIME, FieldValue::Fixed64(nanos)) => {
                    record.set_observed_timestamp(time(nanos));
                }
                (log::SEVERITY_NUMBER, FieldValue::Varint(number)) => {
                    let (severity, name) = severity(number);
                    record.set_severity_number(severity);
                    record.set_severity_text(name);
                }
                (log::EVENT_NAME, FieldValue::Bytes(bytes)) => {
                    record.set_event_name(self.event_names.get(text(bytes)?));
                }
                (log::BODY, FieldValue::Bytes(bytes)) => record.set_body(any_value(bytes)?),
                (log::ATTRIBUTES, FieldValue::Bytes(bytes)) => {
                    let (key, value) = attribute(bytes)?;
                    record.add_attribute(key, value);
                }
                (log::TRACE_ID, FieldValue::Bytes(bytes)) => trace = trace_id(bytes)?,
                (log::SPAN_ID, FieldValue::Bytes(bytes)) => span = span_id(bytes)?,
                (log::FLAGS, FieldValue::Fixed32(number)) => flags = number,
                // The SDK's record has no count of dropped attributes.
                _ => {}
            }
        }
        if span != SpanId::INVALID {
            record.set_trace_context(trace, span, Some(trace_flags(flags)));
        }
        Ok(record)
    }
}

/// The names of events, which the SDK's record borrows for the lifetime of the process.
///
/// Each name is allocated once and never freed. They are literals in the code of the program and
/// its libraries, so that their number is limited.
#[derive(Debug, Default)]
struct EventNames(Mutex<HashSet<&'static str>>);

impl EventNames {
    fn get(&self, name: &str) -> &'static str {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(name) {
            return known;
        }
        let name: &'static str = Box::leak(Box::from(name));
        names.insert(name);
        name
    }
}

/// Returns the severity of a number and the name of its level. The encoder writes the lowest number
/// of each level.
fn severity(number: u64) -> (Severity, &'static str) {
    match number {
        0..=4 => (Severity::Trace, "TRACE"),
        5..=8 => (Severity::Debug, "DEBUG"),
        9..=12 => (Severity::Info, "INFO"),
        13..=16 => (Severity::Warn, "WARN"),
        _ => (Severity::Error, "ERROR"),
    }
}

fn attribute(message: &[u8]) -> Decoded<(Key, AnyValue)> {
    let (mut key, mut value) = ("", &[][..]);
    for field in FieldReader::new(message) {
        match field? {
            (field::KEY, FieldValue::Bytes(bytes)) => key = text(bytes)?,
            (field::VALUE, FieldValue::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((Key::from(key.to_owned()), any_value(value)?))
}

fn any_value(message: &[u8]) -> Decoded<AnyValue> {
    let mut value = AnyValue::String("".into());
    for field in FieldReader::new(message) {
        value = match field? {
            (field::VALUE_STRING, FieldValue::Bytes(bytes)) => {
                AnyValue::String(text(bytes)?.to_owned().into())
            }
            (field::VALUE_BOOL, FieldValue::Varint(number)) => AnyValue::Boolean(number != 0),
            (field::VALUE_INT, FieldValue::Varint(number)) => AnyValue::Int(number.cast_signed()),
            (field::VALUE_DOUBLE, FieldValue::Fixed64(bits)) => {
                AnyValue::Double(f64::from_bits(bits))
            }
            (log::VALUE_BYTES, FieldValue::Bytes(bytes)) => {
                AnyValue::Bytes(Box::new(bytes.to_vec()))
            }
            _ => value,
        };
    }
    Ok(value)
}
