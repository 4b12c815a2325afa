//! `baton demo`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::binaries;
use super::exit::{EXIT_CODES_HELP, Exit};
use super::options::{BINARIES, Binaries, Paths};
use super::signals::Signals;
use super::terminal::{self, Progress, say};
use crate::demo::{self, Demo, DemoError, DemoProgress};

/// Send a dozen requests through the whole pipeline and show their traces
///
/// Starts the stack, sends a dozen onboardings to the real producer, among them one whose handler
/// fails once, one whose handler panics once, a slow one, and one that the function refuses until
/// it ends in the dead-letter queue. Environments are frozen between invocations and killed without
/// warning in the end. Then every message's trace is printed as a tree with durations and queue
/// time, the batches with their links, and a table. Exit code 0 means that every number is exactly
/// as it must be.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES_HELP)]
pub(super) struct DemoArgs {
    /// The onboarding function, when you have built it yourself: the demo
    /// has it misbehave and checks its spans; any other function runs under
    /// `baton up`
    #[arg(long, value_name = "PATH", help_heading = BINARIES)]
    function: Option<PathBuf>,
    /// The producer, likewise: onboarding-api, or one with the same API
    #[arg(long, value_name = "PATH", help_heading = BINARIES)]
    producer: Option<PathBuf>,
}

/// The likeliest reason why a demo fails whose function was brought along.
const WRONG_FUNCTION_HINT: &str = "\
The demo is for the onboarding function: if --function is another one, this is why it fails.
Any function runs under `baton up --function PATH`.";

/// Runs the demo unless a signal arrives first.
pub(super) async fn run(arguments: DemoArgs, signals: &mut Signals) -> Exit {
    let mut progress = Progress::new();
    let brought = arguments.function.is_some();
    let binaries = Binaries {
        function: arguments.function,
        producer: arguments.producer,
        no_producer: false,
    };
    let paths = tokio::select! {
        paths = binaries::find(binaries, &mut progress) => paths,
        () = signals.recv() => return Exit::Interrupted,
    };
    let paths = match paths {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let exit = run_demo(paths, &mut progress, signals).await;
    if brought && exit == Exit::Failed {
        say(format_args!("{WRONG_FUNCTION_HINT}"));
    }
    exit
}

async fn run_demo(paths: Paths, progress: &mut Progress, signals: &mut Signals) -> Exit {
    let Some(producer) = paths.producer else {
        terminal::error(&DemoError::NoProducer);
        return Exit::StartFailed;
    };
    progress.begin("starting queue, function, producer and OTLP receiver");
    let started = tokio::select! {
        started = Demo::start(paths.function, producer) => started,
        () = signals.recv() => return Exit::Interrupted,
    };
    let mut demo = match started {
        Ok(demo) => demo,
        Err(error) => {
            terminal::error(&error);
            return Exit::StartFailed;
        }
    };
    progress.done("everything is ready, and the function has initialised");
    let played = tokio::select! {
        played = demo.run(|update| show(progress, update)) => Some(played),
        () = signals.recv() => None,
    };
    signals.run_until_signal(demo.stop()).await;
    match played {
        Some(played) => report(played),
        None => Exit::Interrupted,
    }
}

fn show(progress: &mut Progress, update: DemoProgress) {
    match update {
        DemoProgress::Started(what) => progress.begin(&what),
        DemoProgress::Done(what) => progress.done(&what),
        DemoProgress::TimedOut(what) => progress.missed(&what),
    }
}

fn report(played: Result<demo::DemoReport, DemoError>) -> Exit {
    let report = match played {
        Ok(report) => report,
        Err(error) => {
            terminal::error(&error);
            return Exit::Failed;
        }
    };
    if let Err(error) = print(&report) {
        terminal::error(&error);
        return Exit::Failed;
    }
    if report.passed() {
        Exit::Done
    } else {
        Exit::Failed
    }
}

fn print(report: &demo::DemoReport) -> io::Result<()> {
    // Only now: the person may have resized the terminal while the demo played.
    let report = report.display(terminal::width(io::stdout()));
    let mut out = anstream::stdout().lock();
    write!(out, "\n{report}")?;
    out.flush()
}
