//! A function whose telemetry is set up as the variable `SET_UP` specifies. Its handler creates one
//! span and logs one line for each message.
//!
//! | `SET_UP` | Telemetry |
//! |---|---|
//! | `environment` | Baton's own exporter |
//! | `hyper`, `reqwest`, `tonic` | exporters of `opentelemetry-otlp` for all signals, with this client |
//! | `reqwest-blocking`, `metrics-reqwest-blocking` | the exporter of spans or of metrics, with the blocking client |
//! | `hidden-reqwest-blocking` | the same for spans, in a type that does not show the client |
//! | `batch-blocking`, `batch-tonic`, `batch-hyper` | providers with the SDK's batch processor |
//! | `tokio-hyper`, `tokio-tonic` | providers with the SDK's processor for tokio's current thread |
//! | `unflushed` | the SDK's batch processor with the blocking client, without Baton |

#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use baton_lambda::opentelemetry::trace::Tracer as _;
use baton_lambda::opentelemetry::{Context, global};
use baton_lambda::tracing::info;
use baton_lambda::{Consumer, Failure, Message, ServiceInfo, Telemetry, lambda_runtime};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    LogExporter, MetricExporter, RetryPolicy, SpanExporter, WithHttpConfig as _,
    WithTonicConfig as _,
};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};
use opentelemetry_sdk::runtime::TokioCurrentThread;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor as AsyncProcessor;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SERVICE: ServiceInfo = ServiceInfo {
    name: "exporting-function",
    version: None,
};
/// Time limit of a request. A flush ends earlier.
const TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let set_up = env::var("SET_UP")?;
    let builder = Telemetry::builder(SERVICE);
    let telemetry = match set_up.as_str() {
        "environment" => builder.init().await,
        "hyper" | "reqwest" | "tonic" => {
            let builder = builder.span_exporter(spans(&set_up)?);
            let builder = builder.metric_exporter(metrics(&set_up)?);
            builder.log_exporter(logs(&set_up)?).init().await
        }
        "reqwest-blocking" => builder.span_exporter(spans(&set_up)?).init().await,
        "metrics-reqwest-blocking" => {
            let exporter = MetricExporter::builder().with_http();
            let exporter = exporter.with_http_client(blocking_client()?);
            builder.metric_exporter(exporter.build()?).init().await
        }
        "hidden-reqwest-blocking" => builder.span_exporter(spans(&set_up)?).init().await,
        "unflushed" => return unflushed().await,
        _ => providers(&set_up)?,
    };
    Ok(Consumer::builder().telemetry(telemetry).run(handle).await?)
}

async fn handle(_: Message<String>) -> std::result::Result<(), Failure> {
    global::tracer("handler").in_span("work", |_| info!("stored"));
    Ok(())
}

/// One retry. It replaces a connection that broke while the process was frozen, and takes only
/// about a tenth of a second if the collector is down.
fn retry() -> RetryPolicy {
    RetryPolicy::default().with_max_retries(1)
}

fn hyper_client() -> HyperClient {
    HyperClient::with_default_connector(TIMEOUT, None)
}

fn reqwest_client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().timeout(TIMEOUT).build()?)
}

/// The client must be built on another thread, because it starts a runtime and waits for it.
fn blocking_client() -> Result<reqwest::blocking::Client> {
    let build = || {
        reqwest::blocking::Client::builder()
            .timeout(TIMEOUT)
            .build()
    };
    let built = std::thread::spawn(build).join();
    Ok(built.map_err(|_| "the thread panicked")??)
}

fn spans(client: &str) -> Result<SpanExporter> {
    let http = || {
        SpanExporter::builder()
            .with_http()
            .with_retry_policy(retry())
    };
    Ok(match client {
        "hyper" => http().with_http_client(hyper_client()).build()?,
        "reqwest" => http().with_http_client(reqwest_client()?).build()?,
        "reqwest-blocking" => http().with_http_client(blocking_client()?).build()?,
        "hidden-reqwest-blocking" => http()
            .with_http_client(Hidden(blocking_client()?))
            .build()?,
        _ => {
            let tonic = SpanExporter::builder().with_tonic();
            tonic.with_retry_policy(retry()).build()?
        }
    })
}

fn metrics(client: &str) -> Result<MetricExporter> {
    let builder = || MetricExporter::builder().with_temporality(Temporality::Delta);
    let http = || builder().with_http().with_retry_policy(retry());
    Ok(match client {
        "hyper" => http().with_http_client(hyper_client()).build()?,
        "reqwest" => http().with_http_client(reqwest_client()?).build()?,
        _ => builder().with_tonic().with_retry_policy(retry()).build()?,
    })
}

fn logs(client: &str) -> Result<LogExporter> {
    let http = || {
        LogExporter::builder()
            .with_http()
            .with_retry_policy(retry())
    };
    Ok(match client {
        "hyper" => http().with_http_client(hyper_client()).build()?,
        "reqwest" => http().with_http_client(reqwest_client()?).build()?,
        _ => {
            let tonic = LogExporter::builder().with_tonic();
            tonic.with_retry_policy(retry()).build()?
        }
    })
}

fn providers(set_up: &str) -> Result<Telemetry> {
    let (processor, client) = set_up.split_once('-').ok_or("unknown set-up")?;
    let client = if client == "blocking" {
        "reqwest-blocking"
    } else {
        client
    };
    let tracer = SdkTracerProvider::builder();
    let tracer = match processor {
        "batch" => tracer.with_span_processor(BatchSpanProcessor::builder(spans(client)?).build()),
        "tokio" => tracer.with_span_processor(
            AsyncProcessor::builder(spans(client)?, TokioCurrentThread).build(),
        ),
        _ => return Err("unknown set-up".into()),
    };
    Ok(Telemetry::from_providers(
        tracer.build(),
        SdkMeterProvider::builder().build(),
        SdkLoggerProvider::builder().build(),
    ))
}

/// Creates the same spans as the consumer, but flushes nothing.
async fn unflushed() -> Result<()> {
    let processor = BatchSpanProcessor::builder(spans("reqwest-blocking")?).build();
    let provider = SdkTracerProvider::builder().with_span_processor(processor);
    global::set_tracer_provider(provider.build());
    let handler = lambda_runtime::service_fn(
        |event: lambda_runtime::LambdaEvent<baton_lambda::serde_json::Value>| async move {
            let records = event.payload["Records"].as_array().map_or(0, Vec::len);
            let tracer = global::tracer("handler");
            tracer.in_span("process_batch", |_: Context| {
                for _ in 0..records {
                    tracer.in_span("process", |_| tracer.in_span("work", |_| {}));
                }
            });
            let response = baton_lambda::serde_json::json!({"batchItemFailures": []});
            Ok::<_, lambda_runtime::Error>(response)
        },
    );
    let outcome = lambda_runtime::run(handler).await;
    outcome.map_err(|error| error.to_string().into())
}

/// A client whose `Debug` form does not show that it is blocking.
struct Hidden(reqwest::blocking::Client);

impl fmt::Debug for Hidden {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Hidden")
    }
}

#[async_trait]
impl HttpClient for Hidden {
    async fn send_bytes(
        &self,
        request: Request<Bytes>,
    ) -> std::result::Result<Response<Bytes>, HttpError> {
        self.0.send_bytes(request).await
    }
}
