//! Sends on what functions and services wrote to their logs when no collector took it.
//!
//! A log is read once, from its beginning to its end, and only a few megabytes of it are kept:
//! spill lines are found by their marker, in whatever the log has been wrapped into. What an
//! endpoint has accepted is entered in a ledger, so that reading a log again sends nothing.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use baton_telemetry::replay::{InvalidEnvironment, SendFailure, Sender};
use tokio::sync::mpsc;
use tokio::time::timeout;

use self::context::{Context, Unreadable};
use self::delivery::{Delivery, Parcel};
use self::fragments::Fragments;
use self::input::Input;
use self::ledger::{Ledger, LedgerError};
use self::line::{Content, Line, Problem};
use self::report::Damaged;
use self::scanner::{Found, Scanner};

mod context;
mod cut;
mod delivery;
mod embedded;
mod format;
mod fragments;
mod gzip;
mod input;
mod joined;
mod ledger;
mod line;
mod markers;
mod pieces;
mod report;
mod rewritten;
mod scanner;
mod source;
mod unpacked;
mod unwrapped;
mod utf16;
mod window;
mod yaml;

pub(crate) use self::input::Place;
pub(crate) use self::report::Report;

/// So many lines are read ahead while a request is on its way: at 256 KiB each, a few requests.
const READ_AHEAD: usize = 64;
/// When a log that is followed pauses for so long, what has been found is sent.
const IDLE: Duration = Duration::from_secs(1);

/// What is to be sent where.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) places: Vec<Place>,
    /// In the place of the environment's.
    pub(crate) endpoint: Option<String>,
    pub(crate) ledger: PathBuf,
    /// Whether that something was sent before is no reason not to send it.
    pub(crate) is_forced: bool,
    /// Whether everything is only counted.
    pub(crate) is_dry_run: bool,
}

/// Why a replay did not begin, or did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error(transparent)]
    Environment(#[from] InvalidEnvironment),
    #[error("{name} cannot be opened")]
    Open { name: String, source: io::Error },
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("{name} cannot be read to its end")]
    Read { name: String, source: io::Error },
    /// The first request failed.
    #[error("no spans were sent to {endpoint}")]
    NothingSent {
        endpoint: String,
        source: SendFailure,
    },
    /// A request failed after others had been accepted.
    #[error(
        "not all spans were sent to {endpoint}: the ledger records the accepted requests, and the \
         next replay of the log sends the rest"
    )]
    PartlySent {
        endpoint: String,
        source: SendFailure,
    },
}

/// Everything that must be there before something is sent.
pub(crate) struct Replay {
    sender: Sender,
    ledger: Ledger,
    inputs: Vec<Input>,
    settings: Settings,
}

impl Replay {
    /// Opens the files and the ledger.
    pub(crate) fn new(settings: Settings) -> Result<Self, ReplayError> {
        let sender = Sender::from_env(settings.endpoint.as_deref())?;
        if let Some(variable) = sender.passed_over() {
            tracing::warn!(
                "{variable} is not read here: the headers are those of OTEL_EXPORTER_OTLP_HEADERS alone"
            );
        }
        let open = |place: &Place| {
            Input::open(place).map_err(|source| ReplayError::Open {
                name: place.to_string(),
                source,
            })
        };
        let inputs = settings.places.iter().map(open);
        let inputs = inputs.collect::<Result<_, _>>()?;
        let ledger = match settings.is_dry_run {
            true => Ledger::look_at(&settings.ledger, sender.endpoint())?,
            false => Ledger::open(&settings.ledger, sender.endpoint())?,
        };
        Ok(Self {
            sender,
            ledger,
            inputs,
            settings,
        })
    }

    /// Sends everything. What has been done until an error is in the report all the same.
    pub(crate) async fn run(mut self, report: &mut Report) -> Result<(), ReplayError> {
        report.endpoint = self.sender.endpoint().to_owned();
        report.is_dry_run = self.settings.is_dry_run;
        let sender = (!self.settings.is_dry_run).then_some(&self.sender);
        let mut reception = Reception {
            delivery: Delivery::new(sender, &mut self.ledger),
            fragments: Fragments::new(),
            seen: HashSet::new(),
            is_forced: self.settings.is_forced,
            report,
        };
        let mut events = read(self.inputs);
        let mut outcome = Ok(());
        loop {
            match timeout(IDLE, events.recv()).await {
                Ok(Some(Event::Found(file, found))) => reception.take(file, found).await?,
                Ok(Some(Event::Unreadable(file, part))) => {
                    reception.report.unreadable.push((file, part));
                }
                // What the file has until there is sent, and the other files are read.
                Ok(Some(Event::Failed(error))) => outcome = Err(error),
                Ok(None) => break,
                Err(_) if reception.delivery.is_empty() => {}
                Err(_) => reception.delivery.send(reception.report).await?,
            }
        }
        let report = reception.finish().await?;
        report.is_finished = outcome.is_ok();
        outcome
    }
}

/// What reading the files brings.
enum Event {
    Found(String, Found),
    Unreadable(String, Unreadable),
    Failed(ReplayError),
}

/// Reads in a thread of its own, which ends with the process at the latest: reading standard input
/// cannot be broken off.
fn read(inputs: Vec<Input>) -> mpsc::Receiver<Event> {
    let (events, receiver) = mpsc::channel(READ_AHEAD);
    thread::spawn(move || {
        for input in inputs {
            let name = input.name.clone();
            let read = scan(input, |event| {
                let event = match event {
                    Ok(found) => Event::Found(name.clone(), found),
                    Err(part) => Event::Unreadable(name.clone(), part),
                };
                events.blocking_send(event).is_ok()
            });
            if let Err(source) = read {
                let failed = Event::Failed(ReplayError::Read { name, source });
                // Where nobody waits any more, nothing is to be told.
                let _ = events.blocking_send(failed);
            }
        }
    });
    receiver
}

/// Sends each spill line and each part that cannot be read to the channel until the receiver is
/// dropped.
fn scan(input: Input, mut give: impl FnMut(Result<Found, Unreadable>) -> bool) -> io::Result<()> {
    let context = Context::new();
    let mut scanner = Scanner::new(input.text(&context));
    loop {
        let found = scanner.next();
        for part in context.take_unreadable() {
            if !give(Err(part)) {
                return Ok(());
            }
        }
        let Some(found) = found? else {
            return Ok(());
        };
        if !give(Ok(found)) {
            return Ok(());
        }
    }
}

/// Lines on their way from the log into requests.
struct Reception<'a> {
    delivery: Delivery<'a>,
    fragments: Fragments,
    /// The ids of whole lines that this log has had already.
    seen: HashSet<String>,
    is_forced: bool,
    report: &'a mut Report,
}

impl<'a> Reception<'a> {
    async fn take(&mut self, file: String, found: Found) -> Result<(), ReplayError> {
        let Found { line_number, line } = found;
        let damaged = |problem: Problem| Damaged {
            file,
            line: line_number,
            text: problem.to_string(),
        };
        let parcel = match line.and_then(|line| self.parcel(line)) {
            Ok(Some(parcel)) => parcel,
            Ok(None) => return Ok(()),
            Err(problem @ Problem::MessageOmitted) => {
                let Damaged { file, line, text } = damaged(problem);
                let place = format!("line {line}");
                let unreadable = Unreadable { place, text };
                self.report.unreadable.push((file, unreadable));
                return Ok(());
            }
            Err(problem) => {
                self.report.damaged.push(damaged(problem));
                return Ok(());
            }
        };
        self.seen.insert(parcel.id.clone());
        self.report.spans += parcel.spans;
        if !self.is_forced && self.delivery.was_sent_before(&parcel.id) {
            self.report.already += parcel.spans;
            return Ok(());
        }
        self.delivery.put(parcel, self.report).await
    }

    /// The spans that are whole with this line, unless the log has had them before.
    fn parcel(&mut self, line: Line) -> Result<Option<Parcel>, Problem> {
        let Line { id, spans, content } = line;
        self.report.lines += 1;
        if self.seen.contains(&id) {
            return Ok(None);
        }
        let request = match content {
            Content::Request(request) => request,
            Content::Fragment(fragment) => match self.fragments.put(&id, fragment) {
                Some(text) => line::request(&text, spans)?,
                None => {
                    self.report.incomplete.extend(self.fragments.give_up());
                    return Ok(None);
                }
            },
        };
        Ok(Some(Parcel { id, spans, request }))
    }

    async fn finish(mut self) -> Result<&'a mut Report, ReplayError> {
        let missing = std::iter::from_fn(|| self.fragments.oldest());
        self.report.incomplete.extend(missing);
        self.delivery.send(self.report).await?;
        Ok(self.report)
    }
}

#[cfg(test)]
mod tests;
