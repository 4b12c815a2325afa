//! The line in the log that a process's telemetry begins with.

use crate::config::Config;
use opentelemetry_sdk::Resource;
use std::time::Duration;
use tracing::{field, info};

/// The effective configuration in one line: enough to see why nothing arrives, and no secret.
pub(super) fn log(config: &Config, resource: &Resource) {
    let otlp = config.traces.otlp();
    let headers: Vec<&str> = otlp
        .iter()
        .flat_map(|otlp| otlp.headers.keys())
        .map(http::HeaderName::as_str)
        .collect();
    let mut attributes: Vec<String> = resource
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    attributes.sort_unstable();
    info!(
        traces = if otlp.is_some() { "otlp" } else { "none" },
        endpoint = otlp.map(|otlp| field::display(&otlp.endpoint)),
        protocol = otlp.map(|_| "http/protobuf"),
        header_names = joined(&headers),
        timeout_ms = otlp.map(|otlp| milliseconds(otlp.timeout)),
        sampler = %config.sampler,
        propagators = %config.propagator,
        max_spans = config.bounds.records,
        max_bytes = config.bounds.bytes,
        schedule_delay_ms = milliseconds(config.schedule_delay),
        max_span_attributes = limited(config.limits.attributes),
        max_span_events = limited(config.limits.events),
        max_span_links = limited(config.limits.links),
        log_filter = %config.log_filter,
        resource = joined(&attributes),
        "telemetry started"
    );
}

fn joined(list: &[impl AsRef<str>]) -> Option<String> {
    let list: Vec<&str> = list.iter().map(AsRef::as_ref).collect();
    (!list.is_empty()).then(|| list.join(","))
}

/// A limit that limits nothing is not worth its ten digits.
fn limited(count: u32) -> Option<u32> {
    (count != u32::MAX).then_some(count)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs;
    use serde_json::Value;

    fn start_line(variables: &[(&str, &str)]) -> Value {
        let lookup = |name: &str| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some((*value).to_owned())
        };
        let (config, problems) = Config::from_lookup(&lookup);
        assert!(problems.is_empty(), "{problems:?}");
        let resource = Resource::builder_empty().build();
        logs::captured(|| log(&config, &resource)).remove(0)
    }

    #[test]
    fn what_is_empty_or_unlimited_is_left_out_of_the_start_line() {
        let line = start_line(&[]);
        assert_eq!(line["message"], "telemetry started");
        assert_eq!(line["endpoint"], "http://localhost:4318/v1/traces");
        assert_eq!(line["max_span_events"], 128);
        for absent in ["header_names", "max_span_links", "resource"] {
            assert_eq!(line.get(absent), None, "{line}");
        }
    }

    #[test]
    fn what_is_set_is_in_the_start_line_without_secrets() {
        let line = start_line(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=SECRET,x-a=1"),
            ("OTEL_SPAN_LINK_COUNT_LIMIT", "7"),
        ]);
        assert_eq!(line["header_names"], "authorization,x-a");
        assert_eq!(line["max_span_links"], 7);
        assert!(!line.to_string().contains("SECRET"), "{line}");
    }
}
