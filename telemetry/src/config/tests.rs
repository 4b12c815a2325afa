use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use super::*;

/// Returns the configuration that is read from these variables, and the reported problems.
pub(super) fn config(variables: &[(&str, &str)]) -> (TelemetryConfig, Vec<String>) {
    let map: HashMap<_, _> = variables.iter().copied().collect();
    let (config, problems) =
        TelemetryConfig::from_lookup(&|name| map.get(name).map(|value| (*value).to_owned()));
    (config, problems.iter().map(ToString::to_string).collect())
}

#[test]
fn the_defaults_match_the_documentation() {
    let (config, problems) = config(&[]);
    assert!(problems.is_empty());
    let otlp = config.traces.otlp().unwrap();
    assert_eq!(otlp.endpoint.to_string(), "http://localhost:4318/v1/traces");
    assert_eq!(otlp.timeout, Duration::from_secs(10));
    assert_eq!(otlp.compression, OtlpCompression::None);
    assert!(otlp.headers.is_empty());
    assert!(config.spill);
    assert_eq!(config.spill_line_bytes, 16_383);
    assert_eq!(config.headers_secret, None);
    assert_eq!(config.sampler.name, "parentbased_always_on");
    assert!(config.propagator.trace_context && config.propagator.baggage);
    assert_eq!(config.limits.links, u32::MAX);
    assert_eq!(config.temporality, TemporalityPreference::Delta);
    assert_eq!(config.metric_interval, Duration::from_secs(60));
    let bounds = [config.bounds, config.log_bounds].map(|bounds| (bounds.records, bounds.bytes));
    assert_eq!(bounds, [(50_000, 32 << 20), (20_000, 8 << 20)]);
    assert_eq!(config.metric_buffer_bytes, 1 << 20);
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.platform, Platform::Other);
}

#[test]
fn variables_override_the_defaults() {
    let (config, problems) = config(&[
        ("BATON_SPILL", "None"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS_SECRET",
            " headers-of-collector ",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "LowMemory",
        ),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1500"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "7"),
        ("BATON_LOG_BUFFER_BYTES", "8"),
        ("BATON_METRIC_BUFFER_BYTES", "9"),
        ("AWS_LAMBDA_LOG_FORMAT", "text"),
        ("OTEL_PROPAGATORS", "XRay, TraceContext"),
        ("OTEL_TRACES_SAMPLER", "Always_Off"),
    ]);
    assert!(problems.is_empty(), "{problems:?}");
    assert!(!config.spill);
    assert_eq!(
        config.headers_secret.as_deref(),
        Some("headers-of-collector")
    );
    assert_eq!(config.temporality, TemporalityPreference::LowMemory);
    assert_eq!(config.metric_interval, Duration::from_millis(1500));
    assert_eq!(config.schedule_delay, Duration::from_millis(10));
    let log_bounds = config.log_bounds;
    assert_eq!((log_bounds.records, log_bounds.bytes), (7, 8));
    assert_eq!(config.metric_buffer_bytes, 9);
    assert_eq!(config.log_format, LogFormat::Text);
    assert_eq!(config.propagator.to_string(), "tracecontext,xray");
    assert_eq!(config.sampler.name, "always_off");
}

#[test]
fn the_maximum_length_of_spill_lines_depends_on_the_platform_unless_it_is_set() {
    let lambda = ("AWS_LAMBDA_FUNCTION_NAME", "orders");
    let ecs = ("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/x");
    let set = ("BATON_SPILL_LINE_BYTES", "40000");
    for (variables, expected) in [
        (&[][..], 16_383),
        (&[ecs], 16_383),
        (&[lambda], 262_118),
        (&[ecs, set], 40_000),
        (&[lambda, set], 40_000),
    ] {
        let (config, problems) = config(variables);
        assert_eq!((config.spill_line_bytes, problems.len()), (expected, 0));
    }
}

/// Covers all variables that can be invalid, except those of exporters and certificates, which have
/// their own tests.
#[test]
fn every_invalid_variable_is_reported_with_the_expected_form_and_the_consequence() {
    let bytes = "a positive integer, in bytes";
    let line_bytes = "an integer from 1024 to 262118, in bytes";
    let count = "a positive integer";
    let limit = "an integer from 0 to 4294967295";
    let milliseconds = "a non-negative integer, in milliseconds";
    let samplers = "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio";
    let propagators = "a list of tracecontext, baggage and xray, or none";
    let temporality = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    for (name, wrong, form) in [
        ("OTEL_SDK_DISABLED", "yes", "true or false"),
        ("OTEL_TRACES_SAMPLER", "sometimes", samplers),
        ("OTEL_PROPAGATORS", "b3", propagators),
        ("OTEL_BSP_SCHEDULE_DELAY", "5s", milliseconds),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-1", milliseconds),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", count),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "1e6", count),
        ("BATON_SPAN_BUFFER_BYTES", "32 MiB", bytes),
        ("BATON_LOG_BUFFER_BYTES", "0", bytes),
        ("BATON_METRIC_BUFFER_BYTES", "much", bytes),
        ("BATON_SPILL", "stderr", "stdout or none"),
        ("BATON_SPILL_LINE_BYTES", "1023", line_bytes),
        ("BATON_SPILL_LINE_BYTES", "262119", line_bytes),
        ("BATON_SPILL_LINE_BYTES", "16 KiB", line_bytes),
        (temporality, "both", "delta, cumulative or lowmemory"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1", limit),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "few", limit),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "4294967296", limit),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "team",
            "a percent-encoded list of the form key=value,key=value",
        ),
        ("AWS_LAMBDA_LOG_FORMAT", "xml", "JSON or Text"),
    ] {
        let (with, problems) = config(&[(name, wrong)]);
        let follows = match name {
            "OTEL_RESOURCE_ATTRIBUTES" => "all attributes are ignored",
            _ => "the default is used",
        };
        let expected = format!("{name}: expected {form}, found {wrong:?}; {follows}");
        assert_eq!(problems, [expected]);
        let (without, _) = config(&[]);
        assert_eq!(format!("{with:?}"), format!("{without:?}"), "{name}");
    }
}

#[test]
fn an_invalid_argument_of_a_sampler_is_reported() {
    let argument = |text| {
        let name = ("OTEL_TRACES_SAMPLER", "traceidratio");
        let (config, problems) = config(&[name, ("OTEL_TRACES_SAMPLER_ARG", text)]);
        (config.sampler.to_string(), problems)
    };
    assert_eq!(argument("0.5"), ("traceidratio(0.5)".to_owned(), vec![]));
    for wrong in ["half", "1.5", "-1", "NaN"] {
        let expected = format!(
            "OTEL_TRACES_SAMPLER_ARG: expected a number from 0.0 to 1.0, found {wrong:?}; the default is used"
        );
        let default = "traceidratio(1)".to_owned();
        assert_eq!(argument(wrong), (default, vec![expected]));
    }
}

#[test]
fn the_documentation_lists_exactly_the_variables_that_are_read() {
    let variables_read = RefCell::new(BTreeSet::new());
    for platform in [
        ("AWS_LAMBDA_FUNCTION_NAME", "orders"),
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4"),
    ] {
        let set = [
            platform,
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ];
        TelemetryConfig::from_lookup(&|name| {
            variables_read.borrow_mut().insert(general_name(name));
            let (_, value) = set.iter().find(|(known, _)| *known == name)?;
            Some((*value).to_owned())
        });
    }
    let rows = include_str!("../lib.rs").lines();
    // The variables are in the first column of a row, or in the second one for platforms. Other
    // words in these columns are not names.
    let cells = rows.filter_map(|row| row.strip_prefix("//! | "));
    let name_cells = cells.flat_map(|row| row.split(" | ").take(2).collect::<Vec<_>>());
    let words = name_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let is_name = |word: &&str| word.contains('_') || *word == "HOSTNAME";
    let names = words.filter(|word| is_name(word) && word.to_uppercase() == *word);
    let documented: BTreeSet<_> = names.map(str::to_owned).collect();
    assert_eq!(variables_read.into_inner(), documented);
}

/// Returns the variable for all signals, which the documentation lists instead of those of single
/// signals.
fn general_name(name: &str) -> String {
    let is_own = name != "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    let own = ["TRACES_", "METRICS_", "LOGS_"].into_iter().find(|signal| {
        let rest = name.strip_prefix("OTEL_EXPORTER_OTLP_");
        is_own && rest.is_some_and(|rest| rest.starts_with(signal))
    });
    // Proxy variables are read in lower case as well.
    let name = name.to_uppercase();
    own.map_or_else(|| name.clone(), |signal| name.replacen(signal, "", 1))
}

#[test]
fn samplers_have_their_standard_names() {
    let name = |name| config(&[("OTEL_TRACES_SAMPLER", name)]).0.sampler.name;
    assert_eq!(name("traceidratio"), "traceidratio");
    let (config, problems) = config(&[
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ]);
    assert!(problems.is_empty());
    assert_eq!(config.sampler.to_string(), "parentbased_traceidratio(0.25)");
    let sampler = format!("{:?}", config.sampler.sampler);
    assert!(sampler.contains("TraceIdRatioBased(0.25)") && sampler.contains("ParentBased"));
}

#[test]
fn lambdas_environment_is_recognised() {
    let (config, _) = config(&[
        ("AWS_LAMBDA_FUNCTION_NAME", "orders"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
        ("AWS_LAMBDA_LOG_LEVEL", "WARN"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=blue%20sky,empty="),
    ]);
    let Platform::Lambda(lambda) = config.platform else {
        panic!("{:?}", config.platform);
    };
    assert_eq!(
        (lambda.function_name.as_str(), lambda.memory_megabytes),
        ("orders", Some(512))
    );
    assert!(!config.log_filter.would_enable("any", &tracing::Level::INFO));
    let expected = [("team", "blue sky"), ("empty", "")];
    assert_eq!(
        config.resource_attributes,
        expected.map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
}

#[test]
fn the_default_is_used_if_all_propagators_are_unknown() {
    let propagator = |list| config(&[("OTEL_PROPAGATORS", list)]).0.propagator;
    assert!(propagator("b3").trace_context && propagator("b3").baggage);
    assert!(propagator("b3,tracecontext").trace_context && !propagator("b3,tracecontext").baggage);
    assert!(!propagator("none").trace_context && !propagator("none").baggage);
}

#[test]
fn xray_is_a_propagator_and_xray_lambda_is_not() {
    let propagators = |list| {
        let (config, problems) = config(&[("OTEL_PROPAGATORS", list)]);
        (config.propagator.to_string(), problems.len())
    };
    let expect = |list: &str, problems| (list.to_owned(), problems);
    assert_eq!(propagators("xray"), expect("xray", 0));
    assert_eq!(
        propagators("xray,tracecontext , baggage"),
        expect("tracecontext,baggage,xray", 0)
    );
    assert_eq!(
        propagators("tracecontext,xray-lambda"),
        expect("tracecontext", 1)
    );
}

#[test]
fn a_long_invalid_value_is_truncated_in_the_report() {
    let long = "ü".repeat(100);
    let (_, problems) = config(&[("BATON_SPILL", &long)]);
    let shown = "ü".repeat(80);
    let found = format!("found \"{shown}\"…; the default is used");
    assert!(problems[0].ends_with(&found), "{problems:?}");
}

#[test]
fn a_list_of_propagators_without_a_name_is_reported_and_counts_as_unset() {
    let lookup = |name: &str| (name == "OTEL_PROPAGATORS").then(|| " , ".to_owned());
    let (found, problems) = TelemetryConfig::from_lookup(&lookup);
    let (unset, _) = TelemetryConfig::from_lookup(&|_| None);
    assert_eq!(
        format!("{:?}", found.propagator),
        format!("{:?}", unset.propagator)
    );
    assert_eq!(
        problems[0].to_string(),
        "OTEL_PROPAGATORS: expected a list of tracecontext, baggage and xray, or none, found \",\"; the default is used"
    );
}
