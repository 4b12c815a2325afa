//! Configuration from the environment. No other module of this crate reads it.

use std::time::Duration;

use tracing_subscriber::filter::Targets;

use self::reader::VariableReader;
use crate::buffer::{Bounds, Buffer};
use crate::otlp::Signal;
use crate::propagation::Propagator;

mod buffers;
mod certificates;
mod endpoint;
mod log_filter;
mod metrics;
mod otlp;
mod platform;
mod proxy;
mod reader;
#[cfg(feature = "replay")]
mod replay;
mod sampler;

pub(crate) use certificates::Certificates;
#[cfg(test)]
pub(crate) use certificates::ClientIdentity;
pub(crate) use endpoint::{DefaultScheme, Endpoint};
pub(crate) use metrics::TemporalityPreference;
pub(crate) use otlp::{ExporterConfig, OtlpCompression, OtlpConfig, OtlpProtocol, header_list};
pub(crate) use platform::{KubernetesEnvironment, LambdaEnvironment, Platform};
pub(crate) use proxy::Proxy;
pub(crate) use reader::Problem;
#[cfg(feature = "replay")]
pub(crate) use replay::traces_for_replay;
pub(crate) use sampler::SamplerChoice;

/// Bytes that CloudWatch Logs adds to the length of an event. Both together are limited to 262,144
/// bytes (PutLogEvents).
const EVENT_OVERHEAD: usize = 26;
/// Length of the longest line that CloudWatch Logs accepts, including its line break: 262,118
/// bytes.
pub const MAX_LINE_BYTES: usize = 256 * 1024 - EVENT_OVERHEAD;
/// Length of the longest line that log pipelines outside Lambda do not split, including its line
/// break: one byte less than the 16 KiB at which Docker (including FireLens, `awslogs` and
/// `json-file`) and containerd split lines. journald splits at 48 KiB.
pub const UNSPLIT_LINE_BYTES: usize = 16 * 1024 - 1;
/// Minimum line length that can be configured. Enough for a fragment with more text than header.
pub const MIN_LINE_BYTES: usize = 1024;
/// Default of `OTEL_BSP_SCHEDULE_DELAY` in the specification.
const DEFAULT_SCHEDULE_DELAY: Duration = Duration::from_secs(5);
/// Minimum time between two exports in the background: without a pause, a service would do nothing
/// else.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// Default limit of attributes and of events of a span in the specification.
const DEFAULT_COUNT_LIMIT: u32 = 128;

/// Variable that refers to more headers, which a [`HeaderSource`](crate::HeaderSource) fetches.
pub(crate) const HEADERS_SECRET: &str = "OTEL_EXPORTER_OTLP_HEADERS_SECRET";

/// The parsed configuration.
#[derive(Debug)]
pub(crate) struct TelemetryConfig {
    /// `OTEL_SDK_DISABLED`.
    pub(crate) is_disabled: bool,
    pub(crate) traces: ExporterConfig,
    pub(crate) metrics: ExporterConfig,
    pub(crate) logs: ExporterConfig,
    /// True if spans that the collector does not accept are written to stdout, for `baton replay`.
    pub(crate) spill: bool,
    /// Maximum length of a line with spilled spans, including its line break.
    pub(crate) spill_line_bytes: usize,
    pub(crate) sampler: SamplerChoice,
    pub(crate) propagator: Propagator,
    pub(crate) limits: SpanCountLimits,
    /// Bounds of the buffer for spans.
    pub(crate) bounds: Bounds,
    /// Bounds of the buffer for log records.
    pub(crate) log_bounds: Bounds,
    /// Maximum number of bytes of metrics that are kept from one export to the next.
    pub(crate) metric_buffer_bytes: usize,
    pub(crate) temporality: TemporalityPreference,
    /// Interval of exports of metrics in the background.
    pub(crate) metric_interval: Duration,
    /// Reference to headers outside the environment. Its form depends on the
    /// [`HeaderSource`](crate::HeaderSource).
    pub(crate) headers_secret: Option<String>,
    /// Interval of exports in the background.
    pub(crate) schedule_delay: Duration,
    /// `OTEL_SERVICE_NAME`.
    pub(crate) service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`, percent-decoded, in the order of the list.
    pub(crate) resource_attributes: Vec<(String, String)>,
    pub(crate) coralogix: Coralogix,
    pub(crate) platform: Platform,
    pub(crate) log_filter: Targets,
    pub(crate) log_format: LogFormat,
}

/// `OTEL_SPAN_*_COUNT_LIMIT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanCountLimits {
    pub(crate) attributes: u32,
    pub(crate) events: u32,
    /// Unlimited by default: with the SDK's limit of 128, a batch span would lack the links to most
    /// of its records.
    pub(crate) links: u32,
}

/// `AWS_LAMBDA_LOG_FORMAT`: the format of log lines on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// The default, although Lambda's own is text: a line of text has no fields to search for, and
    /// a line break in it splits it in two.
    Json,
    Text,
}

/// The names by which Coralogix groups telemetry, from the variables that its own extension and
/// integrations read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Coralogix {
    pub(crate) application: Option<String>,
    pub(crate) subsystem: Option<String>,
}

impl TelemetryConfig {
    /// Reads the environment of the process. An invalid variable becomes a [`Problem`], and its
    /// default applies: telemetry never prevents a service from starting.
    pub(crate) fn from_env() -> (Self, Vec<Problem>) {
        Self::from_lookup(&process_variable)
    }

    pub(crate) fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> (Self, Vec<Problem>) {
        let mut reader = VariableReader::new(lookup);
        let platform = platform::read(&mut reader);
        let is_disabled = reader.flag("OTEL_SDK_DISABLED");
        let mut export = |signal| {
            if is_disabled {
                ExporterConfig::None
            } else {
                otlp::read(&mut reader, signal)
            }
        };
        let config = Self {
            is_disabled,
            traces: export(Signal::Traces),
            metrics: export(Signal::Metrics),
            logs: export(Signal::Logs),
            spill: spill(&mut reader),
            spill_line_bytes: spill_line_bytes(&mut reader, &platform),
            sampler: sampler::read(&mut reader),
            propagator: propagator(&mut reader),
            limits: limits(&mut reader),
            bounds: buffers::spans(&mut reader),
            log_bounds: buffers::logs(&mut reader),
            metric_buffer_bytes: buffers::metric_bytes(&mut reader),
            temporality: metrics::temporality(&mut reader),
            metric_interval: metrics::interval(&mut reader),
            headers_secret: reader.text(HEADERS_SECRET),
            schedule_delay: reader
                .milliseconds("OTEL_BSP_SCHEDULE_DELAY")
                .unwrap_or(DEFAULT_SCHEDULE_DELAY)
                .max(MIN_INTERVAL),
            service_name: reader.text("OTEL_SERVICE_NAME"),
            resource_attributes: resource_attributes(&mut reader),
            coralogix: Coralogix {
                application: first_text(&reader, ["CX_APPLICATION", "CX_APPLICATION_NAME"]),
                subsystem: first_text(&reader, ["CX_SUBSYSTEM", "CX_SUBSYSTEM_NAME"]),
            },
            platform,
            log_filter: log_filter::read(&mut reader),
            log_format: log_format(&mut reader),
        };
        (config, reader.into_problems())
    }

    /// Creates the buffer for log records, or returns `None` if they are not exported.
    pub(crate) fn log_buffer(&self) -> Option<Buffer> {
        let is_exported = match self.logs {
            ExporterConfig::None | ExporterConfig::Console => false,
            ExporterConfig::Otlp(_) | ExporterConfig::OtlpAndConsole(_) => true,
            ExporterConfig::Sdk(_) => true,
        };
        is_exported.then(|| Buffer::new(self.log_bounds))
    }
}

impl LogFormat {
    /// Reads the format before the configuration is built. [`TelemetryConfig::from_env`] reports an
    /// invalid value.
    pub(crate) fn from_env() -> Self {
        log_format(&mut VariableReader::new(&process_variable))
    }
}

/// Reads a variable of the process. Invalid UTF-8 is replaced by U+FFFD, so that the value is
/// reported as invalid and not as unset.
fn process_variable(name: &str) -> Option<String> {
    Some(std::env::var_os(name)?.to_string_lossy().into_owned())
}

fn first_text<const N: usize>(reader: &VariableReader<'_>, names: [&str; N]) -> Option<String> {
    names.into_iter().find_map(|name| reader.text(name))
}

fn spill(reader: &mut VariableReader<'_>) -> bool {
    let choices = [("stdout", true), ("none", false)];
    reader
        .choice("BATON_SPILL", "stdout or none", choices)
        .unwrap_or(true)
}

/// Returns the maximum line length. Lambda passes lines to CloudWatch Logs unsplit; elsewhere a
/// container runtime or journald may split them.
fn spill_line_bytes(reader: &mut VariableReader<'_>, platform: &Platform) -> usize {
    let default = if matches!(platform, Platform::Lambda(_)) {
        MAX_LINE_BYTES
    } else {
        UNSPLIT_LINE_BYTES
    };
    let form = "an integer from 1024 to 262118, in bytes";
    let parse = |text: &str| {
        let bytes = text.parse().ok();
        bytes.filter(|bytes| (MIN_LINE_BYTES..=MAX_LINE_BYTES).contains(bytes))
    };
    let bytes = reader.parse("BATON_SPILL_LINE_BYTES", form, parse);
    bytes.unwrap_or(default)
}

fn log_format(reader: &mut VariableReader<'_>) -> LogFormat {
    let choices = [("JSON", LogFormat::Json), ("Text", LogFormat::Text)];
    reader
        .choice("AWS_LAMBDA_LOG_FORMAT", "JSON or Text", choices)
        .unwrap_or(LogFormat::Json)
}

fn propagator(reader: &mut VariableReader<'_>) -> Propagator {
    const NAME: &str = "OTEL_PROPAGATORS";
    let Some(list) = reader.text(NAME) else {
        return Propagator::default();
    };
    let mut propagator = Propagator::NONE;
    let names = list.split(',').map(str::trim);
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    let mut unknown = Vec::new();
    for name in &names {
        match name.to_ascii_lowercase().as_str() {
            "tracecontext" => propagator.trace_context = true,
            "baggage" => propagator.baggage = true,
            "xray" => propagator.xray = true,
            "none" => {}
            _ => unknown.push(*name),
        }
    }
    // Without a known name the default is used, because no propagator at all would break every
    // trace.
    let (propagator, consequence) = if unknown.len() < names.len() {
        (propagator, "this entry is ignored")
    } else {
        (Propagator::default(), "the default is used")
    };
    // A value that consists only of commas is reported as a whole.
    if names.is_empty() {
        unknown.push(&list);
    }
    for name in unknown {
        let form = "a list of tracecontext, baggage and xray, or none";
        reader.problem(NAME, name, form, consequence);
    }
    propagator
}

fn limits(reader: &mut VariableReader<'_>) -> SpanCountLimits {
    let form = "an integer from 0 to 4294967295";
    let mut limit = |name, default| reader.number(name, form).unwrap_or(default);
    SpanCountLimits {
        attributes: limit("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", DEFAULT_COUNT_LIMIT),
        events: limit("OTEL_SPAN_EVENT_COUNT_LIMIT", DEFAULT_COUNT_LIMIT),
        links: limit("OTEL_SPAN_LINK_COUNT_LIMIT", u32::MAX),
    }
}

fn resource_attributes(reader: &mut VariableReader<'_>) -> Vec<(String, String)> {
    const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
    let list = reader.text(NAME).unwrap_or_default();
    match reader::parse_pairs(&list) {
        Ok(attributes) => attributes,
        Err(member) => {
            let form = "a percent-encoded list of the form key=value,key=value";
            reader.problem(NAME, &member, form, "all attributes are ignored");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests;
