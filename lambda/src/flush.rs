//! Sending what has finished: while a batch is handled, before the response, or after it.

use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use baton_telemetry::{FlushGroup, FlushReport, Telemetry, with_request_id};
use lambda_runtime::{Error as BoxError, LambdaInvocation};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Layer, Service};
use tracing::{debug, info, warn};

use crate::config::{Config, FlushPoint};
use crate::deadline::{Cancellation, Deadlines, StopReason, bounded_deadline};
use crate::shutdown::Shutdown;

/// On shutdown, how long handlers that run may go on. Lambda kills the process as little as 300 ms
/// after it has announced it, and the flush and the response need some of that.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(120);
/// On shutdown, how long an invocation's flush may take from then on, whether it begins or is under
/// way.
const SHUTDOWN_FLUSH: Duration = Duration::from_millis(100);

/// What all invocations of the process share, whatever handles them.
#[derive(Debug)]
pub(crate) struct Flusher {
    pub(crate) telemetry: Telemetry,
    pub(crate) config: Config,
    pub(crate) shutdown: Shutdown,
    /// Whether several invocations run side by side in this process, as on Lambda Managed
    /// Instances.
    pub(crate) is_concurrent: bool,
}

/// An invocation, as far as a flush is concerned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlushScope<'a> {
    /// What the log calls it.
    pub(crate) request_id: &'a str,
    /// What its traces begin in, with the group of its spans.
    pub(crate) root: &'a Context,
    pub(crate) deadlines: &'a Deadlines,
}

/// What an invocation's traces begin in: an empty context, but for the group, and the identifier
/// that its log lines carry.
pub(crate) fn root_context(group: Option<&FlushGroup>, request_id: &str) -> Context {
    let root = match group {
        Some(group) => group.attach(&Context::new()),
        None => FlushGroup::inherited_context(),
    };
    with_request_id(&root, request_id.into())
}

impl Flusher {
    /// A group for one invocation's spans, where several invocations run side by side. Elsewhere
    /// all spans are its own.
    fn group(&self) -> Option<FlushGroup> {
        self.is_concurrent.then(|| self.telemetry.flush_group())
    }

    /// The group that the invocation itself flushes, before its response.
    pub(crate) fn flush_group_before_response(&self) -> Option<FlushGroup> {
        match self.config.flush_point {
            FlushPoint::BeforeResponse => self.group(),
            FlushPoint::AfterResponse => None,
        }
    }

    /// Until the batch is handled: halts it at its deadlines, and exports what has finished now and
    /// then.
    pub(crate) async fn watch_deadlines(
        &self,
        scope: FlushScope<'_>,
        cancellation: &Cancellation,
        handled: &Notify,
    ) {
        let deadlines = scope.deadlines;
        let mut under_way = None;
        loop {
            tokio::select! {
                biased;
                () = handled.notified() => return,
                () = self.shutdown_announced() => {
                    cancellation.drain(StopReason::Shutdown);
                    break;
                }
                () = sleep_until(deadlines.drain) => {
                    warn!("the deadline is near: no further message is started");
                    cancellation.drain(StopReason::Deadline);
                    self.spawn_export(scope, deadlines.cancel);
                    break;
                }
                () = self.wait_export_due(&mut under_way) => {
                    under_way = Some(self.spawn_export(scope, deadlines.drain));
                }
            }
        }
        tokio::select! {
            biased;
            () = handled.notified() => {}
            () = self.wait_after_shutdown(SHUTDOWN_GRACE) => cancellation.cancel(StopReason::Shutdown),
            () = sleep_until(deadlines.cancel) => {
                warn!("the deadline is here: handlers that still run are cancelled");
                cancellation.cancel(StopReason::Deadline);
            }
        }
    }

    /// The flush before the response, where that is its point.
    pub(crate) async fn flush_before_response(&self, scope: FlushScope<'_>) {
        if self.config.flush_point == FlushPoint::BeforeResponse {
            self.flush(scope).await;
        }
    }

    /// Sends the invocation's spans within the budget that is left. The end of the process may be
    /// announced meanwhile: then the response, which has to go out yet, matters more.
    async fn flush(&self, scope: FlushScope<'_>) {
        let began = Instant::now();
        let deadline = scope.deadlines.flush_deadline(self.config.flush_timeout);
        tokio::select! {
            biased;
            report = self.telemetry.flush_context_group(scope.root, deadline) => {
                log_flush(scope.request_id, &report, began);
            }
            () = self.wait_after_shutdown(SHUTDOWN_FLUSH) => {
                info!(faas.invocation_id = scope.request_id, "flush cut short by the shutdown");
            }
        }
    }

    /// Sends the invocation's spans that have finished, until the mark at the latest, in a task of
    /// its own.
    ///
    /// Neither the batch nor its response waits for it. The flush does, because the spans are its
    /// own: so both have one deadline, and nothing that is under way is cut off to be sent twice.
    fn spawn_export(&self, scope: FlushScope<'_>, latest: Instant) -> JoinHandle<()> {
        let deadline = bounded_deadline(self.config.flush_timeout, latest);
        let (telemetry, root) = (self.telemetry.clone(), scope.root.clone());
        let id = scope.request_id.to_owned();
        let context = root.clone();
        let flush = async move {
            let began = Instant::now();
            let report = telemetry.flush_context_group(&root, deadline).await;
            log_flush(&id, &report, began);
        };
        tokio::spawn(flush.with_context(context))
    }

    /// Completes when it is time for an export, and the one before is done.
    async fn wait_export_due(&self, under_way: &mut Option<JoinHandle<()>>) {
        if let Some(export) = under_way {
            let _ = export.await;
            *under_way = None;
        }
        self.telemetry.export_due().await;
    }

    /// Completes once the end of the process has been announced, where that happens at all.
    async fn shutdown_announced(&self) {
        match self.config.graceful_shutdown {
            true => self.shutdown.announced().await,
            false => pending().await,
        }
    }

    async fn wait_after_shutdown(&self, time: Duration) {
        self.shutdown_announced().await;
        sleep(time).await;
    }
}

/// What a flush did, at debug level.
fn log_flush(invocation_id: &str, report: &FlushReport, began: Instant) {
    debug!(
        faas.invocation_id = invocation_id,
        spans = report.sent.spans,
        requests = report.sent.requests,
        bytes = report.sent.bytes,
        spans_pending = report.pending,
        duration_ms = began.elapsed().as_secs_f64() * 1000.0,
        "invocation's spans flushed"
    );
}

/// Flushes after the response, where that is the [flush point](FlushPoint).
///
/// Made by [`ConsumerService::flush_layer`](crate::ConsumerService::flush_layer), and to be the
/// outermost layer of the [`Runtime`](lambda_runtime::Runtime): what it wraps is the invocation
/// with the posting of its response.
#[derive(Clone)]
pub struct FlushLayer(pub(crate) Arc<Flusher>);

impl fmt::Debug for FlushLayer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FlushLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for FlushLayer {
    type Service = FlushService<S>;

    fn layer(&self, inner: S) -> FlushService<S> {
        FlushService {
            inner,
            flusher: Arc::clone(&self.0),
        }
    }
}

/// A service with the [`FlushLayer`] around it.
#[derive(Clone)]
pub struct FlushService<S> {
    inner: S,
    flusher: Arc<Flusher>,
}

impl<S: fmt::Debug> fmt::Debug for FlushService<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FlushService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S> Service<LambdaInvocation> for FlushService<S>
where
    S: Service<LambdaInvocation, Response = (), Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        let flusher = Arc::clone(&self.flusher);
        let lambda = &invocation.context;
        let flushed_here = (flusher.config.flush_point == FlushPoint::AfterResponse).then(|| {
            let deadlines = Deadlines::from_lambda(lambda, &flusher.config);
            (lambda.request_id.clone(), deadlines)
        });
        let answered = self.inner.call(invocation);
        Box::pin(async move {
            let answering_guard = flusher.shutdown.track_invocation();
            let Some((id, deadlines)) = flushed_here else {
                return answered.await;
            };
            let group = flusher.group();
            let root = root_context(group.as_ref(), &id);
            let outcome = answered.with_context(root.clone()).await;
            // What is left is for the telemetry to send, which the shutdown sees to as well.
            drop(answering_guard);
            let (id, root, deadlines) = (&*id, &root, &deadlines);
            let flush = flusher.flush(FlushScope {
                request_id: id,
                root,
                deadlines,
            });
            flush.with_context(root.clone()).await;
            outcome
        })
    }
}
