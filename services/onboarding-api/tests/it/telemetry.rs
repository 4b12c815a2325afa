use std::net::SocketAddr;
use std::time::{Duration, Instant};

use baton_test_support::{
    AttributeValue, CollectorResponse, FakeSqs, LogRecord, SqsResponse, TestCollector,
};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::support::VALID;
use crate::support::collector::measurement_counts;
use crate::support::process::ApiProcess;

const REFUSED: SqsResponse = SqsResponse::Error(400, "QueueDoesNotExist", "QueueDoesNotExist");

/// Time limit for 300 requests, more than a busy machine needs.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the variables that all of these tests set.
fn export_variables(endpoint: &str) -> Vec<(&'static str, &str)> {
    vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("RUST_LOG", "info,baton_telemetry=debug"),
    ]
}

/// A client that sends all requests over one connection.
struct Client(SendRequest<Full<Bytes>>);

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// Sends an onboarding. Returns the status and the trace id of the response, or `None` if the
    /// connection was closed.
    async fn onboard(&mut self) -> Option<(u16, Option<String>)> {
        self.onboard_with_headers(&[]).await
    }

    async fn onboard_with_headers(
        &mut self,
        headers: &[(&str, &str)],
    ) -> Option<(u16, Option<String>)> {
        let mut request = Request::post("/onboarding")
            .header("host", "api.example.com")
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from_static(VALID.as_bytes())));
        let request = request.unwrap();
        self.0.ready().await.ok()?;
        let response = self.0.send_request(request).await.ok()?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        Some((status, body["trace_id"].as_str().map(str::to_owned)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_under_load_loses_no_signal_of_a_request_with_a_response() {
    const CLIENTS: usize = 4;
    let (sqs, collector) = (
        FakeSqs::start().await.unwrap(),
        TestCollector::start(CollectorResponse::Ok).await.unwrap(),
    );
    sqs.respond_with([REFUSED; 7]);
    let endpoint = collector.endpoint();
    let process = ApiProcess::start(&sqs, &export_variables(&endpoint)).await;
    let (address, terminate) = (process.address, process.terminate());
    let clients = (0..CLIENTS).map(|_| {
        tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            let mut responses = Vec::new();
            // Until the server closes the connection.
            while let Some(response) = client.onboard().await {
                responses.push(response);
            }
            responses
        })
    });
    let clients: Vec<_> = clients.collect();
    let loaded = async {
        while sqs.calls().len() < 300 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let loaded = tokio::time::timeout(LOAD_TIMEOUT, loaded).await;
    loaded.expect("the clients get responses");
    terminate.await;
    let mut responses = Vec::new();
    for client in clients {
        responses.extend(client.await.unwrap());
    }
    let log = process.into_log().await;
    let accepted: Vec<&String> = responses
        .iter()
        .filter_map(|(_, trace)| trace.as_ref())
        .collect();
    let refused = responses.len() - accepted.len();
    assert_eq!(refused, 7);
    let spans = collector.spans().unwrap();
    for trace in &accepted {
        let of_trace = spans.iter().filter(|span| span.trace_id == **trace);
        assert_eq!(of_trace.count(), 2, "{trace}");
    }
    let counts = measurement_counts(
        &collector,
        "http.server.request.duration",
        "http.response.status_code",
    );
    // The last response of each connection may have been measured although the client did not get
    // it.
    let measured = usize::try_from(counts["202"]).unwrap();
    assert!(
        (accepted.len()..=accepted.len() + CLIENTS).contains(&measured),
        "{counts:?}"
    );
    assert_eq!(counts["502"], 7);
    let records = collector.log_records().unwrap();
    let has_text =
        |record: &&LogRecord, text: &str| record.body == Some(AttributeValue::from(text));
    let with_text = |text| -> Vec<&LogRecord> {
        let records = records.iter().filter(|record| has_text(record, text));
        records.collect()
    };
    assert_eq!(with_text("stopped").len(), 1);
    // The first of the seven is written, and the rest is one line with their number.
    let rejected = with_text("message rejected");
    let trace_id = rejected[0].trace_id.as_ref();
    assert_eq!((rejected.len(), trace_id.map(String::len)), (2, Some(32)));
    let count = |record: &&LogRecord| match record.attributes.get("count") {
        Some(AttributeValue::Int(count)) => *count,
        other => panic!("{other:?}"),
    };
    assert_eq!(rejected.iter().map(count).sum::<i64>(), 7);
    assert_eq!(losses(&log), (0, 0));
}

#[tokio::test]
async fn requests_cancelled_at_shutdown_are_in_traces_and_metrics() {
    let (sqs, collector) = (
        FakeSqs::start().await.unwrap(),
        TestCollector::start(CollectorResponse::Ok).await.unwrap(),
    );
    sqs.respond_with([SqsResponse::Hang]);
    let endpoint = collector.endpoint();
    let mut variables = export_variables(&endpoint);
    variables.push(("SHUTDOWN_TIMEOUT", "0"));
    let process = ApiProcess::start(&sqs, &variables).await;
    let mut client = Client::connect(process.address).await;
    let request = tokio::spawn(async move { client.onboard().await });
    sqs.wait_for_call().await;
    process.terminate().await;
    let log = process.into_log().await;
    assert_eq!(request.await.unwrap(), None);
    let mut names: Vec<String> = collector
        .spans()
        .unwrap()
        .into_iter()
        .map(|span| span.name)
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["POST /onboarding", "send onboarding"]);
    let counts = measurement_counts(&collector, "http.server.request.duration", "error.type");
    assert_eq!(counts["cancelled"], 1);
    assert_eq!(losses(&log), (0, 0));
}

#[tokio::test]
async fn a_disabled_sdk_passes_the_context_of_the_caller_on() {
    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let (sqs, collector) = (
        FakeSqs::start().await.unwrap(),
        TestCollector::start(CollectorResponse::Ok).await.unwrap(),
    );
    let endpoint = collector.endpoint();
    let mut variables = export_variables(&endpoint);
    variables.push(("OTEL_SDK_DISABLED", "true"));
    let process = ApiProcess::start(&sqs, &variables).await;
    let mut client = Client::connect(process.address).await;
    assert_eq!(client.onboard().await, Some((202, None)));
    let traced = client
        .onboard_with_headers(&[("traceparent", CALLER)])
        .await;
    let trace_id = CALLER[3..35].to_owned();
    assert_eq!(traced, Some((202, Some(trace_id))));
    process.terminate().await;
    process.into_log().await;
    let messages = sqs.accepted();
    let contexts = messages.iter().map(|message| {
        let attribute = &message["MessageAttributes"]["traceparent"];
        attribute["StringValue"].as_str()
    });
    assert_eq!(contexts.collect::<Vec<_>>(), [None, Some(CALLER)]);
    assert_eq!(collector.request_count(), 0);
}

/// Returns the numbers of spilled and dropped spans that the last flush logged.
fn losses(log: &[Value]) -> (u64, u64) {
    let mut flushes = log
        .iter()
        .filter(|line| line["message"] == "telemetry flushed");
    let last = flushes.next_back().expect("a flush was logged");
    let count = |name: &str| last[name].as_u64().unwrap();
    let sum = count("spans_exported") + count("spans_spilled") + count("spans_dropped");
    assert_eq!(
        count("spans_finished"),
        sum + count("spans_pending"),
        "{last}"
    );
    (count("spans_spilled"), count("spans_dropped"))
}

/// Sends requests to a process whose collector responds with `response`. Returns the median
/// duration, the log, and the time that the process took to shut down.
async fn measure(response: CollectorResponse, requests: usize) -> (Duration, Vec<Value>, Duration) {
    let (sqs, collector) = (
        FakeSqs::start().await.unwrap(),
        TestCollector::start(response).await.unwrap(),
    );
    let endpoint = collector.endpoint();
    let mut variables = export_variables(&endpoint);
    variables.extend([
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1000"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("BATON_SPILL", "none"),
    ]);
    let process = ApiProcess::start(&sqs, &variables).await;
    let mut client = Client::connect(process.address).await;
    let mut times = Vec::with_capacity(requests);
    for _ in 0..requests {
        let started_at = Instant::now();
        assert_eq!(client.onboard().await.unwrap().0, 202);
        times.push(started_at.elapsed());
    }
    let terminated_at = Instant::now();
    process.terminate().await;
    let log = process.into_log().await;
    times.sort_unstable();
    (times[times.len() / 2], log, terminated_at.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_hangs_delays_no_request_and_dropped_spans_are_counted() {
    const REQUESTS: usize = 2_000;
    let (working, log, _) = measure(CollectorResponse::Ok, REQUESTS).await;
    assert_eq!(losses(&log), (0, 0));
    let (hanging, log, shutdown) = measure(CollectorResponse::Hang, REQUESTS).await;
    // A request that waited for the collector would take at least 50 ms. The tolerance is for a
    // busy machine.
    assert!(
        hanging < 2 * working + Duration::from_millis(5),
        "{hanging:?}, {working:?}"
    );
    let (spilled, dropped) = losses(&log);
    assert!(
        spilled == 0 && dropped >= 2 * REQUESTS as u64 - 1000 - 500,
        "{dropped}"
    );
    // Three seconds for the last export, and none for requests.
    assert!(shutdown < Duration::from_secs(6), "{shutdown:?}");
}
