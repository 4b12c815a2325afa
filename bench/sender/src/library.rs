//! Sends messages with the library, and measures the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use baton_sqs::{InvalidQueueUrl, OutgoingMessage, QueueClient, QueueSender, QueueUrl};
use clap::Args;
use opentelemetry::Context;
use opentelemetry::global;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::Gathering;

/// A body of 90 bytes, like that of an onboarding.
const BODY: &str =
    r#"{"customer_id":"c-0123456789","email":"ada.lovelace@example.com","plan":"team","n":1}ab"#;

/// Time before the measurement, for connections and the estimate of the rate.
const WARM_UP: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(crate) struct LibraryOptions {
    /// Address of the fake SQS
    #[arg(long)]
    sqs: String,
    #[arg(long, value_enum)]
    gathering: Gathering,
    /// Number of concurrent callers, each of which sends one message after another
    #[arg(long, default_value_t = 64)]
    callers: usize,
    /// Messages per second, sent on a fixed schedule; without it, the callers send without a pause
    #[arg(long)]
    rate: Option<u32>,
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

/// A sender of either kind.
#[derive(Debug, Clone)]
enum Sender {
    Gathering(QueueSender),
    Single(QueueClient, SdkTracer),
}

/// Drops finished spans: their export is not part of the measurement.
#[derive(Debug)]
struct Discard;

impl SpanProcessor for Discard {
    fn on_start(&self, _: &mut Span, _: &Context) {}
    fn on_end(&self, _: SpanData) {}
    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
    fn shutdown_with_timeout(&self, _: Duration) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
}

impl Sender {
    /// Sends a message. Returns `true` if SQS accepted it.
    async fn send(&self) -> bool {
        let message = OutgoingMessage::new(BODY);
        match self {
            Self::Gathering(sender) => sender.send(message).await.is_ok(),
            Self::Single(client, tracer) => {
                let prepared = global::get_text_map_propagator(|propagator| {
                    client.prepare(tracer, propagator, &Context::current(), &message)
                });
                prepared.send().await.is_ok()
            }
        }
    }
}

/// Runs the measurement, and returns its result.
pub(crate) async fn measure(options: LibraryOptions) -> Result<Value, InvalidQueueUrl> {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder()
        .with_span_processor(Discard)
        .build();
    let queue = QueueUrl::parse(&format!("http://{}/000000000000/bench", options.sqs))?;
    let (client, tracer) = (sqs_client(&options.sqs), provider.tracer("bench"));
    let sender = match options.gathering {
        Gathering::On => Sender::Gathering(QueueSender::new(client, queue, tracer)),
        Gathering::Off => Sender::Single(QueueClient::new(client, queue), tracer),
    };
    let length = Duration::from_secs_f64(options.seconds);
    run(&sender, &options, WARM_UP).await;
    let (cpu, began) = (cpu_time(), Instant::now());
    let (failed, mut latencies) = run(&sender, &options, length).await;
    let (cpu, elapsed) = (cpu_time() - cpu, began.elapsed());
    latencies.sort_unstable();
    let messages = latencies.len();
    let at = |share: f64| {
        let index = (messages as f64 * share) as usize;
        latencies
            .get(index)
            .map(|latency| latency.as_secs_f64() * 1e3)
    };
    Ok(json!({
        "messages": messages,
        "failed": failed,
        "per_second": messages as f64 / elapsed.as_secs_f64(),
        "cpu_us_per_message": cpu.as_secs_f64() * 1e6 / messages as f64,
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
    }))
}

/// Sends for this time. Returns the number of failed sends and the latencies of the others.
async fn run(sender: &Sender, options: &LibraryOptions, length: Duration) -> (u64, Vec<Duration>) {
    let failed = Arc::new(AtomicU64::new(0));
    let deadline = Instant::now() + length;
    let mut latencies = Vec::new();
    let mut tasks = JoinSet::new();
    let timed = |sender: Sender, failed: Arc<AtomicU64>| async move {
        let began = Instant::now();
        let is_sent = sender.send().await;
        if !is_sent {
            failed.fetch_add(1, Ordering::Relaxed);
        }
        is_sent.then(|| began.elapsed())
    };
    if let Some(rate) = options.rate {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while ticks.tick().await < deadline {
            let one = timed(sender.clone(), Arc::clone(&failed));
            tasks.spawn(async move { Vec::from_iter(one.await) });
        }
    } else {
        for _ in 0..options.callers {
            let (sender, failed) = (sender.clone(), Arc::clone(&failed));
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                while Instant::now() < deadline {
                    latencies.extend(timed(sender.clone(), Arc::clone(&failed)).await);
                }
                latencies
            });
        }
    }
    while let Some(Ok(ended)) = tasks.join_next().await {
        latencies.extend(ended);
    }
    (failed.load(Ordering::Relaxed), latencies)
}

/// Returns the client that the library would have without gathering: the SDK's defaults.
fn sqs_client(address: &str) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "bench"))
        .endpoint_url(format!("http://{address}"))
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    Client::from_conf(config.build())
}

/// The CPU time of all threads of this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}
