use axum::body::Body;

use super::*;

fn target(headers: &[(&str, &str)]) -> Target {
    let mut request = Request::builder().uri("/onboarding");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Target::from_request(&request.body(Body::empty()).unwrap())
}

/// Returns scheme, host and port of a request with these headers.
fn formatted_target(headers: &[(&str, &str)]) -> String {
    let Target { scheme, server } = target(headers);
    let server = server.map_or_else(String::new, |server| {
        format!("{} {}", server.address, server.port)
    });
    format!("{} {server}", scheme.as_str())
}

#[test]
fn without_a_proxy_the_values_of_the_request_are_used() {
    for (host, expected) in [
        ("api.example.com", "http api.example.com 80"),
        ("API.example.com:8080", "http api.example.com 8080"),
        ("[2001:DB8:0::1]:8080", "http 2001:db8::1 8080"),
        ("ada@example.com:1", "http example.com 1"),
        ("api.example.com:0", "http api.example.com 80"),
        ("not a host", "http "),
        ("", "http "),
    ] {
        assert_eq!(formatted_target(&[("host", host)]), expected, "{host}");
    }
    assert_eq!(formatted_target(&[]), "http ");
    let absolute = Request::builder().uri("http://other.example:81/x");
    let absolute = absolute.header("host", "api.example.com");
    let server = Target::from_request(&absolute.body(Body::empty()).unwrap()).server;
    assert_eq!(server.map(|server| server.port), Some(81));
}

#[test]
fn a_load_balancer_that_terminates_tls_forwards_scheme_and_port() {
    let host = ("host", "api.example.com");
    for (headers, expected) in [
        (
            vec![
                host,
                ("x-forwarded-proto", "https"),
                ("x-forwarded-port", "443"),
            ],
            "https api.example.com 443",
        ),
        (
            vec![host, ("x-forwarded-proto", "https")],
            "https api.example.com 443",
        ),
        (
            vec![host, ("x-forwarded-proto", "HTTPS , http")],
            "https api.example.com 443",
        ),
        (
            vec![host, ("x-forwarded-proto", "\"https\"")],
            "https api.example.com 443",
        ),
        (
            vec![
                host,
                ("x-forwarded-proto", "https"),
                ("x-forwarded-proto", "http"),
            ],
            "https api.example.com 443",
        ),
        (
            vec![("host", "10.0.0.7:8080"), ("x-forwarded-port", "8443, 80")],
            "http 10.0.0.7 8443",
        ),
        (
            vec![
                ("host", "10.0.0.7:8080"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "Shop.example, cache.example"),
            ],
            "https shop.example 443",
        ),
        (
            vec![
                host,
                ("x-forwarded-host", "shop.example:8443"),
                ("x-forwarded-port", "80"),
            ],
            "http shop.example 8443",
        ),
        (vec![host, ("x-forwarded-host", "[::1]")], "http ::1 80"),
    ] {
        assert_eq!(formatted_target(&headers), expected, "{headers:?}");
    }
}

#[test]
fn forwarded_has_priority_over_the_x_forwarded_headers() {
    let headers = |forwarded| {
        [
            ("host", "10.0.0.7:8080"),
            ("forwarded", forwarded),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "old.example:81"),
        ]
    };
    for (forwarded, expected) in [
        (
            "for=192.0.2.60;proto=https;host=new.example",
            "https new.example 443",
        ),
        (
            "Proto=HTTPS; Host=\"new.example:8443\"",
            "https new.example 8443",
        ),
        ("host=\"[2001:db8::1]:444\"", "http 2001:db8::1 444"),
        (r#"by="a,b;\"c";host="n\ew.example""#, "http new.example 80"),
        (
            "proto=https, proto=http;host=inner.example",
            "https old.example 81",
        ),
        (";;proto=https;", "https old.example 81"),
        ("proto=https;proto=http", "https old.example 81"),
        // The proxy next to the client left its element empty, and the other proxies do not know
        // the client's values.
        (", proto=https;host=inner.example", "http old.example 81"),
        ("for=_hidden", "http old.example 81"),
    ] {
        assert_eq!(
            formatted_target(&headers(forwarded)),
            expected,
            "{forwarded}"
        );
    }
}

#[test]
fn invalid_values_are_ignored() {
    let long = format!("{}.example", "a".repeat(MAX_HOST_BYTES));
    for (name, value) in [
        ("forwarded", "proto"),
        ("forwarded", "proto=https;host=\"unclosed"),
        ("forwarded", "proto=https;host=\"a\"b"),
        ("forwarded", "proto=ftp;host=\"\""),
        ("forwarded", "proto=\"\\"),
        ("x-forwarded-proto", ""),
        ("x-forwarded-proto", "wss"),
        ("x-forwarded-proto", "h\u{e4}"),
        ("x-forwarded-host", "a b"),
        ("x-forwarded-host", "ada%40example.com"),
        ("x-forwarded-host", "[ada:example]"),
        ("x-forwarded-host", "a$b"),
        ("x-forwarded-host", &long),
        ("x-forwarded-host", " , inner.example"),
        ("x-forwarded-port", "https"),
        ("x-forwarded-port", "65536"),
        ("x-forwarded-port", "0"),
        ("x-forwarded-port", "-1"),
    ] {
        let headers = [("host", "api.example.com"), (name, value)];
        assert_eq!(
            formatted_target(&headers),
            "http api.example.com 80",
            "{name}: {value}"
        );
    }
}
