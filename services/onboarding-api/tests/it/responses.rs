use baton_test_support::FakeSqs;
use baton_test_support::span_recorder::{attribute, traceparent};
use opentelemetry::trace::{SpanId, SpanKind, Status};
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::support::{TestApi, VALID, client};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const UPPER_CASE: &str = "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn an_accepted_onboarding_returns_its_message_and_trace_id() {
    let api = TestApi::start().await;
    let response = api.post_json("/onboarding", VALID).await;
    let trace_id = api
        .spans
        .find("POST /onboarding")
        .span_context
        .trace_id()
        .to_string();
    assert_eq!(response.status, 202);
    assert_eq!(
        response.json(),
        json!({"message_id": FakeSqs::MESSAGE_ID, "trace_id": trace_id})
    );
    assert_eq!(api.sqs.message()["MessageBody"].as_str().unwrap(), VALID);
}

#[tokio::test]
async fn the_send_span_is_the_child_of_the_request_and_the_parent_of_the_message() {
    let api = TestApi::start().await;
    api.onboard(&[]).await;
    let (server, send) = (
        api.spans.find("POST /onboarding"),
        api.spans.find("send onboarding"),
    );
    assert_eq!(server.parent_span_id, SpanId::INVALID);
    assert_eq!(send.parent_span_id, server.span_context.span_id());
    assert_eq!(api.sqs.attribute("traceparent"), Some(traceparent(&send)));
}

#[tokio::test]
async fn the_trace_is_in_the_header_that_browsers_can_read() {
    let api = TestApi::start().await;
    let accepted = api.onboard(&[("traceparent", TRACEPARENT)]).await;
    let span = api.spans.find("POST /onboarding").span_context;
    let expected = format!("traceparent;desc=\"00-{TRACE}-{}-01\"", span.span_id());
    assert_eq!(accepted.header("server-timing"), expected);
    let rejected = api.post_json("/onboarding", "{}").await;
    assert!(
        rejected
            .header("server-timing")
            .starts_with("traceparent;desc=\"00-")
    );
    assert_eq!(api.get("/healthz").await.header("server-timing"), "");
}

#[tokio::test]
async fn the_request_id_of_the_caller_is_returned_and_a_missing_one_is_generated() {
    let api = TestApi::start().await;
    let given = api.onboard(&[("x-request-id", "id-1")]).await;
    assert_eq!(given.header("x-request-id"), "id-1");
    let problem = api.post_json("/onboarding", "{}").await;
    assert_eq!(problem.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn the_trace_of_the_caller_is_continued() {
    let api = TestApi::start().await;
    let response = api
        .onboard(&[
            ("traceparent", TRACEPARENT),
            ("tracestate", "a=1"),
            ("tracestate", "b=2"),
            ("baggage", "tenant=blue"),
        ])
        .await;
    let server = api.spans.find("POST /onboarding");
    assert_eq!(response.json()["trace_id"], TRACE);
    assert_eq!(server.parent_span_id.to_string(), "b7ad6b7169203331");
    assert!(server.parent_span_is_remote);
    assert_eq!(
        api.sqs.attribute("traceparent"),
        Some(traceparent(&api.spans.find("send onboarding")))
    );
    assert_eq!(api.sqs.attribute("tracestate").as_deref(), Some("a=1,b=2"));
    assert_eq!(api.sqs.attribute("baggage").as_deref(), Some("tenant=blue"));
}

#[tokio::test]
async fn a_malformed_or_doubled_traceparent_starts_a_new_trace() {
    let api = TestApi::start().await;
    for headers in [
        vec![("traceparent", "00-garbage-01")],
        vec![("traceparent", UPPER_CASE)],
        vec![("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)],
    ] {
        let response = api.onboard(&headers).await;
        assert_eq!(response.status, 202);
        assert_ne!(response.json()["trace_id"], TRACE, "{headers:?}");
    }
}

#[tokio::test]
async fn the_request_span_follows_the_http_conventions() {
    let api = TestApi::start().await;
    api.onboard(&[]).await;
    let span = api.spans.find("POST /onboarding");
    assert_eq!(
        (span.span_kind.clone(), span.status.clone()),
        (SpanKind::Server, Status::Unset)
    );
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/onboarding"),
        ("url.path", "/onboarding"),
        ("url.scheme", "http"),
        ("http.response.status_code", "202"),
        ("server.address", "127.0.0.1"),
        ("server.port", &api.address.port().to_string()),
        ("error.type", ""),
    ] {
        assert_eq!(attribute(&span, key), value, "{key}");
    }
}

#[tokio::test]
async fn behind_a_load_balancer_with_tls_the_span_has_the_values_that_the_client_used() {
    let api = TestApi::start().await;
    // A request as an Application Load Balancer forwards it.
    let request = include_str!("forwarded-proto.http");
    let connection = client::connect_and_send(api.address, request).await;
    let span = api.spans.wait_for("POST /onboarding").await;
    drop(connection);
    for (key, value) in [
        ("http.response.status_code", "202"),
        ("url.scheme", "https"),
        ("server.address", "api.example.com"),
        ("server.port", "443"),
    ] {
        assert_eq!(attribute(&span, key), value, "{key}");
    }
}

#[tokio::test]
async fn invalid_forwarded_headers_are_ignored() {
    let api = TestApi::start().await;
    let headers = [
        ("forwarded", "proto=\"https;host="),
        ("x-forwarded-proto", "\u{1f600}"),
        ("x-forwarded-port", "many"),
    ];
    assert_eq!(api.onboard(&headers).await.status, 202);
    let span = api.spans.find("POST /onboarding");
    assert_eq!(attribute(&span, "url.scheme"), "http");
    assert_eq!(attribute(&span, "server.address"), "127.0.0.1");
}

#[tokio::test]
async fn a_compressed_body_is_rejected_with_the_accepted_encoding() {
    let api = TestApi::start().await;
    for path in ["/onboarding", "/telemetry/smoke"] {
        for encodings in [&["gzip"][..], &["identity, br"], &["identity", "GZIP"]] {
            let mut headers = vec![client::JSON];
            headers.extend(encodings.iter().map(|name| ("content-encoding", *name)));
            let response = client::request(api.address, "POST", path, &headers, VALID).await;
            let problem = response.problem(415);
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("`content-encoding`"), "{detail}");
            assert_eq!(response.header("accept-encoding"), "identity");
        }
    }
    assert!(api.sqs.calls().is_empty());
}

#[tokio::test]
async fn the_encoding_identity_is_accepted() {
    let api = TestApi::start().await;
    for encoding in ["identity", "Identity , identity", ""] {
        let response = api.onboard(&[("content-encoding", encoding)]).await;
        assert_eq!(response.status, 202, "{encoding}");
    }
    // The header does not matter if there is no body.
    let headers = [("content-encoding", "gzip")];
    let response = client::request(api.address, "POST", "/telemetry/smoke", &headers, "").await;
    assert_eq!(response.status, 202);
    let response = api.post_json("/onboarding", "no JSON").await;
    assert_eq!(response.header("accept-encoding"), "");
}

#[tokio::test]
async fn spans_of_a_request_whose_client_disconnects_have_failed() {
    let api = TestApi::start().await;
    api.onboard_and_disconnect().await;
    for name in ["POST /onboarding", "send onboarding"] {
        let span = api.spans.wait_for(name).await;
        assert_eq!(attribute(&span, "error.type"), "cancelled", "{name}");
        assert_eq!(attribute(&span, "http.response.status_code"), "", "{name}");
        assert!(
            matches!(span.status, Status::Error { .. }),
            "{name}: {:?}",
            span.status
        );
    }
}

#[tokio::test]
async fn a_body_that_ends_early_is_a_bad_request() {
    let api = TestApi::start().await;
    let request = client::onboarding_request(VALID, 1);
    let connection = client::connect_and_send(api.address, &request).await;
    drop(connection);
    let span = api.spans.wait_for("POST /onboarding").await;
    assert_eq!(attribute(&span, "http.response.status_code"), "400");
    assert!(api.sqs.calls().is_empty());
}

#[tokio::test]
async fn a_smoke_test_accepts_an_empty_body_or_a_customer_id() {
    let api = TestApi::start().await;
    let empty = client::request(api.address, "POST", "/telemetry/smoke", &[], "").await;
    let with_customer = api
        .post_json("/telemetry/smoke", r#"{"customer_id":"c-9"}"#)
        .await;
    assert_eq!(
        (empty.status.as_u16(), with_customer.status.as_u16()),
        (202, 202)
    );
    let customers: Vec<_> = api
        .sqs
        .calls()
        .iter()
        .map(|call| message_body(&call.message())["customer_id"].clone())
        .collect();
    assert!(
        customers[0].as_str().unwrap().starts_with("smoke-"),
        "{customers:?}"
    );
    assert_eq!(customers[1], "c-9");
}

#[tokio::test]
async fn an_unknown_field_of_a_smoke_test_is_named() {
    let api = TestApi::start().await;
    let problem = api
        .post_json("/telemetry/smoke", r#"{"email":"x"}"#)
        .await
        .problem(422);
    assert_eq!(problem["errors"][0]["field"], "email");
}

#[tokio::test]
async fn invalid_json_is_rejected_with_the_position_of_the_error() {
    let api = TestApi::start().await;
    let problem = api
        .post_json("/onboarding", "{\"customer_id\":\n oops}")
        .await
        .problem(400);
    assert_eq!(
        (&problem["line"], &problem["column"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(
        api.post_json("/onboarding", "").await.problem(400)["line"],
        1
    );
}

#[tokio::test]
async fn missing_unknown_and_invalid_fields_are_named() {
    let api = TestApi::start().await;
    let problem = api
        .post_json("/onboarding", r#"{"email":7,"plan":"team","colour":"red"}"#)
        .await
        .problem(422);
    assert_eq!(
        problem["errors"],
        json!([
            {"field": "colour", "pointer": "#/colour", "detail": "is not a field of this request"},
            {"field": "customer_id", "pointer": "#/customer_id", "detail": "is missing"},
            {"field": "email", "pointer": "#/email", "detail": "must be a string"},
        ])
    );
    assert!(api.sqs.calls().is_empty());
}

#[tokio::test]
async fn duplicate_keys_are_rejected_by_name() {
    let api = TestApi::start().await;
    let twice = VALID.replace("\"plan\"", "\"plan\":\"starter\",\"plan\"");
    let problem = api.post_json("/onboarding", &twice).await.problem(422);
    let expected =
        json!([{"field": "plan", "pointer": "#/plan", "detail": "occurs more than once"}]);
    assert_eq!(problem["errors"], expected);
    let twice = r#"{"customer_id":"a","customer_id":"b"}"#;
    let problem = api.post_json("/telemetry/smoke", twice).await.problem(422);
    assert_eq!(problem["errors"][0]["field"], "customer_id");
    assert!(api.sqs.calls().is_empty());
}

#[tokio::test]
async fn a_body_that_is_not_an_object_is_rejected() {
    let api = TestApi::start().await;
    let problem = api.post_json("/onboarding", "[1]").await.problem(422);
    assert_eq!(problem["errors"][0]["pointer"], "#");
}

#[tokio::test]
async fn other_content_types_are_rejected() {
    let api = TestApi::start().await;
    for headers in [
        &[][..],
        &[("content-type", "text/plain")],
        &[("content-type", "application/jsonp")],
    ] {
        client::request(api.address, "POST", "/onboarding", headers, VALID)
            .await
            .problem(415);
    }
    for accepted in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.example+json",
    ] {
        let response = client::request(
            api.address,
            "POST",
            "/onboarding",
            &[("content-type", accepted)],
            VALID,
        )
        .await;
        assert_eq!(response.status, 202, "{accepted}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_rejected() {
    let api = TestApi::start().await;
    let at_limit = format!("{VALID}{}", " ".repeat(64 * 1024 - VALID.len()));
    assert_eq!(api.post_json("/onboarding", &at_limit).await.status, 202);
    let problem = api
        .post_json("/onboarding", &format!("{at_limit} "))
        .await
        .problem(413);
    assert!(
        problem["detail"].as_str().unwrap().contains("65536"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_client_that_waits_to_send_a_body_over_the_limit_is_not_told_to_continue() {
    let api = TestApi::start().await;
    let expecting = |length: usize| {
        client::onboarding_request(VALID, 0)
            .replace(
                &format!("content-length: {}", VALID.len()),
                &format!("content-length: {length}"),
            )
            .replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n")
    };
    let mut connection = client::connect_and_send(api.address, &expecting(64 * 1024 + 1)).await;
    let mut response = String::new();
    connection.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");

    let mut connection = client::connect_and_send(api.address, &expecting(VALID.len())).await;
    let mut response = [0; 12];
    connection.read_exact(&mut response).await.unwrap();
    assert_eq!(&response, b"HTTP/1.1 100");
}

#[tokio::test]
async fn an_unknown_route_and_a_wrong_method_are_problems() {
    let api = TestApi::start().await;
    api.get("/nothing/ada@example.com").await.problem(404);
    let wrong = api.get("/onboarding").await;
    wrong.problem(405);
    assert_eq!(wrong.header("allow"), "POST");
    assert_eq!(
        attribute(&api.spans.find("GET"), "url.path"),
        "/nothing/REDACTED"
    );
    assert_eq!(
        attribute(
            &api.spans.find("GET /onboarding"),
            "http.response.status_code"
        ),
        "405"
    );
}

#[tokio::test]
async fn no_error_response_contains_an_address() {
    let api = TestApi::start().await;
    for body in [
        r#"{"customer_id":"ada@example.com","email":"ada@example.com ","plan":"ada@example.com","ada@example.com":1}"#,
        r#"{"email":"ada@example.com"#,
        r#""ada@example.com""#,
        r#"{"email": ada@example.com}"#,
    ] {
        let response = api.post_json("/onboarding", body).await;
        assert!(
            response.status.is_client_error() && !response.body.contains("ada"),
            "{response:?}"
        );
    }
    assert!(!format!("{:?}", api.spans.all()).contains("ada@"));
}

#[tokio::test]
async fn the_description_contains_every_route_and_its_problems() {
    let api = TestApi::start().await;
    let response = api.get("/openapi.json").await;
    assert_eq!(response.header("content-type"), "application/json");
    let document = response.json();
    let paths = document["paths"].as_object().unwrap();
    let detail = api.get("/nothing").await.problem(404)["detail"].clone();
    assert_eq!(paths.len(), 6);
    for path in paths.keys() {
        assert!(detail.as_str().unwrap().contains(path), "{path}: {detail}");
    }
    let responses = &document["paths"]["/onboarding"]["post"]["responses"];
    let statuses: Vec<_> = responses.as_object().unwrap().keys().collect();
    let expected = [
        "202", "400", "408", "413", "415", "422", "500", "502", "503", "504",
    ];
    assert_eq!(statuses, expected);
}

#[tokio::test]
async fn health_checks_have_no_spans() {
    let api = TestApi::start().await;
    let (healthy, ready) = (api.get("/healthz").await, api.get("/readyz").await);
    assert_eq!((healthy.status.as_u16(), ready.status.as_u16()), (200, 200));
    assert_eq!(api.sqs.calls()[0].action, "AmazonSQS.GetQueueAttributes");
    assert_eq!(api.sqs.calls().len(), 1);
    assert!(api.spans.all().is_empty(), "{:?}", api.spans.all());
}

fn message_body(message: &serde_json::Value) -> serde_json::Value {
    serde_json::from_str(message["MessageBody"].as_str().unwrap()).unwrap()
}
