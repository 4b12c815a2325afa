//! Flushes of providers that the program has set up.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::{fmt, thread};

use opentelemetry::{Context, global};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::export::breaker::BreakerStatus;
use crate::export::collector::DestinationError;
use crate::export::sdk_exporter::{FlushFuture, SdkExportError, SdkPipeline};
use crate::export::{ExporterError, FailureLog};
use crate::metrics::ReadCounts;
use crate::otlp::Signal;
use crate::panics::catch_panic;

/// The providers of a program. Their `force_flush` blocks, and a caller cannot limit it. Each call
/// therefore runs on a thread, and a flush stops waiting for the thread at its deadline.
pub(super) struct ProgramProviders {
    /// Never dropped: the drop of a provider whose processor needs the runtime never returns on the
    /// runtime's only thread.
    providers: ManuallyDrop<Providers>,
    traces: ProviderThread,
    metrics: ProviderThread,
    logs: ProviderThread,
}

#[derive(Clone)]
struct Providers {
    tracer: SdkTracerProvider,
    meter: SdkMeterProvider,
    logger: SdkLoggerProvider,
}

impl fmt::Debug for ProgramProviders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProgramProviders")
            .finish_non_exhaustive()
    }
}

impl ProgramProviders {
    pub(super) fn new(
        tracer: SdkTracerProvider,
        meter: SdkMeterProvider,
        logger: SdkLoggerProvider,
    ) -> Self {
        Self {
            providers: ManuallyDrop::new(Providers {
                tracer,
                meter,
                logger,
            }),
            traces: ProviderThread::new(Signal::Traces),
            metrics: ProviderThread::new(Signal::Metrics),
            logs: ProviderThread::new(Signal::Logs),
        }
    }

    /// Calls one function of each provider concurrently.
    async fn call(
        &self,
        deadline: Instant,
        traces: fn(&SdkTracerProvider) -> OTelSdkResult,
        metrics: fn(&SdkMeterProvider) -> OTelSdkResult,
        logs: fn(&SdkLoggerProvider) -> OTelSdkResult,
    ) {
        let Providers {
            tracer,
            meter,
            logger,
        } = &*self.providers;
        // The clones are dropped on their threads, where they are never the last ones.
        let (tracer, meter, logger) = (tracer.clone(), meter.clone(), logger.clone());
        tokio::join!(
            self.traces.call(deadline, move || traces(&tracer)),
            self.metrics.call(deadline, move || metrics(&meter)),
            self.logs.call(deadline, move || logs(&logger)),
        );
    }
}

impl SdkPipeline for ProgramProviders {
    fn set_global(&self) {
        global::set_tracer_provider(self.providers.tracer.clone());
        global::set_meter_provider(self.providers.meter.clone());
    }

    fn flush<'a>(&'a self, _: &'a ReadCounts<'a>, deadline: Instant) -> FlushFuture<'a> {
        Box::pin(self.call(
            deadline,
            SdkTracerProvider::force_flush,
            SdkMeterProvider::force_flush,
            SdkLoggerProvider::force_flush,
        ))
    }

    fn shutdown(&self, deadline: Instant) -> FlushFuture<'_> {
        Box::pin(self.call(
            deadline,
            SdkTracerProvider::shutdown,
            SdkMeterProvider::shutdown,
            SdkLoggerProvider::shutdown,
        ))
    }

    fn dropped(&self) -> u64 {
        0
    }

    fn breaker_status(&self) -> Option<BreakerStatus> {
        None
    }
}

/// Calls a provider on a thread, one call at a time.
///
/// The threads are not those of `spawn_blocking`: a tokio runtime waits for these before it ends,
/// so a collector that hangs would keep the process alive.
struct ProviderThread {
    signal: Signal,
    failure_log: FailureLog,
    succeeded: AtomicU64,
    /// Held by the thread, even after a flush has stopped waiting for it. Without it, each flush to
    /// a collector that hangs would leave another thread.
    running: Arc<Mutex<()>>,
}

impl ProviderThread {
    fn new(signal: Signal) -> Self {
        let name = match signal {
            Signal::Traces => "SdkTracerProvider",
            Signal::Metrics => "SdkMeterProvider",
            Signal::Logs => "SdkLoggerProvider",
        };
        Self {
            signal,
            failure_log: FailureLog::new(signal, name.to_owned()),
            succeeded: AtomicU64::new(0),
            running: Arc::default(),
        }
    }

    /// Runs `call` on a thread and waits for it until `deadline`. A failure is logged.
    async fn call(&self, deadline: Instant, call: impl FnOnce() -> OTelSdkResult + Send + 'static) {
        let outcome = timeout_at(deadline, self.run(call)).await;
        let outcome = outcome.unwrap_or(Err(SdkExportError::Timeout));
        match outcome {
            Ok(()) => {
                self.succeeded.fetch_add(1, Relaxed);
            }
            Err(error) => {
                let error = DestinationError::Sdk(Box::new(error));
                let succeeded = self.succeeded.load(Relaxed);
                self.failure_log
                    .log(&ExporterError::Destination(error), succeeded);
            }
        }
    }

    async fn run(
        &self,
        call: impl FnOnce() -> OTelSdkResult + Send + 'static,
    ) -> Result<(), SdkExportError> {
        let turn = Arc::clone(&self.running).lock_owned().await;
        let (sender, receiver) = oneshot::channel();
        let runtime = Handle::current();
        let thread = thread::Builder::new().name(format!("flush-{}", self.signal));
        let spawned = thread.spawn(move || {
            let _runtime = runtime.enter();
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            let outcome = catch_panic(call);
            drop(turn);
            // The flush may have stopped waiting.
            let _ = sender.send(outcome);
        });
        spawned.map_err(|error| SdkExportError::Failed(error.to_string()))?;
        match receiver.await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(SdkExportError::Failed(error.to_string())),
            Ok(Err(panic)) => Err(SdkExportError::Panicked(panic)),
            Err(_) => Err(SdkExportError::Panicked("the thread ended".to_owned())),
        }
    }
}
