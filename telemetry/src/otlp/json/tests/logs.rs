//! Log records.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};

use super::*;

prop_compose! {
    fn log_record()(
        times in any::<[u64; 2]>(),
        severity_number in any::<i32>(),
        severity_text in ".{0,9}",
        body in option::of(any_value()),
        attributes in key_values(),
        dropped_attributes_count in any::<u32>(),
        flags in any::<u32>(),
        trace_id in vec(any::<u8>(), 0..17),
        span_id in vec(any::<u8>(), 0..9),
        event_name in ".{0,9}",
    ) -> LogRecord {
        LogRecord {
            time_unix_nano: times[0],
            observed_time_unix_nano: times[1],
            severity_number,
            severity_text,
            body,
            attributes,
            dropped_attributes_count,
            flags,
            trace_id,
            span_id,
            event_name,
        }
    }
}

proptest! {
    #[test]
    fn every_field_of_a_log_record_is_written(
        resource in option::of(resource()),
        scope in option::of(scope()),
        log_records in vec(log_record(), 0..3),
        schema_url in ".{0,9}",
    ) {
        let scope_logs = ScopeLogs { scope, log_records, schema_url: schema_url.clone() };
        let resource_logs = ResourceLogs { resource, scope_logs: vec![scope_logs], schema_url };
        let request = ExportLogsServiceRequest { resource_logs: vec![resource_logs] };
        round_trip(Signal::Logs, &request)?;
    }
}
