//! The generator of requests. It runs on a separate thread, so that the rest of the process does
//! not delay it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use http::{HeaderName, HeaderValue};
use tokio::sync::{oneshot, watch};

use super::customers::{Customers, Shares};
use super::measurements::{FinishedRequest, Interval, Measurements};
use super::request_error::{RequestError, RequestErrorKind};
use super::schedule::Schedule;
use super::spans::{ClientSpan, SpanQueue};
use super::target::{Connection, Target, TargetUrl};
use super::tls::Authorities;
use super::{closed_loop, open_loop};

/// Name of the thread, which profilers show.
const THREAD: &str = "baton-load";

/// Rule for the start of requests.
#[derive(Clone, Debug)]
pub(crate) enum Pace {
    /// Requests start at the times of a schedule, whether or not earlier ones have finished.
    Open {
        schedule: Schedule,
        /// Maximum number of requests without a response; others that are due wait.
        max_outstanding: usize,
    },
    /// Each connection sends its next request after the response to the previous one.
    Closed {
        connections: usize,
        /// Interval in which each connection should send requests, if it is known.
        expected_interval: Option<Duration>,
    },
}

/// Configuration of a run.
#[derive(Clone, Debug)]
pub(crate) struct GeneratorConfig {
    pub(crate) url: TargetUrl,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Certificate authorities to trust instead of Mozilla's.
    pub(crate) authorities: Option<Authorities>,
    /// Time limit of a request, including a new connection.
    pub(crate) request_timeout: Duration,
    pub(crate) pace: Pace,
    /// Time in which requests are started.
    pub(crate) duration: Duration,
    /// Length of the intervals for which figures are kept.
    pub(crate) interval: Duration,
    pub(crate) shares: Shares,
    /// Random number that distinguishes this run from others.
    pub(crate) run: u64,
    /// Queue for a span of each request.
    pub(crate) spans: Option<SpanQueue>,
}

/// Error in starting a run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GeneratorError {
    /// The target does not accept connections.
    #[error("cannot connect to {url}")]
    Connect {
        url: String,
        #[source]
        source: RequestError,
    },
    /// A header cannot be built from the URL.
    #[error("cannot send requests to {url}")]
    Request {
        url: String,
        #[source]
        source: http::Error,
    },
    /// The thread or its runtime cannot be started.
    #[error("cannot start the generator's thread")]
    Thread(#[from] io::Error),
}

/// A run that sends requests until it ends or is stopped.
#[derive(Debug)]
pub(crate) struct Generator {
    run: Arc<Run>,
    stop: watch::Sender<Stop>,
    ended: oneshot::Receiver<()>,
}

/// Measurements of a run, also while it is running. Clones share the run.
#[derive(Clone, Debug)]
pub(crate) struct Monitor(Arc<Run>);

/// Request to end a run before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    No,
    /// No further request starts.
    AfterResponses,
    AtOnce,
}

/// Figures for the live progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GeneratorProgress {
    pub(crate) elapsed: Duration,
    pub(crate) started: u64,
    pub(crate) finished: u64,
    pub(crate) accepted: u64,
    pub(crate) failed: u64,
    pub(crate) p99: Duration,
}

/// State that all requests share.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) begin: Instant,
    pub(super) duration: Duration,
    /// Number of requests whose intended start has come; only in an open loop.
    pub(super) due: AtomicU64,
    target: Target,
    customers: Customers,
    spans: Option<SpanQueue>,
    measurements: Mutex<Measurements>,
}

impl Generator {
    /// Connects to the target once, and starts sending requests.
    pub(crate) async fn start(config: GeneratorConfig) -> Result<Self, GeneratorError> {
        let url = config.url.uri().to_string();
        let authorities = config.authorities.as_ref();
        let target = Target::new(
            &config.url,
            &config.headers,
            authorities,
            config.request_timeout,
        );
        let target = match target {
            Ok(target) => target,
            Err(source) => return Err(GeneratorError::Request { url, source }),
        };
        // Without this check, a wrong URL would only be visible as thousands of errors.
        if let Err(source) = target.connect().await {
            return Err(GeneratorError::Connect { url, source });
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = watch::channel(Stop::No);
        let (end, ended) = oneshot::channel();
        let pace = config.pace.clone();
        let run = Arc::new(Run::new(config, target));
        let in_thread = Arc::clone(&run);
        thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                runtime.block_on(in_thread.drive(pace, stopped));
                // Ends the requests that are still outstanding. Resolving a host name cannot be
                // cancelled, so it is not awaited.
                runtime.shutdown_background();
                in_thread.finish();
                // Fails if the generator was dropped.
                let _ = end.send(());
            })?;
        Ok(Self { run, stop, ended })
    }

    /// Waits until all requests have finished.
    pub(crate) async fn wait(&mut self) {
        // An error means that the thread has panicked, which ends the run too.
        let _ = (&mut self.ended).await;
    }

    /// Stops without waiting for outstanding responses.
    pub(crate) async fn stop(&mut self) {
        // An error means that the run has ended.
        let _ = self.stop.send(Stop::AtOnce);
        self.wait().await;
    }

    /// Stops after the outstanding responses, for which the time limit of a request applies.
    pub(crate) async fn stop_after_responses(&mut self) {
        // An error means that the run has ended.
        let _ = self.stop.send(Stop::AfterResponses);
        self.wait().await;
    }

    pub(crate) fn monitor(&self) -> Monitor {
        Monitor(Arc::clone(&self.run))
    }

    pub(crate) fn progress(&self) -> GeneratorProgress {
        let measurements = self.run.measurements();
        GeneratorProgress {
            elapsed: self.run.begin.elapsed(),
            started: measurements.started,
            finished: measurements.finished,
            accepted: measurements.accepted,
            failed: measurements.failed(),
            p99: measurements.latencies().percentile(99.0),
        }
    }

    /// Returns the completed intervals from the given number on.
    pub(crate) fn intervals_from(&self, first: usize) -> Vec<Interval> {
        let measurements = self.run.measurements();
        let intervals = measurements.intervals.get(first..);
        intervals.unwrap_or_default().to_vec()
    }

    pub(crate) fn measurements(&self) -> Measurements {
        self.run.measurements().clone()
    }
}

impl Monitor {
    pub(crate) fn measurements(&self) -> Measurements {
        self.0.measurements().clone()
    }
}

impl Run {
    fn new(config: GeneratorConfig, target: Target) -> Self {
        let (has_schedule, expected_interval) = match config.pace {
            Pace::Open { .. } => (true, None),
            Pace::Closed {
                expected_interval, ..
            } => (false, expected_interval),
        };
        let measurements = Measurements::new(has_schedule, expected_interval, config.interval);
        Self {
            begin: Instant::now(),
            duration: config.duration,
            due: AtomicU64::new(0),
            target,
            customers: Customers::new(config.shares, config.run),
            spans: config.spans,
            measurements: Mutex::new(measurements),
        }
    }

    async fn drive(self: &Arc<Self>, pace: Pace, mut stopped: watch::Receiver<Stop>) {
        let stopping = stopped.clone();
        let requests = async {
            match pace {
                Pace::Open {
                    schedule,
                    max_outstanding,
                } => open_loop::run(self, schedule, max_outstanding, stopping).await,
                Pace::Closed { connections, .. } => {
                    closed_loop::run(self, connections, stopping).await;
                }
            }
        };
        tokio::select! {
            () = requests => {}
            // An error means that the generator was dropped.
            _ = stopped.wait_for(|stop| *stop == Stop::AtOnce) => {}
        }
    }

    fn finish(&self) {
        let mut measurements = self.measurements();
        let due = self.due.load(Ordering::Relaxed);
        measurements.not_started = due.saturating_sub(measurements.started);
        measurements.end(self.begin.elapsed());
    }

    fn measurements(&self) -> MutexGuard<'_, Measurements> {
        self.measurements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request and records its result. `intended_start` is relative to the start of the
    /// run. Returns the kind of the error if there was no response.
    pub(super) async fn send(
        &self,
        request: u64,
        intended_start: Option<Duration>,
        connection: &mut Option<Connection>,
    ) -> Option<RequestErrorKind> {
        let kind = self.customers.kind(request);
        let body = self.customers.body(kind, request);
        let span = self.spans.as_ref().map(|_| ClientSpan::start());
        let traceparent = span.as_ref().and_then(ClientSpan::traceparent);
        self.measurements().started += 1;
        let started = self.begin.elapsed();
        let outcome = self.target.exchange(connection, body, traceparent).await;
        let finished = self.begin.elapsed();
        if let (Some(span), Some(queue)) = (span, &self.spans) {
            queue.push(span.end(&outcome));
        }
        let error = outcome.as_ref().err().map(|error| error.kind);
        self.measurements().record(FinishedRequest {
            kind,
            outcome,
            response_time: intended_start.map(|start| finished.saturating_sub(start)),
            service_time: finished.saturating_sub(started),
            finished,
        });
        error
    }
}
