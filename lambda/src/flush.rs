//! Sending what has finished: while a batch is handled, before the response, or after it.

use crate::config::{Config, FlushPoint};
use crate::halt::{Halt, Marks, Reason, within};
use crate::shutdown::Shutdown;
use baton_telemetry::{FlushGroup, Telemetry};
use lambda_runtime::{Error as BoxError, LambdaInvocation};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Layer, Service};
use tracing::warn;

/// On shutdown, how long handlers that run may go on. Lambda kills the process 500 ms after it has announced it, and the flush and the
/// response need some of that.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(200);
/// On shutdown, how long an invocation's last flush may take.
const SHUTDOWN_FLUSH: Duration = Duration::from_millis(150);

/// What all invocations of the process share, whatever handles them.
#[derive(Debug)]
pub(crate) struct Flusher {
    pub(crate) telemetry: Telemetry,
    pub(crate) config: Config,
    pub(crate) shutdown: Shutdown,
    /// Whether several invocations run side by side in this process, as on Lambda Managed Instances.
    pub(crate) is_concurrent: bool,
}

/// What an invocation's traces begin in: an empty context, but for the group.
pub(crate) fn root(group: Option<&FlushGroup>) -> Context {
    match group {
        Some(group) => group.attach(&Context::new()),
        None => FlushGroup::inherited(),
    }
}

impl Flusher {
    /// A group for one invocation's spans, where several invocations run side by side. Elsewhere all spans are its own.
    fn group(&self) -> Option<FlushGroup> {
        self.is_concurrent.then(|| self.telemetry.flush_group())
    }

    /// The group that the invocation itself flushes, before its response.
    pub(crate) fn group_before_response(&self) -> Option<FlushGroup> {
        match self.config.flush_point {
            FlushPoint::BeforeResponse => self.group(),
            FlushPoint::AfterResponse => None,
        }
    }

    /// Until the batch is handled: halts it at its marks, and exports what has finished now and then.
    ///
    /// An export that is under way when the batch is done is waited for: cut off, its spans would be sent twice. The flush that follows
    /// has its budget from that moment on.
    pub(crate) async fn watch(&self, marks: &Marks, halt: &Halt, handled: &Notify) {
        loop {
            tokio::select! {
                biased;
                () = handled.notified() => return,
                () = self.shutdown.announced() => {
                    halt.drain(Reason::Shutdown);
                    break;
                }
                () = sleep_until(marks.drain) => {
                    warn!("the deadline is near: no further message is started");
                    halt.drain(Reason::Deadline);
                    self.export(marks.cancel).await;
                    break;
                }
                () = self.telemetry.export_due() => self.export(marks.drain).await,
            }
        }
        tokio::select! {
            biased;
            () = handled.notified() => {}
            () = self.shutdown_grace() => halt.cancel(Reason::Shutdown),
            () = sleep_until(marks.cancel) => {
                warn!("the deadline is here: handlers that still run are cancelled");
                halt.cancel(Reason::Deadline);
            }
        }
    }

    /// The flush before the response, where that is its point.
    pub(crate) async fn before_response(&self, group: Option<&FlushGroup>, marks: &Marks) {
        if self.config.flush_point == FlushPoint::BeforeResponse {
            self.flush(group, marks).await;
        }
    }

    async fn flush(&self, group: Option<&FlushGroup>, marks: &Marks) {
        let budget = match self.shutdown.is_announced() {
            true => self.config.flush_timeout.min(SHUTDOWN_FLUSH),
            false => self.config.flush_timeout,
        };
        let deadline = marks.flush_deadline(budget);
        match group {
            Some(group) => self.telemetry.flush_of(group, deadline).await,
            None => self.telemetry.flush(deadline).await,
        };
    }

    /// Sends what has finished, until the next mark at the latest.
    async fn export(&self, mark: Instant) {
        let deadline = within(self.config.flush_timeout, mark);
        // On the heap, because it is seldom needed: an invocation's state is moved about while it is small.
        let flushed = Box::pin(self.telemetry.flush(deadline));
        tokio::select! {
            _ = flushed => {}
            () = self.shutdown.announced() => {}
        }
    }

    async fn shutdown_grace(&self) {
        self.shutdown.announced().await;
        sleep(SHUTDOWN_GRACE).await;
    }
}

/// Flushes after the response, where that is the [flush point](FlushPoint).
///
/// Made by [`ConsumerService::flush_layer`](crate::ConsumerService::flush_layer), and to be the outermost layer of the
/// [`Runtime`](lambda_runtime::Runtime): what it wraps is the invocation with the posting of its response.
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
        let marks = Marks::of_invocation(&invocation.context, &flusher.config);
        let answered = self.inner.call(invocation);
        Box::pin(async move {
            let _in_flight = flusher.shutdown.begin_invocation();
            if flusher.config.flush_point == FlushPoint::BeforeResponse {
                return answered.await;
            }
            let group = flusher.group();
            let outcome = answered.with_context(root(group.as_ref())).await;
            flusher.flush(group.as_ref(), &marks).await;
            outcome
        })
    }
}
