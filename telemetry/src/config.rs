//! What the environment says about telemetry: the only place where this crate reads it.

mod log_filter;
mod otlp;
mod reader;
mod sampler;

pub(crate) use otlp::{Compression, Export, Otlp, Protocol, header_list};
pub(crate) use reader::Problem;
pub(crate) use sampler::SamplerChoice;

use crate::buffer::Bounds;
use crate::propagation::Propagator;
use crate::signal::Signal;
use reader::Reader;
use std::num::NonZeroUsize;
use std::time::Duration;
use tracing_subscriber::filter::Targets;

/// A batch of 10,000 records, the most that SQS hands to a function, each with four spans of its own.
const DEFAULT_MAX_SPANS: usize = 50_000;
/// As many spans at a usual 350 to 600 bytes, a quarter of the smallest function's memory.
const DEFAULT_MAX_BYTES: usize = 32 * 1024 * 1024;
/// The specification's default of `OTEL_BSP_SCHEDULE_DELAY`.
const DEFAULT_SCHEDULE_DELAY: Duration = Duration::from_secs(5);
/// A service that is told to export without a pause would do nothing else.
const MIN_SCHEDULE_DELAY: Duration = Duration::from_millis(10);
/// The specification's default for attributes and events of a span.
const DEFAULT_COUNT_LIMIT: u32 = 128;

/// Refers to more headers of the export, as [`HeaderSource`](crate::HeaderSource) tells.
pub(crate) const HEADERS_SECRET: &str = "OTEL_EXPORTER_OTLP_HEADERS_SECRET";

/// Everything that can be set, parsed.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) traces: Export,
    pub(crate) metrics: Export,
    pub(crate) logs: Export,
    /// `OTEL_EXPORTER_OTLP_HEADERS_SECRET`, as it is.
    pub(crate) headers_secret: Option<String>,
    pub(crate) sampler: SamplerChoice,
    pub(crate) propagator: Propagator,
    pub(crate) limits: SpanLimits,
    pub(crate) bounds: Bounds,
    /// How often a service that does not freeze exports.
    pub(crate) schedule_delay: Duration,
    /// `OTEL_SERVICE_NAME`.
    pub(crate) service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`, percent-decoded, in their order.
    pub(crate) resource_attributes: Vec<(String, String)>,
    pub(crate) platform: Platform,
    pub(crate) log_filter: Targets,
}

/// `OTEL_SPAN_*_COUNT_LIMIT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanLimits {
    pub(crate) attributes: u32,
    pub(crate) events: u32,
    /// Unlimited by default: the SDK's 128 would cut a batch span off from most of its records.
    pub(crate) links: u32,
}

/// Where the process runs, as far as the environment tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Platform {
    Lambda(LambdaEnvironment),
    /// With the address of the task's metadata.
    Ecs(String),
    Elsewhere,
}

/// What Lambda sets for every function ("Defined runtime environment variables" of the Lambda developer guide).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LambdaEnvironment {
    pub(crate) function_name: String,
    pub(crate) function_version: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) log_stream: Option<String>,
    pub(crate) log_group: Option<String>,
    pub(crate) memory_megabytes: Option<i64>,
}

impl Config {
    /// Reads the process's environment. What is wrong becomes a [`Problem`] and the default: telemetry never keeps a service from starting.
    pub(crate) fn from_env() -> (Self, Vec<Problem>) {
        // What is not UTF-8 is not what any variable takes: it is reported as such, with U+FFFD in it.
        Self::from_lookup(&|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))
    }

    pub(crate) fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> (Self, Vec<Problem>) {
        let mut reader = Reader::new(lookup);
        let config = Self {
            traces: otlp::read(&mut reader, Signal::Traces),
            metrics: otlp::read(&mut reader, Signal::Metrics),
            logs: otlp::read(&mut reader, Signal::Logs),
            headers_secret: reader.text(HEADERS_SECRET),
            sampler: sampler::read(&mut reader),
            propagator: propagator(&mut reader),
            limits: limits(&mut reader),
            bounds: bounds(&mut reader),
            schedule_delay: reader
                .milliseconds("OTEL_BSP_SCHEDULE_DELAY")
                .unwrap_or(DEFAULT_SCHEDULE_DELAY)
                .max(MIN_SCHEDULE_DELAY),
            service_name: reader.text("OTEL_SERVICE_NAME"),
            resource_attributes: resource_attributes(&mut reader),
            platform: platform(&mut reader),
            log_filter: log_filter::read(&mut reader),
        };
        (config, reader.into_problems())
    }
}

fn propagator(reader: &mut Reader<'_>) -> Propagator {
    const NAME: &str = "OTEL_PROPAGATORS";
    let Some(list) = reader.text(NAME) else {
        return Propagator::default();
    };
    let mut propagator = Propagator::NONE;
    let mut known = false;
    for name in list.split(',').map(str::trim) {
        match name {
            "tracecontext" => propagator.trace_context = true,
            "baggage" => propagator.baggage = true,
            "xray" => propagator.xray = true,
            "none" | "" => {}
            other => {
                let form = "a list of tracecontext, baggage, xray or none";
                reader.problem(NAME, other, form, "it is left out");
                continue;
            }
        }
        known = true;
    }
    // A list of nothing but names from elsewhere is no wish to break every trace.
    match known {
        true => propagator,
        false => Propagator::default(),
    }
}

fn limits(reader: &mut Reader<'_>) -> SpanLimits {
    let form = "a whole number from 0 to 4294967295";
    let mut limit = |name, default| reader.number(name, form).unwrap_or(default);
    SpanLimits {
        attributes: limit("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", DEFAULT_COUNT_LIMIT),
        events: limit("OTEL_SPAN_EVENT_COUNT_LIMIT", DEFAULT_COUNT_LIMIT),
        links: limit("OTEL_SPAN_LINK_COUNT_LIMIT", u32::MAX),
    }
}

fn bounds(reader: &mut Reader<'_>) -> Bounds {
    // Zero would drop every span.
    let mut bound = |name, form, default| {
        let number: Option<NonZeroUsize> = reader.number(name, form);
        number.map_or(default, NonZeroUsize::get)
    };
    let (spans, bytes) = ("a whole number from 1", "a whole number of bytes from 1");
    Bounds {
        records: bound("OTEL_BSP_MAX_QUEUE_SIZE", spans, DEFAULT_MAX_SPANS),
        bytes: bound("BATON_SPAN_BUFFER_BYTES", bytes, DEFAULT_MAX_BYTES),
    }
}

fn resource_attributes(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
    let list = reader.text(NAME).unwrap_or_default();
    match otlp::key_values(&list) {
        Ok(attributes) => attributes,
        Err(member) => {
            let form = "a list key=value,key=value, percent-encoded";
            reader.problem(NAME, &member, form, "all of it is left out");
            Vec::new()
        }
    }
}

fn platform(reader: &mut Reader<'_>) -> Platform {
    if let Some(function_name) = reader.text("AWS_LAMBDA_FUNCTION_NAME") {
        return Platform::Lambda(LambdaEnvironment {
            function_name,
            function_version: reader.text("AWS_LAMBDA_FUNCTION_VERSION"),
            region: reader.text("AWS_REGION"),
            log_stream: reader.text("AWS_LAMBDA_LOG_STREAM_NAME"),
            log_group: reader.text("AWS_LAMBDA_LOG_GROUP_NAME"),
            memory_megabytes: reader.number("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "a whole number"),
        });
    }
    match reader.text("ECS_CONTAINER_METADATA_URI_V4") {
        Some(uri) => Platform::Ecs(uri),
        None => Platform::Elsewhere,
    }
}

#[cfg(test)]
mod tests;
