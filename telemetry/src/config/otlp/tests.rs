//! Settings for all signals and for single ones, and the problems that are reported.

use super::*;
use crate::config::TelemetryConfig;
use crate::config::tests::config;

mod routes;

const SIGNALS: [(&str, Signal); 3] = [
    ("TRACES", Signal::Traces),
    ("METRICS", Signal::Metrics),
    ("LOGS", Signal::Logs),
];

fn signal_export(config: &TelemetryConfig, signal: Signal) -> &ExporterConfig {
    match signal {
        Signal::Traces => &config.traces,
        Signal::Metrics => &config.metrics,
        Signal::Logs => &config.logs,
    }
}

fn exporter_names(config: &TelemetryConfig, signal: Signal) -> &'static str {
    match signal_export(config, signal) {
        ExporterConfig::None => "none",
        ExporterConfig::Console => "console",
        ExporterConfig::Otlp(_) => "otlp",
        ExporterConfig::OtlpAndConsole(_) => "otlp,console",
        ExporterConfig::Sdk(exporter) => exporter,
    }
}

fn signal_otlp(config: &TelemetryConfig, signal: Signal) -> &OtlpConfig {
    signal_export(config, signal).otlp().unwrap()
}

#[test]
fn traces_and_metrics_are_exported_by_default_and_logs_are_not() {
    let kinds = |variables: &[(&str, &str)]| {
        let (config, problems) = config(variables);
        assert!(problems.is_empty(), "{problems:?}");
        SIGNALS.map(|(_, signal)| exporter_names(&config, signal))
    };
    assert_eq!(kinds(&[]), ["otlp", "otlp", "none"]);
    let each = [
        ("OTEL_TRACES_EXPORTER", "None"),
        ("OTEL_METRICS_EXPORTER", "CONSOLE"),
        ("OTEL_LOGS_EXPORTER", " otlp "),
    ];
    assert_eq!(kinds(&each), ["none", "console", "otlp"]);
    let disabled = [("OTEL_SDK_DISABLED", "TRUE"), each[1], each[2]];
    assert_eq!(kinds(&disabled), ["none"; 3]);
}

#[test]
fn an_unknown_exporter_is_reported_and_counts_as_unset() {
    for (variable, value, signal, expected) in [
        ("OTEL_TRACES_EXPORTER", "zipkin", "traces", "otlp"),
        ("OTEL_METRICS_EXPORTER", "prometheus", "metrics", "otlp"),
        ("OTEL_LOGS_EXPORTER", "logging", "logs", "none"),
        ("OTEL_TRACES_EXPORTER", ",", "traces", "otlp"),
    ] {
        let (config, problems) = config(&[(variable, value)]);
        let problem = format!(
            "{variable}: expected a list of otlp and console, or none, found {value:?}; the default is used for {signal}"
        );
        assert_eq!(problems, [problem]);
        let found = SIGNALS
            .iter()
            .find(|(_, known)| known.to_string() == signal);
        let found = exporter_names(&config, found.unwrap().1);
        assert_eq!(found, expected, "{variable}");
    }
}

#[test]
fn exporters_may_be_a_list() {
    for (list, expected, reported) in [
        ("otlp,console", "otlp,console", ""),
        ("Console , OTLP,", "otlp,console", ""),
        ("otlp,otlp", "otlp", ""),
        (
            "console,none",
            "console",
            "found \"console,none\"; none is ignored",
        ),
        (
            "otlp,zipkin",
            "otlp",
            "found \"zipkin\"; this entry is ignored",
        ),
        (
            "jaeger,none",
            "none",
            "found \"jaeger\"; this entry is ignored",
        ),
    ] {
        for (name, signal) in SIGNALS {
            let name = format!("OTEL_{name}_EXPORTER");
            let (config, problems) = config(&[(&name, list)]);
            let found = exporter_names(&config, signal);
            let is_logs = signal == Signal::Logs;
            // Log lines always go to stdout.
            let expected = match expected {
                "otlp,console" if is_logs => "otlp",
                other => other,
            };
            assert_eq!(found, expected, "{name}={list}");
            let problems = problems.concat();
            assert_eq!(problems.is_empty(), reported.is_empty(), "{problems}");
            assert!(problems.contains(reported), "{problems}");
        }
    }
}

#[test]
fn an_invalid_value_for_a_signal_leaves_the_general_one_in_effect() {
    let (config, problems) = config(&[
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2s"),
    ]);
    let traces = signal_otlp(&config, Signal::Traces);
    assert_eq!(traces.compression, OtlpCompression::Gzip);
    assert_eq!(traces.timeout, Duration::from_secs(2));
    assert_eq!(problems.len(), 2, "{problems:?}");
    for problem in problems {
        assert!(
            problem.ends_with("; the value is ignored for traces"),
            "{problem}"
        );
    }
}

#[test]
fn the_variable_of_a_signal_takes_precedence_over_the_general_one() {
    for (own, signal) in SIGNALS {
        let name = |setting: &str| format!("OTEL_EXPORTER_OTLP_{own}_{setting}");
        let (timeout, compression) = (name("TIMEOUT"), name("COMPRESSION"));
        let headers = name("HEADERS");
        let (config, problems) = config(&[
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
            (&timeout, "3000"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            (&compression, "None"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-a=general,x-b=general"),
            (&headers, "X-A=own"),
        ]);
        assert!(problems.is_empty(), "{problems:?}");
        for (_, other) in SIGNALS {
            let is_own = other == signal;
            let otlp = signal_otlp(&config, other);
            let seconds = if is_own { 3 } else { 2 };
            assert_eq!(otlp.timeout, Duration::from_secs(seconds), "{own}");
            let expected = if is_own {
                OtlpCompression::None
            } else {
                OtlpCompression::Gzip
            };
            assert_eq!(otlp.compression, expected, "{own}");
            let expected = if is_own { "own" } else { "general" };
            assert_eq!(otlp.headers["x-a"], expected, "{own}");
            assert_eq!(otlp.headers["x-b"], "general", "{own}");
        }
    }
}

#[test]
fn an_invalid_value_is_reported_with_the_signals_that_it_affects() {
    let general = "OTEL_EXPORTER_OTLP_COMPRESSION";
    let own = "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION";
    let expected = "expected gzip or none, found \"zstd\"; the default is used for";
    let problems_of = |variables: &[_]| config(variables).1;
    assert_eq!(
        problems_of(&[(general, "zstd")]),
        [format!("{general}: {expected} traces and metrics")]
    );
    assert_eq!(
        problems_of(&[(general, "zstd"), ("OTEL_LOGS_EXPORTER", "otlp")]),
        [format!("{general}: {expected} traces, metrics and logs")]
    );
    assert_eq!(
        problems_of(&[(general, "zstd"), (own, "GZIP")]),
        [format!("{general}: {expected} traces")]
    );
    assert_eq!(
        problems_of(&[(own, "zstd")]),
        [format!("{own}: {expected} metrics")]
    );
    assert_eq!(
        problems_of(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")]),
        [
            "OTEL_EXPORTER_OTLP_TIMEOUT: expected a non-negative integer, in milliseconds, found \"10s\"; the default is used for traces and metrics"
        ]
    );
}

#[test]
fn a_header_value_may_contain_spaces_percent_signs_and_equals_signs() {
    let list = "authorization=Bearer KEY== , x-scope=a%2Cb,x-share=50%,";
    let (config, problems) = config(&[("OTEL_EXPORTER_OTLP_HEADERS", list)]);
    assert!(problems.is_empty(), "{problems:?}");
    let headers = &signal_otlp(&config, Signal::Traces).headers;
    assert_eq!(headers["authorization"], "Bearer KEY==");
    assert_eq!(headers["x-scope"], "a,b");
    assert_eq!(headers["x-share"], "50%");
    assert!(!format!("{config:?}").contains("KEY"));
}

#[test]
fn invalid_headers_are_reported_without_their_text() {
    for (list, entry) in [
        ("a=b,Bearer SECRET", 2),
        ("authorization: SECRET", 1),
        ("not a name=SECRET", 1),
        ("=SECRET", 1),
        ("a=b,c=SECRET%0A", 2),
        ("a=SECRET%FF", 1),
    ] {
        let (config, problems) = config(&[("OTEL_EXPORTER_OTLP_HEADERS", list)]);
        assert!(signal_otlp(&config, Signal::Traces).headers.is_empty());
        let expected = format!(
            "OTEL_EXPORTER_OTLP_HEADERS: expected a list of the form name=value,name=value, such as authorization=Bearer KEY, found an invalid entry at position {entry}; all headers of the variable are ignored for traces and metrics"
        );
        assert_eq!(problems, [expected]);
    }
}

#[test]
fn a_timeout_of_zero_means_no_limit() {
    let (config, problems) = config(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "0")]);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(signal_otlp(&config, Signal::Traces).timeout, NO_TIMEOUT);
}
