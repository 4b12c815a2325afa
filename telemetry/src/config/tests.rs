use super::*;
use std::collections::HashMap;

/// What is read from these variables, and what is told about them.
pub(super) fn config(variables: &[(&str, &str)]) -> (Config, Vec<String>) {
    let map: HashMap<_, _> = variables.iter().copied().collect();
    let (config, problems) =
        Config::from_lookup(&|name| map.get(name).map(|value| (*value).to_owned()));
    (config, problems.iter().map(ToString::to_string).collect())
}

#[test]
fn the_defaults_are_the_specifications() {
    let (config, problems) = config(&[]);
    assert!(problems.is_empty());
    let otlp = config.traces.otlp().unwrap();
    assert_eq!(otlp.endpoint.to_string(), "http://localhost:4318/v1/traces");
    assert_eq!(otlp.timeout, Duration::from_secs(10));
    assert!(otlp.headers.is_empty());
    assert_eq!(config.sampler.name, "parentbased_always_on");
    assert!(config.propagator.trace_context && config.propagator.baggage);
    assert_eq!(config.limits.links, u32::MAX);
    assert_eq!(config.platform, Platform::Elsewhere);
}

#[test]
fn every_wrong_variable_is_named_with_the_form_expected() {
    let wrong = [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_PROPAGATORS", "tracecontext,b3"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5s"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "many"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team"),
        ("OTEL_SDK_DISABLED", "yes"),
        ("RUST_LOG", "orders=loud"),
    ];
    let (_, problems) = config(&wrong);
    assert_eq!(problems.len(), wrong.len());
    for (name, value) in wrong {
        let value = value.rsplit(',').next().unwrap();
        assert!(
            problems
                .iter()
                .any(|problem| problem.starts_with(&format!("{name}: expected "))
                    && problem.contains(&format!("{value:?}"))),
            "{name} is missing from {problems:?}"
        );
    }
}

#[test]
fn samplers_go_by_their_standard_names() {
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
fn propagators_that_are_all_unknown_leave_the_default() {
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
fn a_buffer_for_nothing_is_refused() {
    for (name, form) in [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "a whole number from 1"),
        ("BATON_SPAN_BUFFER_BYTES", "a whole number of bytes from 1"),
    ] {
        let (config, problems) = config(&[(name, "0")]);
        assert_eq!(
            (config.bounds.records, config.bounds.bytes),
            (buffers::DEFAULT_MAX_SPANS, buffers::DEFAULT_MAX_SPAN_BYTES)
        );
        let expected = format!("{name}: expected {form}, found \"0\"; the default is used");
        assert_eq!(problems, [expected]);
    }
}

#[test]
fn a_limit_beyond_its_type_is_told_how_far_it_may_go() {
    let (config, problems) = config(&[("OTEL_SPAN_LINK_COUNT_LIMIT", "4294967296")]);
    assert_eq!(config.limits.links, u32::MAX);
    assert_eq!(
        problems,
        [
            "OTEL_SPAN_LINK_COUNT_LIMIT: expected a whole number from 0 to 4294967295, found \"4294967296\"; the default is used"
        ]
    );
}
