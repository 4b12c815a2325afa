//! Flushes of an invocation's telemetry: while its batch is handled, before the response, or after
//! it.

use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use baton_telemetry::{FlushGroup, FlushReport, Telemetry, with_request_id};
use lambda_runtime::LambdaInvocation;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{BoxError, Layer, Service};
use tracing::{debug, info, warn};

use crate::config::{ConsumerConfig, FlushPoint};
use crate::deadline::{Cancellation, Deadlines, StopReason, bounded_deadline};
use crate::metrics::{FlushInstruments, FlushOutcome};
use crate::shutdown::{FLUSH_GRACE, HANDLER_GRACE, Shutdown};

/// Flushes invocations. One per process, shared by all invocations.
#[derive(Debug)]
pub(crate) struct Flusher {
    pub(crate) telemetry: Telemetry,
    pub(crate) config: ConsumerConfig,
    pub(crate) shutdown: Shutdown,
    /// `true` if the process handles several invocations at the same time, as on Lambda Managed
    /// Instances.
    pub(crate) is_concurrent: bool,
    pub(crate) instruments: FlushInstruments,
}

/// The invocation that a flush is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlushScope<'a> {
    pub(crate) request_id: &'a str,
    /// [Root context](root_context) of the invocation.
    pub(crate) root: &'a Context,
    pub(crate) deadlines: &'a Deadlines,
}

/// Returns the context in which an invocation's traces start. It holds no span, but the flush group
/// of the invocation's spans and the request id of its log lines.
pub(crate) fn root_context(group: Option<&FlushGroup>, request_id: &str) -> Context {
    let root = match group {
        Some(group) => group.attach(&Context::new()),
        None => FlushGroup::inherited_context(),
    };
    with_request_id(&root, request_id.into())
}

impl Flusher {
    /// Creates a flusher for a process that handles one invocation at a time.
    pub(crate) fn new(
        telemetry: Telemetry,
        config: ConsumerConfig,
        instruments: FlushInstruments,
    ) -> Self {
        Self {
            instruments,
            telemetry,
            config,
            shutdown: Shutdown::default(),
            is_concurrent: false,
        }
    }

    /// Creates a group for one invocation's spans if the process handles several invocations at the
    /// same time. Otherwise all spans belong to the same invocation.
    fn group(&self) -> Option<FlushGroup> {
        self.is_concurrent.then(|| self.telemetry.flush_group())
    }

    /// Creates the group that is flushed before the response. A flush after the response has its
    /// own group, which [`FlushService`] creates.
    pub(crate) fn flush_group_before_response(&self) -> Option<FlushGroup> {
        match self.config.flush_point {
            FlushPoint::BeforeResponse => self.group(),
            FlushPoint::AfterResponse => None,
        }
    }

    /// Drains and cancels the batch at its deadlines, and exports finished spans in the meantime.
    /// Completes when the batch is `handled`.
    pub(crate) async fn watch_deadlines(
        &self,
        scope: FlushScope<'_>,
        cancellation: &Cancellation,
        handled: &Notify,
    ) {
        let deadlines = scope.deadlines;
        let mut running = None;
        loop {
            tokio::select! {
                biased;
                () = handled.notified() => return,
                () = self.shutdown_announced() => {
                    cancellation.drain(StopReason::Shutdown);
                    break;
                }
                () = sleep_until(deadlines.drain) => {
                    warn!("the deadline is near: no more messages are started");
                    cancellation.drain(StopReason::Deadline);
                    self.spawn_export(scope, deadlines.cancel);
                    break;
                }
                () = self.wait_export_due(&mut running) => {
                    running = Some(self.spawn_export(scope, deadlines.drain));
                }
            }
        }
        tokio::select! {
            biased;
            () = handled.notified() => {}
            () = self.wait_after_shutdown(HANDLER_GRACE) => cancellation.cancel(StopReason::Shutdown),
            () = sleep_until(deadlines.cancel) => {
                warn!("running handlers are cancelled to leave time for the response");
                cancellation.cancel(StopReason::Deadline);
            }
        }
    }

    /// Flushes if the flush point is before the response.
    pub(crate) async fn flush_before_response(&self, scope: FlushScope<'_>) {
        if self.config.flush_point == FlushPoint::BeforeResponse {
            self.flush(scope).await;
        }
    }

    /// Exports the invocation's spans within the flush timeout and the deadline. A shutdown that is
    /// announced in the meantime shortens the flush, so that the response can still be sent.
    async fn flush(&self, scope: FlushScope<'_>) {
        let began = Instant::now();
        let deadline = scope.deadlines.flush_deadline(self.config.flush_timeout);
        let outcome = tokio::select! {
            biased;
            report = self.telemetry.flush_context_group(scope.root, deadline) => {
                log_flush(scope.request_id, &report, began);
                if report.timed_out { FlushOutcome::Timeout } else { FlushOutcome::Complete }
            }
            () = self.wait_after_shutdown(FLUSH_GRACE) => {
                info!(faas.invocation_id = scope.request_id, "flush cut short by the shutdown");
                FlushOutcome::Shutdown
            }
        };
        self.instruments.record(began.elapsed(), outcome);
    }

    /// Spawns a task that exports the invocation's finished spans, until `latest` at most.
    ///
    /// Neither the batch nor the response waits for the task, but the flush does, because both
    /// export the same spans. Therefore they have the same deadline: an export that was cut off
    /// would be sent again by the flush.
    fn spawn_export(&self, scope: FlushScope<'_>, latest: Instant) -> JoinHandle<()> {
        let deadline = bounded_deadline(self.config.flush_timeout, latest);
        let (telemetry, root) = (self.telemetry.clone(), scope.root.clone());
        let request_id = scope.request_id.to_owned();
        let context = root.clone();
        let flush = async move {
            let began = Instant::now();
            let report = telemetry.flush_context_group(&root, deadline).await;
            log_flush(&request_id, &report, began);
        };
        tokio::spawn(flush.with_context(context))
    }

    /// Completes when an export is due and the previous one is done.
    async fn wait_export_due(&self, running: &mut Option<JoinHandle<()>>) {
        if let Some(export) = running {
            let _ = export.await;
            *running = None;
        }
        self.telemetry.export_due().await;
    }

    /// Completes when the shutdown has been announced. Never completes if graceful shutdown is off.
    async fn shutdown_announced(&self) {
        if self.config.graceful_shutdown {
            self.shutdown.announced().await;
        } else {
            pending().await
        }
    }

    async fn wait_after_shutdown(&self, time: Duration) {
        self.shutdown_announced().await;
        sleep(time).await;
    }
}

/// Logs the result of a flush at debug level.
fn log_flush(request_id: &str, report: &FlushReport, began: Instant) {
    debug!(
        faas.invocation_id = request_id,
        spans = report.sent.spans,
        requests = report.sent.requests,
        bytes = report.sent.bytes,
        spans_pending = report.pending,
        duration_ms = began.elapsed().as_secs_f64() * 1000.0,
        "invocation's spans flushed"
    );
}

/// A tower layer that flushes after the response, if that is the [flush point](FlushPoint).
///
/// Created by [`ConsumerService::flush_layer`](crate::ConsumerService::flush_layer). Must be the
/// outermost layer of the [`Runtime`](lambda_runtime::Runtime), so that the service inside it also
/// sends the response.
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

/// Service of the [`FlushLayer`].
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
        let flush_after = (flusher.config.flush_point == FlushPoint::AfterResponse).then(|| {
            let deadlines = Deadlines::from_lambda(lambda, &flusher.config);
            (lambda.request_id.clone(), deadlines)
        });
        let response = self.inner.call(invocation);
        Box::pin(async move {
            let in_flight = flusher.shutdown.track_invocation();
            let Some((request_id, deadlines)) = flush_after else {
                return response.await;
            };
            let group = flusher.group();
            let root = root_context(group.as_ref(), &request_id);
            let outcome = response.with_context(root.clone()).await;
            // The response is sent. The shutdown need not wait for the flush, because it flushes
            // the telemetry itself.
            drop(in_flight);
            let flush = flusher.flush(FlushScope {
                request_id: &request_id,
                root: &root,
                deadlines: &deadlines,
            });
            flush.with_context(root.clone()).await;
            outcome
        })
    }
}
