//! Root spans of the requests, sent over OTLP.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use baton_telemetry::replay::{InvalidEnvironment, ReplaySender};
use http::{HeaderValue, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, SERVER_ADDRESS, SERVER_PORT,
    SERVICE_NAME, URL_FULL,
};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

use super::request_error::RequestError;
use super::target::TargetUrl;

/// Name of the spans: the method, because the target's route is unknown.
const NAME: &str = "POST";
/// `service.name` of the spans.
const SERVICE: &str = "baton-load";
/// Maximum number of spans that wait for the exporter: those of a second at 20,000 requests per
/// second. Further ones are dropped and counted, because the load must not wait for the exporter.
const QUEUE: usize = 20_000;
/// Maximum number of spans in one export request: well below the 4 MiB that collectors accept.
const BATCH: usize = 2_000;
/// Time after which an incomplete batch is sent.
const DELAY: Duration = Duration::from_millis(500);

/// Trace flags: sampled, with a random trace id.
const FLAGS: u32 = 0b11;

/// The sending half of the queue of spans. Clones share the queue.
#[derive(Clone, Debug)]
pub(crate) struct SpanQueue {
    sender: mpsc::Sender<Span>,
    created: Arc<AtomicU64>,
    /// Attributes that all spans have.
    attributes: Arc<[KeyValue]>,
}

/// A task that exports spans.
#[derive(Debug)]
pub(crate) struct SpanExport {
    task: JoinHandle<()>,
    created: Arc<AtomicU64>,
    exported: Arc<Mutex<ExportedSpans>>,
}

/// Spans that the collector has accepted so far.
#[derive(Clone, Debug, Default)]
struct ExportedSpans {
    count: u64,
    /// The first error.
    error: Option<String>,
}

/// Numbers of spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpanCounts {
    pub(crate) exported: u64,
    /// Spans that the collector did not accept, or for which there was no time.
    pub(crate) lost: u64,
    /// The first error.
    pub(crate) error: Option<String>,
}

/// A span of a request that has started.
#[derive(Debug)]
pub(super) struct ClientSpan {
    trace_id: Uuid,
    span_id: u64,
    start: SystemTime,
}

impl SpanExport {
    /// Starts the export to `endpoint`, or to the one in the environment.
    pub(crate) fn start(
        endpoint: Option<&str>,
        url: &TargetUrl,
    ) -> Result<(SpanQueue, Self), InvalidEnvironment> {
        let exporter = ReplaySender::from_env(endpoint)?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let created = Arc::<AtomicU64>::default();
        let queue = SpanQueue {
            sender,
            created: Arc::clone(&created),
            attributes: target_attributes(url).into(),
        };
        let exported = Arc::default();
        let task = tokio::spawn(export(exporter, receiver, Arc::clone(&exported)));
        let export = Self {
            task,
            created,
            exported,
        };
        Ok((queue, export))
    }

    /// Exports the remaining spans. All queues must have been dropped.
    pub(crate) async fn finish(&mut self) {
        // An error means that the task has panicked; its spans are lost.
        let _ = (&mut self.task).await;
    }

    /// Returns the counts. Spans that have not been exported are lost.
    pub(crate) fn counts(&self) -> SpanCounts {
        let ExportedSpans { count, error } = lock(&self.exported).clone();
        SpanCounts {
            exported: count,
            lost: self.created.load(Ordering::Relaxed).saturating_sub(count),
            error,
        }
    }
}

impl SpanQueue {
    pub(super) fn push(&self, mut span: Span) {
        span.attributes.extend(self.attributes.iter().cloned());
        self.created.fetch_add(1, Ordering::Relaxed);
        // A span that does not fit is lost, and visible in the counts.
        let _ = self.sender.try_send(span);
    }
}

impl ClientSpan {
    pub(super) fn start() -> Self {
        let (high, low) = Uuid::new_v4().as_u64_pair();
        Self {
            trace_id: Uuid::new_v4(),
            // The fixed bits of a UUID are at different positions in its halves.
            span_id: (high ^ low).max(1),
            start: SystemTime::now(),
        }
    }

    /// Returns the header of the request.
    pub(super) fn traceparent(&self) -> Option<HeaderValue> {
        let Self {
            trace_id, span_id, ..
        } = self;
        let text = format!("00-{}-{span_id:016x}-{FLAGS:02x}", trace_id.simple());
        HeaderValue::try_from(text).ok()
    }

    pub(super) fn end(self, outcome: &Result<StatusCode, RequestError>) -> Span {
        let (attributes, is_error) = match outcome {
            Ok(status) => {
                let code = i64::from(status.as_u16());
                let mut attributes =
                    vec![attribute(HTTP_RESPONSE_STATUS_CODE, Value::IntValue(code))];
                let is_error = status.is_client_error() || status.is_server_error();
                if is_error {
                    attributes.push(text_attribute(ERROR_TYPE, status.as_str()));
                }
                (attributes, is_error)
            }
            Err(error) => (vec![text_attribute(ERROR_TYPE, error.kind.name())], true),
        };
        let code = if is_error {
            SpanStatusCode::Error
        } else {
            SpanStatusCode::Unset
        };
        Span {
            trace_id: self.trace_id.as_bytes().to_vec(),
            span_id: self.span_id.to_be_bytes().to_vec(),
            name: NAME.to_owned(),
            kind: SpanKind::Client.into(),
            start_time_unix_nano: unix_nanoseconds(self.start),
            end_time_unix_nano: unix_nanoseconds(SystemTime::now()),
            attributes,
            status: Some(Status {
                code: code.into(),
                message: String::new(),
            }),
            flags: FLAGS,
            ..Span::default()
        }
    }
}

fn target_attributes(url: &TargetUrl) -> Vec<KeyValue> {
    let uri = url.uri();
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let default_port = if scheme == "https" { 443 } else { 80 };
    let port = uri.port_u16().unwrap_or(default_port);
    vec![
        text_attribute(HTTP_REQUEST_METHOD, "POST"),
        // Without the query, which may contain a key.
        text_attribute(URL_FULL, &format!("{scheme}://{authority}{}", uri.path())),
        text_attribute(SERVER_ADDRESS, uri.host().unwrap_or_default()),
        attribute(SERVER_PORT, Value::IntValue(port.into())),
    ]
}

/// Sends batches until the queue is closed and empty.
async fn export(
    exporter: ReplaySender,
    mut queue: mpsc::Receiver<Span>,
    exported: Arc<Mutex<ExportedSpans>>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let wanted = BATCH - batch.len();
        match timeout(DELAY, queue.recv_many(&mut batch, wanted)).await {
            Ok(0) => break,
            Ok(_) if batch.len() < BATCH => {}
            Ok(_) | Err(_) => send(&exporter, &mut batch, &exported).await,
        }
    }
    send(&exporter, &mut batch, &exported).await;
}

async fn send(exporter: &ReplaySender, batch: &mut Vec<Span>, exported: &Mutex<ExportedSpans>) {
    if batch.is_empty() {
        return;
    }
    let spans = std::mem::replace(batch, Vec::with_capacity(BATCH));
    let count = spans.len() as u64;
    let outcome = exporter.send(request(spans).encode_to_vec().into()).await;
    let mut exported = lock(exported);
    match outcome {
        Ok(acknowledgement) => exported.count += count.saturating_sub(acknowledgement.rejected),
        Err(failure) => {
            exported.error.get_or_insert_with(|| failure.to_string());
        }
    }
}

fn lock(exported: &Mutex<ExportedSpans>) -> MutexGuard<'_, ExportedSpans> {
    exported.lock().unwrap_or_else(PoisonError::into_inner)
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let resource = Resource {
        attributes: vec![text_attribute(SERVICE_NAME, SERVICE)],
        ..Resource::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

fn text_attribute(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn unix_nanoseconds(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since_epoch.as_nanos().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use baton_telemetry::parse_trace_context;

    use super::*;

    #[test]
    fn the_header_and_the_span_have_the_same_ids() {
        let span = ClientSpan::start();
        let header = span.traceparent().unwrap();
        let span = span.end(&Ok(StatusCode::ACCEPTED));
        let context = parse_trace_context(header.to_str().unwrap(), None).unwrap();
        assert!(context.is_sampled());
        assert_eq!(context.trace_id().to_bytes().as_slice(), span.trace_id);
        assert_eq!(context.span_id().to_bytes().as_slice(), span.span_id);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    }

    #[test]
    fn an_error_has_its_type_and_a_status() {
        let code = |outcome| {
            let span = ClientSpan::start().end(&outcome);
            let error_type = span.attributes.iter().find(|found| found.key == ERROR_TYPE);
            (span.status.unwrap().code, error_type.is_some())
        };
        assert_eq!(
            code(Ok(StatusCode::ACCEPTED)),
            (SpanStatusCode::Unset as i32, false)
        );
        let error = SpanStatusCode::Error as i32;
        assert_eq!(code(Ok(StatusCode::UNPROCESSABLE_ENTITY)), (error, true));
        assert_eq!(code(Err(RequestError::timed_out())), (error, true));
    }
}
