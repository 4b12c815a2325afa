//! `baton demo`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::binaries;
use super::exit::{EXIT_CODES_HELP, Exit};
use super::options::{BINARIES, Binaries, Paths};
use super::signals::Signals;
use super::terminal::{self, Progress, print_line};
use crate::demo::{self, Demo, DemoError, DemoProgress};

/// Send a dozen requests through the whole pipeline and show their traces
///
/// Starts the stack and sends a dozen onboardings to the real producer. The handler fails once for
/// one of them, panics once for another and is slow for a third, and the function rejects one until
/// it reaches the dead-letter queue. Environments are frozen between invocations and killed without
/// warning at the end. The report shows every message's trace as a tree with durations and queue
/// time, the batches with their links, and a table of counts. The exit code is 0 if every count is
/// as expected.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES_HELP)]
pub(super) struct DemoArgs {
    /// Path of the onboarding function, if you have built it yourself. The demo needs its faults
    /// and its spans; run any other function with `baton up`
    #[arg(long, value_name = "PATH", help_heading = BINARIES)]
    function: Option<PathBuf>,
    /// Path of the producer, if you have built it yourself: onboarding-api or a binary with the
    /// same API
    #[arg(long, value_name = "PATH", help_heading = BINARIES)]
    producer: Option<PathBuf>,
}

/// Most likely cause of a failure if `--function` was given.
const WRONG_FUNCTION_HINT: &str = "\
The demo is for the onboarding function: it fails if --function is another one.
Run any other function with `baton up --function PATH`.";

/// Runs the demo until it ends or a signal arrives.
pub(super) async fn run(arguments: DemoArgs, signals: &mut Signals) -> Exit {
    let mut progress = Progress::new();
    let has_given_function = arguments.function.is_some();
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
    if has_given_function && exit == Exit::Failed {
        print_line(format_args!("{WRONG_FUNCTION_HINT}"));
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
    let outcome = tokio::select! {
        outcome = demo.run(|update| show(progress, update)) => Some(outcome),
        () = signals.recv() => None,
    };
    signals.run_until_signal(demo.stop()).await;
    match outcome {
        Some(outcome) => report(outcome),
        None => Exit::Interrupted,
    }
}

fn show(progress: &mut Progress, update: DemoProgress) {
    match update {
        DemoProgress::Started(what) => progress.begin(&what),
        DemoProgress::Done(what) => progress.done(&what),
        DemoProgress::TimedOut(what) => progress.failed(&what),
    }
}

fn report(outcome: Result<demo::DemoReport, DemoError>) -> Exit {
    let report = match outcome {
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
    // Read only now, because the terminal may have been resized during the demo.
    let report = report.display(terminal::width(io::stdout()));
    let mut out = anstream::stdout().lock();
    write!(out, "\n{report}")?;
    out.flush()
}
