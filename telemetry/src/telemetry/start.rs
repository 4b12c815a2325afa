//! The log line with the configuration at start.

use std::fmt;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use tracing::{field, info};

use crate::config::{ExporterConfig, OtlpCompression, OtlpConfig, OtlpProtocol, TelemetryConfig};
use crate::otlp::Signal;

/// Logs the effective configuration in one line, without secrets. It shows why nothing arrives at a
/// collector.
pub(super) fn log(config: &TelemetryConfig, resource: &Resource) {
    let ([traces, metrics, logs], common) = exporters(config);
    let common = common.as_ref();
    let has = |exporter: &ExporterConfig| !matches!(exporter, ExporterConfig::None);
    let (has_metrics, has_logs) = (has(&config.metrics), has(&config.logs));
    info!(
        sdk_disabled = config.is_disabled.then_some(true),
        traces,
        metrics,
        logs,
        endpoint = common.map(|connection| field::display(&connection.endpoint)),
        protocol = common.map(|connection| field::display(connection.protocol)),
        compression = common.map(|connection| field::display(connection.compression)),
        header_names = common.and_then(|connection| join(&connection.header_names)),
        headers_secret = config.headers_secret.is_some().then_some("set"),
        proxy = common.and_then(|connection| connection.proxy.as_deref()),
        tls = common.and_then(|connection| connection.tls),
        timeout_ms = common.map(|connection| milliseconds(connection.timeout)),
        spill = if config.spill { "stdout" } else { "none" },
        spill_line_bytes = config.spill.then_some(config.spill_line_bytes),
        sampler = %config.sampler,
        propagators = %config.propagator,
        max_spans = config.bounds.records,
        max_span_bytes = config.bounds.bytes,
        schedule_delay_ms = milliseconds(config.schedule_delay),
        max_span_attributes = finite_limit(config.limits.attributes),
        max_span_events = finite_limit(config.limits.events),
        max_span_links = finite_limit(config.limits.links),
        temporality = has_metrics.then(|| field::display(config.temporality)),
        metric_interval_ms = has_metrics.then(|| milliseconds(config.metric_interval)),
        max_metric_bytes = has_metrics.then_some(config.metric_buffer_bytes),
        max_log_records = has_logs.then_some(config.log_bounds.records),
        max_log_bytes = has_logs.then_some(config.log_bounds.bytes),
        log_filter = %config.log_filter,
        resource = join(&describe_resource(resource)),
        "telemetry started"
    );
}

/// Returns the description of each signal's exporter, and the connection that they share. A signal
/// with another connection has it in its own description.
fn exporters(config: &TelemetryConfig) -> ([String; 3], Option<ConnectionConfig>) {
    let exporters = [
        (Signal::Traces, &config.traces),
        (Signal::Metrics, &config.metrics),
        (Signal::Logs, &config.logs),
    ];
    let connections =
        exporters.map(|(signal, exporter)| Some(ConnectionConfig::new(signal, exporter.otlp()?)));
    let common = connections.iter().flatten().next().cloned();
    let signals = [0, 1, 2].map(|index| {
        let (_, exporter) = exporters[index];
        let own = connections[index].as_ref();
        describe_exporter(
            exporter,
            own.filter(|connection| Some(*connection) != common.as_ref()),
        )
    });
    (signals, common)
}

/// The connection of a signal to its collector, without secrets.
#[derive(Clone, PartialEq, Eq)]
struct ConnectionConfig {
    /// Without the signal's path, so that it can be the same for all signals.
    endpoint: String,
    protocol: OtlpProtocol,
    compression: OtlpCompression,
    header_names: Vec<String>,
    /// Shown without credentials.
    proxy: Option<String>,
    tls: Option<&'static str>,
    timeout: Duration,
}

impl ConnectionConfig {
    fn new(signal: Signal, otlp: &OtlpConfig) -> Self {
        let endpoint = otlp.endpoint.to_string();
        let base = endpoint.strip_suffix(signal.path()).unwrap_or(&endpoint);
        let names = otlp.headers.keys().map(ToString::to_string);
        Self {
            endpoint: base.to_owned(),
            protocol: otlp.protocol,
            compression: otlp.compression,
            header_names: names.collect(),
            proxy: otlp.proxy.as_ref().map(ToString::to_string),
            tls: tls(otlp),
            timeout: otlp.timeout,
        }
    }
}

impl fmt::Display for ConnectionConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            endpoint,
            protocol,
            compression,
            ..
        } = self;
        let timeout = milliseconds(self.timeout);
        write!(
            formatter,
            "{endpoint} {protocol} compression={compression} timeout_ms={timeout}"
        )?;
        if let Some(names) = join(&self.header_names) {
            write!(formatter, " header_names={names}")?;
        }
        if let Some(proxy) = &self.proxy {
            write!(formatter, " proxy={proxy}")?;
        }
        match self.tls {
            Some(tls) => write!(formatter, " tls={tls}"),
            None => Ok(()),
        }
    }
}

/// Returns the TLS settings that differ from the defaults.
fn tls(otlp: &OtlpConfig) -> Option<&'static str> {
    let own = &otlp.certificates;
    match (own.authorities.is_some(), own.client.is_some()) {
        (false, false) => None,
        (true, false) => Some("own authorities"),
        (false, true) => Some("client certificate"),
        (true, true) => Some("own authorities, client certificate"),
    }
}

fn describe_exporter(config: &ExporterConfig, own_connection: Option<&ConnectionConfig>) -> String {
    match (config, own_connection) {
        (ExporterConfig::None, _) => "none".to_owned(),
        (ExporterConfig::Sdk(exporter), _) => format!("program {exporter}"),
        (ExporterConfig::Console, _) => "console".to_owned(),
        (ExporterConfig::Otlp(_), None) => "otlp".to_owned(),
        (ExporterConfig::Otlp(_), Some(connection)) => format!("otlp {connection}"),
        (ExporterConfig::OtlpAndConsole(_), None) => "otlp,console".to_owned(),
        (ExporterConfig::OtlpAndConsole(_), Some(connection)) => {
            format!("otlp,console {connection}")
        }
    }
}

fn describe_resource(resource: &Resource) -> Vec<String> {
    let attributes = resource.iter();
    let mut attributes: Vec<String> = attributes
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    attributes.sort_unstable();
    attributes
}

fn join(list: &[String]) -> Option<String> {
    (!list.is_empty()).then(|| list.join(","))
}

/// Returns `None` for a limit that is not set.
fn finite_limit(count: u32) -> Option<u32> {
    (count != u32::MAX).then_some(count)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::logs;

    fn start_line(variables: &[(&str, &str)]) -> Value {
        let lookup = |name: &str| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some((*value).to_owned())
        };
        let (config, problems) = TelemetryConfig::from_lookup(&lookup);
        assert!(problems.is_empty(), "{problems:?}");
        let resource = Resource::builder_empty().build();
        logs::captured(|| log(&config, &resource)).remove(0)
    }

    #[test]
    fn empty_and_unlimited_settings_are_omitted() {
        let line = start_line(&[]);
        assert_eq!(line["message"], "telemetry started");
        let exporters = ["traces", "metrics", "logs"].map(|signal| line[signal].clone());
        assert_eq!(exporters, ["otlp", "otlp", "none"]);
        assert_eq!(line["endpoint"], "http://localhost:4318");
        assert_eq!(line["protocol"], "http/protobuf");
        assert_eq!(line["compression"], "none");
        assert_eq!(line["spill"], "stdout");
        assert_eq!(line["spill_line_bytes"], 16_383);
        assert_eq!(line["temporality"], "delta");
        assert_eq!(line["max_span_events"], 128);
        for absent in [
            "header_names",
            "headers_secret",
            "tls",
            "max_span_links",
            "max_log_bytes",
            "resource",
        ] {
            assert_eq!(line.get(absent), None, "{line}");
        }
    }

    #[test]
    fn settings_are_logged_without_secrets() {
        let line = start_line(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=SECRET,x-a=1"),
            ("OTEL_SPAN_LINK_COUNT_LIMIT", "7"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example"),
            ("HTTPS_PROXY", "http://user:SECRET@proxy:3128"),
        ]);
        assert_eq!(line["proxy"], "http://proxy:3128/");
        assert_eq!(line["header_names"], "authorization,x-a");
        assert_eq!(line["max_span_links"], 7);
        assert!(!line.to_string().contains("SECRET"), "{line}");
    }

    #[test]
    fn a_signal_with_another_connection_has_its_own_description() {
        let line = start_line(&[
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318/base"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://b:1/x"),
            ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-key=SECRET"),
            ("OTEL_EXPORTER_OTLP_HEADERS_SECRET", "arn:SECRET"),
        ]);
        assert_eq!(line["traces"], "otlp");
        assert_eq!(line["logs"], "otlp");
        assert_eq!(line["endpoint"], "http://a:4318/base");
        assert_eq!(
            line["metrics"],
            "otlp http://b:1/x http/protobuf compression=gzip timeout_ms=10000 header_names=x-key"
        );
        assert_eq!(line["headers_secret"], "set");
        assert_eq!(line["max_log_records"], 20_000);
        assert!(!line.to_string().contains("SECRET"), "{line}");
    }

    #[test]
    fn without_an_export_no_endpoint_is_logged() {
        let line = start_line(&[
            ("OTEL_TRACES_EXPORTER", "console"),
            ("OTEL_METRICS_EXPORTER", "none"),
        ]);
        assert_eq!(line["traces"], "console");
        for absent in ["endpoint", "protocol", "timeout_ms", "temporality"] {
            assert_eq!(line.get(absent), None, "{line}");
        }
    }
}
