//! Sends spans that functions and services wrote to their logs because no collector accepted them.
//!
//! The stages are: opening a log (`input`), unpacking (`unpack`), joining lines that a container
//! runtime split (`container_lines`), finding spill lines (`scan`), joining fragments of long spans
//! (`fragments`), and sending (`send`). A log is read once, sequentially, and at most a few
//! megabytes of it are in memory. The ids of accepted spans are recorded in a ledger, so that
//! replaying a log again sends nothing.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use baton_telemetry::replay::Sender;
use tokio::sync::mpsc;
use tokio::time::timeout;

use self::fragments::FragmentBuffer;
use self::input::LogInput;
use self::ledger::ReplayLedger;
use self::report::DamagedLine;
use self::scan::{ScannedLine, Scanner};
use self::send::{BatchSender, SpilledSpans};
use self::spill_line::{SpillContent, SpillLine, SpillLineError};
use self::unpack::{UnpackContext, UnreadablePart};

mod byte_search;
mod container_lines;
mod error;
mod fragments;
mod input;
mod ledger;
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
    sender: Sender,
    ledger: ReplayLedger,
    inputs: Vec<LogInput>,
    settings: ReplaySettings,
}

impl Replay {
    /// Opens the logs and the ledger.
    pub(crate) fn new(settings: ReplaySettings) -> Result<Self, ReplayError> {
        let sender = Sender::from_env(settings.endpoint.as_deref())?;
        if let Some(variable) = sender.ignored_variable() {
            tracing::warn!(
                "{variable} is not read here: headers are read only from OTEL_EXPORTER_OTLP_HEADERS"
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
        let mut processor = LineProcessor {
            sender: BatchSender::new(sender, &mut self.ledger),
            fragments: FragmentBuffer::new(),
            seen: HashSet::new(),
            is_forced: self.settings.is_forced,
            report,
        };
        let mut events = spawn_reader(self.inputs);
        let mut outcome = Ok(());
        loop {
            match timeout(IDLE, events.recv()).await {
                Ok(Some(ScanEvent::Line(file, found))) => processor.process(file, found).await?,
                Ok(Some(ScanEvent::Unreadable(file, part))) => {
                    processor.report.unreadable.push((file, part));
                }
                // Spans before the read error are still sent, and the other files are still read.
                Ok(Some(ScanEvent::Failed(error))) => outcome = Err(error),
                Ok(None) => break,
                Err(_) if processor.sender.is_empty() => {}
                Err(_) => processor.sender.send(processor.report).await?,
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

/// Turns scanned lines into spans to send.
struct LineProcessor<'a> {
    sender: BatchSender<'a>,
    fragments: FragmentBuffer,
    /// Ids of complete lines that have been processed.
    seen: HashSet<String>,
    is_forced: bool,
    report: &'a mut ReplayReport,
}

impl<'a> LineProcessor<'a> {
    async fn process(&mut self, file: String, found: ScannedLine) -> Result<(), ReplayError> {
        let ScannedLine { line_number, line } = found;
        let damaged = |error: SpillLineError| DamagedLine {
            file,
            line: line_number,
            text: error.to_string(),
        };
        let spans = match line.and_then(|line| self.complete_spans(line)) {
            Ok(Some(spans)) => spans,
            Ok(None) => return Ok(()),
            Err(error @ SpillLineError::MessageOmitted) => {
                let DamagedLine { file, line, text } = damaged(error);
                let position = format!("line {line}");
                let unreadable = UnreadablePart { position, text };
                self.report.unreadable.push((file, unreadable));
                return Ok(());
            }
            Err(error) => {
                self.report.damaged.push(damaged(error));
                return Ok(());
            }
        };
        self.seen.insert(spans.id.clone());
        self.report.spans += spans.count;
        if !self.is_forced && self.sender.is_in_ledger(&spans.id) {
            self.report.sent_before += spans.count;
            return Ok(());
        }
        self.sender.add(spans, self.report).await
    }

    /// Returns the spans that this line completes, unless the same line was processed before.
    fn complete_spans(&mut self, line: SpillLine) -> Result<Option<SpilledSpans>, SpillLineError> {
        let SpillLine {
            id,
            span_count,
            content,
        } = line;
        self.report.lines += 1;
        if self.seen.contains(&id) {
            return Ok(None);
        }
        let request = match content {
            SpillContent::Request(request) => request,
            SpillContent::Fragment(fragment) => match self.fragments.add(&id, fragment) {
                Some(text) => spill_line::decode_request(&text, span_count)?,
                None => {
                    self.report
                        .incomplete
                        .extend(self.fragments.remove_excess());
                    return Ok(None);
                }
            },
        };
        Ok(Some(SpilledSpans {
            id,
            count: span_count,
            request,
        }))
    }

    async fn finish(mut self) -> Result<&'a mut ReplayReport, ReplayError> {
        let missing = std::iter::from_fn(|| self.fragments.remove_oldest());
        self.report.incomplete.extend(missing);
        self.sender.send(self.report).await?;
        Ok(self.report)
    }
}

#[cfg(test)]
mod tests;
