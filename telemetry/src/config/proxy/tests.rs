//! Endpoints that are reached through a proxy, and those that are not.

use super::*;
use crate::config::DefaultScheme;
use crate::config::tests::config;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Returns the proxy for traces, and the reported problems.
fn proxy(variables: &[(&str, &str)]) -> (Option<String>, Vec<String>) {
    let metrics = ("OTEL_METRICS_EXPORTER", "none");
    let (config, problems) = config(&[variables, &[metrics]].concat());
    let proxy = config.traces.otlp().and_then(|otlp| otlp.proxy.as_ref());
    (proxy.map(ToString::to_string), problems)
}

#[test]
fn an_endpoint_with_tls_is_reached_through_the_proxy() {
    let endpoint = (ENDPOINT, "https://collector.example");
    for (variables, expected) in [
        (&[][..], None),
        (&[("HTTPS_PROXY", "http://a:3128")], Some("http://a:3128/")),
        (&[("https_proxy", "a:3128")], Some("http://a:3128/")),
        (
            &[("HTTPS_PROXY", "http://a:1"), ("https_proxy", "http://b:2")],
            Some("http://a:1/"),
        ),
        (&[("HTTPS_PROXY", "")], None),
        (&[("HTTP_PROXY", "http://a:3128")], None),
        (&[("HTTPS_PROXY", "http://a:1"), ("NO_PROXY", "*")], None),
        (
            &[("HTTPS_PROXY", "http://a:1"), ("no_proxy", ".example")],
            None,
        ),
    ] {
        let (found, problems) = proxy(&[variables, &[endpoint]].concat());
        assert_eq!(found.as_deref(), expected, "{variables:?}");
        assert!(problems.is_empty(), "{problems:?}");
    }
}

#[test]
fn endpoints_without_tls_and_on_this_host_are_reached_directly() {
    for endpoint in [
        "http://collector.example:4318",
        "https://localhost:4318",
        "https://127.0.0.2:4318",
        "https://[::1]:4318",
    ] {
        // These endpoints are reached even if the proxy is invalid.
        for url in ["http://a:3128", "socks5://a"] {
            let (found, problems) = proxy(&[("HTTPS_PROXY", url), (ENDPOINT, endpoint)]);
            assert_eq!((found, problems), (None, vec![]), "{endpoint}");
        }
    }
}

#[test]
fn an_invalid_proxy_disables_the_export_and_is_reported_without_its_value() {
    let endpoint = (ENDPOINT, "https://collector.example");
    for (url, why) in [
        ("https://user:SECRET@a:3128", "the scheme is not http"),
        ("socks5://user:SECRET@a:1080", "the scheme is not http"),
        ("http://user:SECRET@a:x", "the port is not a number"),
    ] {
        let (config, problems) = config(&[("HTTPS_PROXY", url), endpoint]);
        assert!(config.traces.otlp().is_none() && config.metrics.otlp().is_none());
        let expected = format!("HTTPS_PROXY: expected {FORM}, found an invalid URL ({why}");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(&expected), "{problems:?}");
        assert!(problems[0].ends_with("; export is disabled for traces and metrics"));
        assert!(!problems[0].contains("SECRET"));
    }
}

#[test]
fn exceptions_are_hosts_domains_ports_addresses_and_networks() {
    for (list, url, expected) in [
        ("", "https://a.example", false),
        ("*", "https://a.example", true),
        ("other, a.example", "https://A.Example", true),
        ("example", "https://a.example", true),
        (".example", "https://a.example", true),
        ("*.example", "https://a.example", true),
        ("example", "https://anexample", false),
        ("a.example", "https://example", false),
        ("a.example:443", "https://a.example", true),
        ("a.example:4318", "https://a.example", false),
        ("10.1.2.3", "https://10.1.2.3:4318", true),
        ("10.1.2.3:4318", "https://10.1.2.3:4318", true),
        ("10.1.2.3:1", "https://10.1.2.3:4318", false),
        ("10.0.0.0/8", "https://10.1.2.3", true),
        ("10.0.0.0/16", "https://10.1.2.3", false),
        ("0.0.0.0/0", "https://10.1.2.3", true),
        ("10.0.0.0/33", "https://10.1.2.3", false),
        ("10.0.0.0/8", "https://a.example", false),
        ("fd00::1", "https://[fd00::1]", true),
        ("[fd00::1]:443", "https://[fd00::1]", true),
        ("fd00::/8", "https://[fd00::1]", true),
        ("::/0", "https://10.1.2.3", false),
        (".", "https://a.example", false),
    ] {
        let endpoint = Endpoint::parse(url, DefaultScheme::Https).unwrap();
        assert_eq!(is_exempt(list, &endpoint), expected, "{list} {url}");
    }
}

#[test]
fn a_proxy_is_read_with_and_without_scheme_port_and_credentials() {
    for (url, expected, authorization) in [
        ("http://proxy:3128", "http://proxy:3128/", None),
        ("HTTP://10.0.0.1:3128/", "http://10.0.0.1:3128/", None),
        ("proxy:3128", "http://proxy:3128/", None),
        ("proxy", "http://proxy:80/", None),
        ("[::1]:3128", "http://[::1]:3128/", None),
        (
            "http://user:p%40ss@proxy:3128",
            "http://proxy:3128/",
            Some("Basic dXNlcjpwQHNz"),
        ),
        ("user@proxy:1", "http://proxy:1/", Some("Basic dXNlcjo=")),
    ] {
        let proxy = Proxy::parse(url).unwrap();
        assert_eq!(proxy.to_string(), expected);
        let found = proxy.authorization.as_deref();
        assert_eq!(found, authorization.map(str::as_bytes), "{url}");
        assert_eq!(format!("{proxy:?}"), expected);
    }
}

#[test]
fn only_http_proxies_are_accepted() {
    for url in ["https://proxy:3128", "socks5://proxy:1080"] {
        assert_eq!(Proxy::parse(url), Err(InvalidProxy::Scheme), "{url}");
    }
    for url in ["http://", "http://proxy:x", "http://user:key@", "a b"] {
        let error = Proxy::parse(url).unwrap_err();
        assert!(matches!(error, InvalidProxy::Url(_)), "{url}: {error}");
    }
}
