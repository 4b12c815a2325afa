//! Runs that requests have started, one at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use uuid::Uuid;

use super::ApiConfig;
use super::traffic::Traffic;
use super::wire::RunState;
use crate::load::check::CheckOutcome;
use crate::load::generator::{Generator, GeneratorConfig, GeneratorError, Monitor, Pace};
use crate::load::spans::SpanExport;
use crate::load::{LoadReport, Profile, Schedule, Shares, interval_length};

/// Time limit for the spans that a collector has not accepted at the end of a run.
const SPAN_TIMEOUT: Duration = Duration::from_secs(10);
/// Reason why there is no check.
const NO_CHECK: &str = "a run over HTTP does not read the queues";

/// The current run and the last one.
#[derive(Debug)]
pub(super) struct Runs {
    config: ApiConfig,
    /// Becomes true when the server stops.
    stopping: watch::Receiver<bool>,
    latest: Mutex<Option<Arc<Run>>>,
    /// Held while a run starts.
    starting: tokio::sync::Mutex<()>,
}

/// A run, which may have ended.
#[derive(Debug)]
pub(super) struct Run {
    id: u64,
    traffic: Traffic,
    started: Instant,
    monitor: Monitor,
    stop: watch::Sender<bool>,
    /// The report, once the run has ended.
    ended: watch::Sender<Option<Arc<LoadReport>>>,
    /// Parts of the report besides the measurements.
    config: ReportConfig,
}

#[derive(Clone, Debug)]
struct ReportConfig {
    url: String,
    pace: Pace,
    request_timeout: Duration,
    left_out_faults: bool,
}

/// Error in starting a run.
#[derive(Debug)]
pub(super) enum StartError {
    Running(Box<RunState>),
    /// Another request is starting a run.
    Starting,
    Stopping,
    Generator(GeneratorError),
    Spans(baton_telemetry::replay::InvalidEnvironment),
}

impl Runs {
    pub(super) fn new(config: ApiConfig, stopping: watch::Receiver<bool>) -> Self {
        Self {
            config,
            stopping,
            latest: Mutex::default(),
            starting: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn config(&self) -> &ApiConfig {
        &self.config
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    pub(super) fn latest(&self) -> Option<Arc<Run>> {
        self.lock().clone()
    }

    /// Returns the run that is in progress.
    pub(super) fn running(&self) -> Option<Arc<Run>> {
        self.latest().filter(|run| run.ended.borrow().is_none())
    }

    /// Starts a run, unless one is in progress.
    pub(super) async fn start(&self, traffic: Traffic) -> Result<Arc<Run>, StartError> {
        let Ok(_starting) = self.starting.try_lock() else {
            return Err(StartError::Starting);
        };
        if let Some(run) = self.running() {
            return Err(StartError::Running(Box::new(run.state_without_report())));
        }
        let config = &self.config;
        let id = Uuid::new_v4().as_u64_pair().0;
        let (spans, export) = if config.spans {
            let started = SpanExport::start(None, &config.url);
            let (queue, export) = started.map_err(StartError::Spans)?;
            (Some(queue), Some(export))
        } else {
            (None, None)
        };
        let pace = Pace::Open {
            schedule: Schedule::new(traffic.profile, traffic.rate(), traffic.duration()),
            max_outstanding: config.max_outstanding,
        };
        let generator = Generator::start(GeneratorConfig {
            url: config.url.clone(),
            headers: config.headers.clone(),
            authorities: config.authorities.clone(),
            request_timeout: config.request_timeout,
            pace: pace.clone(),
            duration: traffic.duration(),
            interval: interval_length(traffic.duration()),
            shares: Shares::of(traffic.profile, config.faults_enabled),
            run: id,
            spans,
        });
        let generator = generator.await.map_err(StartError::Generator)?;
        let run = Arc::new(Run {
            id,
            traffic,
            started: Instant::now(),
            monitor: generator.monitor(),
            stop: watch::Sender::new(false),
            ended: watch::Sender::new(None),
            config: ReportConfig {
                url: config.url.uri().to_string(),
                pace,
                request_timeout: config.request_timeout,
                left_out_faults: traffic.profile == Profile::BlackFriday && !config.faults_enabled,
            },
        });
        {
            let mut latest = self.lock();
            // A shutdown would not stop a run that starts after it.
            if self.is_stopping() {
                return Err(StartError::Stopping);
            }
            *latest = Some(Arc::clone(&run));
        }
        run.log_start(config.log);
        tokio::spawn(drive(Arc::clone(&run), generator, export, config.log));
        Ok(run)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Run>>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the end of a run, or stops it.
async fn drive(
    run: Arc<Run>,
    mut generator: Generator,
    export: Option<SpanExport>,
    log: fn(std::fmt::Arguments<'_>),
) {
    let mut stop = run.stop.subscribe();
    let stopped = async {
        // An error means that the run is gone, which this task keeps.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let is_stopped = tokio::select! {
        () = generator.wait() => false,
        () = stopped => true,
    };
    if is_stopped {
        generator.stop_after_responses().await;
    }
    // Closes the queue of spans.
    drop(generator);
    let mut report = run.report(is_stopped);
    if let Some(mut export) = export {
        // Spans that have not been exported by then are reported as lost.
        let _ = tokio::time::timeout(SPAN_TIMEOUT, export.finish()).await;
        report.spans = Some(export.counts());
    }
    run.log_end(&report, log);
    run.ended.send_replace(Some(Arc::new(report)));
}

impl Run {
    /// Stops the run after the outstanding responses, and returns its report.
    pub(super) async fn stop(&self) -> Option<Arc<LoadReport>> {
        self.stop.send_replace(true);
        let mut ended = self.ended.subscribe();
        let ended = ended.wait_for(Option::is_some).await;
        ended.ok().and_then(|report| report.clone())
    }

    /// Returns the state with the measurements until now.
    pub(super) fn state(&self) -> serde_json::Result<RunState> {
        let ended = self.ended.borrow().clone();
        let mut json = match &ended {
            Some(report) => report.to_value()?,
            None => self.report(false).to_value()?,
        };
        if let (None, Some(fields)) = (&ended, json.as_object_mut()) {
            // The result is known only at the end.
            fields.remove("passed");
            fields.remove("interrupted");
        }
        let state = match &ended {
            None => "running",
            Some(report) if report.was_interrupted => "stopped",
            Some(_) => "finished",
        };
        let mut wire = self.state_without_report();
        wire.state = state;
        wire.report = Some(json);
        if ended.is_some() {
            wire.ends_in_seconds = 0;
        }
        Ok(wire)
    }

    /// Returns the state of a run that is in progress.
    pub(super) fn state_without_report(&self) -> RunState {
        let remaining = self
            .traffic
            .duration()
            .saturating_sub(self.started.elapsed());
        RunState {
            id: self.id(),
            state: "running",
            url: self.config.url.clone(),
            profile: self.traffic.profile.name(),
            duration_seconds: self.traffic.duration_seconds,
            requests_per_minute: self.traffic.requests_per_minute,
            planned_requests: match &self.config.pace {
                Pace::Open { schedule, .. } => schedule.requests(),
                Pace::Closed { .. } => 0,
            },
            ends_in_seconds: remaining.as_secs() + u64::from(remaining.subsec_nanos() > 0),
            report: None,
        }
    }

    /// Returns the id, which the ids of the run's customers contain.
    fn id(&self) -> String {
        format!("{:08x}", self.id as u32)
    }

    fn report(&self, was_interrupted: bool) -> LoadReport {
        let ReportConfig {
            url,
            pace,
            request_timeout,
            left_out_faults,
        } = self.config.clone();
        LoadReport {
            url,
            profile: self.traffic.profile,
            pace,
            rate: Some(self.traffic.rate()),
            duration: self.traffic.duration(),
            request_timeout,
            left_out_faults,
            run: self.id,
            was_interrupted,
            measurements: self.monitor.measurements(),
            check: CheckOutcome::Unknown(NO_CHECK.to_owned()),
            spans: None,
        }
    }

    fn log_start(&self, log: fn(std::fmt::Arguments<'_>)) {
        let Traffic {
            duration_seconds,
            requests_per_minute,
            profile,
        } = self.traffic;
        log(format_args!(
            "run {} started: {}, {requests_per_minute} requests/min, for {duration_seconds} s",
            self.id(),
            profile.name(),
        ));
    }

    fn log_end(&self, report: &LoadReport, log: fn(std::fmt::Arguments<'_>)) {
        let measurements = &report.measurements;
        let verb = if report.was_interrupted {
            "stopped"
        } else {
            "finished"
        };
        log(format_args!(
            "run {} {verb} after {:.1} s: {} sent, {} accepted, {} rejected as expected, {} failed",
            self.id(),
            self.started.elapsed().as_secs_f64(),
            measurements.started,
            measurements.accepted,
            measurements.rejected_invalid,
            measurements.failed(),
        ));
    }
}
