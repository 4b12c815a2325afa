//! Sends spans that functions and services wrote to their logs because no collector accepted them.
//!
//! The stages are: opening a log (`input`), unpacking (`unpack`), joining lines that a container
//! runtime split (`container_lines`), finding spill lines (`scan`), turning them into spans
//! (`line_processor`) and joining the fragments of long ones (`fragments`), and sending (`send`). A
//! log is read once, sequentially, and at most a few megabytes of it are in memory. The ids of
//! accepted spans are recorded in a ledger, so that replaying a log again sends nothing.

use std::path::PathBuf;
use std::time::Duration;
use std::{io, thread};

use baton_telemetry::replay::ReplaySender;
use tokio::sync::mpsc;
use tokio::time::timeout;

use self::input::LogInput;
use self::ledger::ReplayLedger;
use self::line_processor::LineProcessor;
use self::scan::{ScannedLine, Scanner};
use self::send::BatchSender;
use self::unpack::{UnpackContext, UnreadablePart};

mod byte_search;
mod container_lines;
mod error;
mod fragments;
mod input;
mod ledger;
mod line_processor;
mod line_rewriter;
mod report;
mod scan;
mod send;
mod spill_line;
mod unpack;

pub(crate) use self::error::ReplayError;
pub(crate) use self::input::InputPath;
pub(crate) use self::report::ReplayReport;

/// Number of lines that are read ahead during a request: a few requests' worth at 256 KiB per line.
const READ_AHEAD: usize = 64;
/// Time without new lines after which the spans found so far are sent, for logs that are still
/// being written.
const IDLE: Duration = Duration::from_secs(1);

/// Settings of a replay.
#[derive(Clone, Debug)]
pub(crate) struct ReplaySettings {
    pub(crate) inputs: Vec<InputPath>,
    /// Endpoint that replaces the one in the environment.
    pub(crate) endpoint: Option<String>,
    pub(crate) ledger: PathBuf,
    /// True if spans that the ledger already has are resent.
    pub(crate) is_forced: bool,
    /// True if spans are only counted.
    pub(crate) is_dry_run: bool,
}

/// A replay whose logs and ledger are open.
pub(crate) struct Replay {
    sender: ReplaySender,
    ledger: ReplayLedger,
    inputs: Vec<LogInput>,
    settings: ReplaySettings,
}

impl Replay {
    /// Opens the logs and the ledger.
    pub(crate) fn new(settings: ReplaySettings) -> Result<Self, ReplayError> {
        let sender = ReplaySender::from_env(settings.endpoint.as_deref())?;
        if let Some(variable) = sender.ignored_variable() {
            tracing::warn!(
                variable,
                "variable ignored: headers are read only from OTEL_EXPORTER_OTLP_HEADERS"
            );
        }
        let open = |path: &InputPath| {
            LogInput::open(path).map_err(|source| ReplayError::Open {
                name: path.to_string(),
                source,
            })
        };
        let inputs = settings.inputs.iter().map(open);
        let inputs = inputs.collect::<Result<_, _>>()?;
        let ledger = if settings.is_dry_run {
            ReplayLedger::open_read_only(&settings.ledger, sender.endpoint())?
        } else {
            ReplayLedger::open(&settings.ledger, sender.endpoint())?
        };
        Ok(Self {
            sender,
            ledger,
            inputs,
            settings,
        })
    }

    /// Sends all spans. On an error, `report` still contains what was done before it.
    pub(crate) async fn run(mut self, report: &mut ReplayReport) -> Result<(), ReplayError> {
        report.endpoint = self.sender.endpoint().to_owned();
        report.is_dry_run = self.settings.is_dry_run;
        let sender = (!self.settings.is_dry_run).then_some(&self.sender);
        let sender = BatchSender::new(sender, &mut self.ledger);
        let mut processor = LineProcessor::new(sender, self.settings.is_forced, report);
        let mut events = spawn_reader(self.inputs);
        let mut outcome = Ok(());
        loop {
            match timeout(IDLE, events.recv()).await {
                Ok(Some(ScanEvent::Line(file, found))) => processor.process(file, found).await?,
                Ok(Some(ScanEvent::Unreadable(file, part))) => processor.add_unreadable(file, part),
                // Spans before the read error are still sent, and the other files are still read.
                Ok(Some(ScanEvent::Failed(error))) => outcome = Err(error),
                Ok(None) => break,
                Err(_) => processor.send_pending().await?,
            }
        }
        let report = processor.finish().await?;
        report.is_finished = outcome.is_ok();
        outcome
    }
}

/// An event from the thread that reads the logs.
enum ScanEvent {
    Line(String, ScannedLine),
    Unreadable(String, UnreadablePart),
    Failed(ReplayError),
}

/// Starts the thread that reads the logs. It may outlive the replay, because a read of standard
/// input cannot be interrupted; it ends with the process.
fn spawn_reader(inputs: Vec<LogInput>) -> mpsc::Receiver<ScanEvent> {
    let (events, receiver) = mpsc::channel(READ_AHEAD);
    thread::spawn(move || {
        for input in inputs {
            let name = input.name.clone();
            let read = scan(input, |event| {
                let event = match event {
                    Ok(found) => ScanEvent::Line(name.clone(), found),
                    Err(part) => ScanEvent::Unreadable(name.clone(), part),
                };
                events.blocking_send(event).is_ok()
            });
            if let Err(source) = read {
                let failed = ScanEvent::Failed(ReplayError::Read { name, source });
                // A closed channel means that the replay has already ended.
                let _ = events.blocking_send(failed);
            }
        }
    });
    receiver
}

/// Passes each spill line and each unreadable part to `emit` until it returns false.
fn scan(
    input: LogInput,
    mut emit: impl FnMut(Result<ScannedLine, UnreadablePart>) -> bool,
) -> io::Result<()> {
    let context = UnpackContext::new();
    let mut scanner = Scanner::new(input.into_text(&context));
    loop {
        let found = scanner.next();
        for part in context.take_unreadable() {
            if !emit(Err(part)) {
                return Ok(());
            }
        }
        let Some(found) = found? else {
            return Ok(());
        };
        if !emit(Ok(found)) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
