use baton_test_support::SqsResponse;

use crate::support::{TestApi, client};

const DURATION: &str = "http.server.request.duration";

/// The bucket boundaries that the HTTP conventions recommend.
const BOUNDARIES: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

#[tokio::test]
async fn every_request_is_measured_by_method_route_and_outcome() {
    let api = TestApi::start().await;
    api.onboard(&[]).await;
    api.onboard(&[]).await;
    api.get("/healthz").await;
    api.get("/no/such/route").await;
    client::request(api.address, "BREW", "/onboarding", &[], "").await;
    api.sqs.respond_with([SqsResponse::Error(
        400,
        "QueueDoesNotExist",
        "QueueDoesNotExist",
    )]);
    api.onboard(&[]).await;
    let series = api.metrics.series(DURATION);
    let found: Vec<(u64, String)> = series
        .iter()
        .map(|series| (series.count, series.attributes.join(" ")))
        .collect();
    let expected = [
        (
            1,
            "error.type=502 http.request.method=POST http.response.status_code=502 http.route=/onboarding url.scheme=http",
        ),
        (
            1,
            "http.request.method=GET http.response.status_code=404 url.scheme=http",
        ),
        (
            2,
            "http.request.method=POST http.response.status_code=202 http.route=/onboarding url.scheme=http",
        ),
        (
            1,
            "http.request.method=_OTHER http.response.status_code=405 http.route=/onboarding url.scheme=http",
        ),
    ];
    assert_eq!(
        found,
        expected.map(|(count, text)| (count, text.to_owned()))
    );
    for series in series {
        assert_eq!(series.bounds, BOUNDARIES);
        assert!((0.0..10.0).contains(&series.sum), "{series:?}");
    }
}

#[tokio::test]
async fn the_scheme_is_that_of_the_client_and_hosts_are_not_attributes() {
    let api = TestApi::start().await;
    for host in ["a.example", "b.example"] {
        let forwarded = format!("proto=https;host={host}");
        api.onboard(&[("forwarded", &forwarded)]).await;
    }
    let series = api.metrics.series(DURATION);
    assert_eq!((series.len(), series[0].count), (1, 2));
    assert_eq!(
        series[0].attributes.join(" "),
        "http.request.method=POST http.response.status_code=202 http.route=/onboarding url.scheme=https"
    );
}

#[tokio::test]
async fn a_request_whose_client_disconnects_is_measured_as_cancelled() {
    let api = TestApi::start().await;
    api.onboard_and_disconnect().await;
    api.spans.wait_for("POST /onboarding").await;
    let expected =
        "error.type=cancelled http.request.method=POST http.route=/onboarding url.scheme=http";
    assert_eq!(
        api.metrics.series(DURATION)[0].attributes.join(" "),
        expected
    );
}
