//! Endpoints in the forms in which they are configured, with and without a protocol.

use super::*;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const INSECURE: &str = "OTEL_EXPORTER_OTLP_INSECURE";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";

/// Returns the protocol and endpoint of traces, and the reported problems.
fn route(variables: &[(&str, &str)]) -> (Option<String>, Vec<String>) {
    let metrics = ("OTEL_METRICS_EXPORTER", "none");
    let (config, problems) = config(&[variables, &[metrics]].concat());
    let otlp = config.traces.otlp();
    let route = otlp.map(|otlp| format!("{} {}", otlp.protocol, otlp.endpoint));
    (route, problems)
}

#[test]
fn over_http_the_path_of_the_signal_is_added_to_the_general_endpoint_only() {
    for (variables, expected) in [
        (&[][..], "http://localhost:4318/v1/traces"),
        (
            &[(ENDPOINT, "https://collector/base")],
            "https://collector:443/base/v1/traces",
        ),
        (
            &[(ENDPOINT, "https://a"), (TRACES_ENDPOINT, "http://b:1/x")],
            "http://b:1/x",
        ),
        (
            &[(ENDPOINT, "http://a:9"), (TRACES_ENDPOINT, " ")],
            "http://a:9/v1/traces",
        ),
        (
            &[(ENDPOINT, "collector:4318")],
            "https://collector:4318/v1/traces",
        ),
        (
            &[(ENDPOINT, "collector:4318"), (INSECURE, "True")],
            "http://collector:4318/v1/traces",
        ),
        (
            &[
                (ENDPOINT, "collector:4318"),
                (INSECURE, "true"),
                ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "false"),
            ],
            "https://collector:4318/v1/traces",
        ),
        (
            &[
                (ENDPOINT, "ingress.eu2.coralogix.com:443"),
                (PROTOCOL, "HTTP/protobuf"),
            ],
            "https://ingress.eu2.coralogix.com:443/v1/traces",
        ),
        (
            &[(ENDPOINT, "http://a:4317"), (PROTOCOL, "http/protobuf")],
            "http://a:4317/v1/traces",
        ),
        // The scheme of an endpoint takes precedence over the variable.
        (
            &[(ENDPOINT, "https://a:4318"), (INSECURE, "true")],
            "https://a:4318/v1/traces",
        ),
    ] {
        let expected = format!("http/protobuf {expected}");
        assert_eq!(route(variables), (Some(expected), vec![]), "{variables:?}");
    }
}

#[test]
#[cfg(feature = "grpc")]
fn grpc_is_selected_by_its_name_by_its_port_or_by_a_missing_scheme() {
    for (variables, expected) in [
        (&[(PROTOCOL, "grpc")][..], "http://localhost:4317/"),
        (&[(TRACES_PROTOCOL, "GRPC")], "http://localhost:4317/"),
        (&[(ENDPOINT, "http://a:4317")], "http://a:4317/"),
        (&[(ENDPOINT, "https://a:4317/")], "https://a:4317/"),
        (
            &[(ENDPOINT, "ingress.eu2.coralogix.com:443")],
            "https://ingress.eu2.coralogix.com:443/",
        ),
        (
            &[(ENDPOINT, "a:4317"), (INSECURE, "true")],
            "http://a:4317/",
        ),
        (
            &[(TRACES_ENDPOINT, "http://a:55680"), (PROTOCOL, "grpc")],
            "http://a:55680/",
        ),
    ] {
        let expected = format!("grpc {expected}");
        assert_eq!(route(variables), (Some(expected), vec![]), "{variables:?}");
    }
}

#[test]
#[cfg(feature = "grpc")]
fn a_path_is_ignored_for_grpc_and_reported() {
    let (found, problems) = route(&[(ENDPOINT, "http://a:4317/v1/traces")]);
    assert_eq!(found.as_deref(), Some("grpc http://a:4317/"));
    assert_eq!(
        problems,
        [
            "OTEL_EXPORTER_OTLP_ENDPOINT: expected a gRPC endpoint without a path, found a path; the path is ignored for traces"
        ]
    );
}

#[test]
#[cfg(not(feature = "grpc"))]
fn an_endpoint_that_requires_grpc_is_rejected_without_the_feature() {
    let url_form = "a URL for http/protobuf such as http://localhost:4318 or https://ingress.eu2.coralogix.com (gRPC requires a build with the feature `grpc`)";
    for (variables, name, form, found) in [
        (
            &[(ENDPOINT, "http://a:4317")][..],
            ENDPOINT,
            url_form,
            "port 4317, which means gRPC",
        ),
        (
            &[(TRACES_ENDPOINT, "http://a:4317")],
            TRACES_ENDPOINT,
            url_form,
            "port 4317, which means gRPC",
        ),
        (
            &[(ENDPOINT, "ingress.eu2.coralogix.com:443")],
            ENDPOINT,
            url_form,
            "no scheme, which means gRPC over TLS",
        ),
        (
            &[(ENDPOINT, "collector:9"), (INSECURE, "true")],
            ENDPOINT,
            url_form,
            "no scheme, which means gRPC",
        ),
    ] {
        let expected =
            format!("{name}: expected {form}, found {found}; export is disabled for traces");
        assert_eq!(route(variables), (None, vec![expected]), "{variables:?}");
    }
}

#[test]
fn an_unknown_protocol_is_reported_and_counts_as_unset() {
    for name in ["http/json", "http", "kafka"] {
        for (variables, expected) in [
            (&[][..], "http/protobuf http://localhost:4318/v1/traces"),
            (
                &[(ENDPOINT, "http://a:4318")],
                "http/protobuf http://a:4318/v1/traces",
            ),
        ] {
            let (found, problems) = route(&[variables, &[(PROTOCOL, name)]].concat());
            assert_eq!(found.as_deref(), Some(expected), "{name}");
            assert_eq!(problems.len(), 1, "{problems:?}");
            let problem = &problems[0];
            assert!(problem.starts_with("OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf"));
            assert!(
                problem.ends_with(&format!("found {name:?}; the default is used for traces")),
                "{problem}"
            );
        }
    }
}

#[test]
fn an_unknown_protocol_for_a_signal_leaves_the_general_one_in_effect() {
    let (found, problems) = route(&[
        (TRACES_PROTOCOL, "http/json"),
        (PROTOCOL, "http/protobuf"),
        (ENDPOINT, "http://a:4317"),
    ]);
    let expected = "http/protobuf http://a:4317/v1/traces";
    assert_eq!(found.as_deref(), Some(expected));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].ends_with("found \"http/json\"; the value is ignored for traces"));
}

#[test]
#[cfg(not(feature = "grpc"))]
fn grpc_is_an_unknown_protocol_without_the_feature() {
    for (variables, expected) in [
        (
            &[(PROTOCOL, "GRPC")][..],
            Some("http/protobuf http://localhost:4318/v1/traces"),
        ),
        // The endpoint implies gRPC as well, so nothing is exported.
        (&[(PROTOCOL, "grpc"), (ENDPOINT, "http://a:4317")], None),
    ] {
        let (found, problems) = route(variables);
        assert_eq!(found.as_deref(), expected, "{variables:?}");
        let problem = &problems[0];
        assert!(
            problem.contains("(grpc requires a build with the feature `grpc`)"),
            "{problem}"
        );
        assert_eq!(problems.len(), variables.len(), "{problems:?}");
    }
}

#[test]
fn an_invalid_endpoint_is_reported_with_the_reason_and_without_its_value() {
    for (url, why) in [
        ("https://user:SECRET@a", "it contains user information"),
        ("https://a/?key=SECRET", "it contains a query"),
        ("ftp://SECRET", "the scheme is neither http nor https"),
        ("http://SECRET:99999", "the port is not a number from 1 to"),
        ("http://SECRET a", "not a URL"),
    ] {
        let (found, problems) = route(&[(ENDPOINT, url)]);
        assert_eq!((found, problems.len()), (None, 1), "{url}");
        let problem = &problems[0];
        let form = "OTEL_EXPORTER_OTLP_ENDPOINT: expected a URL such as http://localhost:4318";
        assert!(
            problem.starts_with(form) && problem.contains(why),
            "{problem}"
        );
        assert!(problem.ends_with("; export is disabled for traces"));
        assert!(!problem.contains("SECRET"), "{problem}");
    }
}

#[test]
fn all_problems_are_reported_together() {
    let (found, problems) = route(&[
        (ENDPOINT, "ftp://a"),
        (PROTOCOL, "http/json"),
        (INSECURE, "1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli"),
    ]);
    assert_eq!((found, problems.len()), (None, 6), "{problems:?}");
}
