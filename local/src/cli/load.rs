//! `baton load`.

use std::error::Error;

use uuid::Uuid;

use self::arguments::LoadArgs;
use self::output::JsonOutput;
use self::progress::LiveProgress;
use super::binaries;
use super::exit::Exit;
use super::options::Binaries;
use super::signals::Signals;
use super::terminal::{self, Progress};
#[cfg(feature = "dynamodb")]
use crate::load::CustomerTable;
use crate::load::{
    AcceptedMessages, CheckOutcome, Generator, GeneratorConfig, LoadReport, MessageCounter,
    MessageCounts, SpanCounts, SpanExport, TargetUrl, own_stack_config,
};
use crate::stack::{Stack, StackError};

mod arguments;
mod output;
mod progress;
mod serve;
mod variables;

pub(super) use self::arguments::CheckedLoadArgs;
pub(super) use self::variables::Variables;

/// Path of the producer's API.
const ONBOARDING: &str = "/onboarding";
/// Reason why there is no check.
const INTERRUPTED: &str = "the run was interrupted";

/// Reason why no more requests are sent.
#[derive(Debug)]
enum StopReason {
    Finished,
    Interrupted,
    StackFailed(StackError),
}

/// A run that has started.
#[derive(Debug)]
struct StartedRun {
    /// Numbers of messages before the run.
    before: MessageCounts,
    span_export: Option<SpanExport>,
    generator: Generator,
}

/// Error of a local stack without a producer.
#[derive(Debug, thiserror::Error)]
#[error(
    "the local stack has no producer: --function is not onboarding-lambda, so --producer is required"
)]
struct NoProducer;

/// Runs the load until it ends or a signal arrives.
pub(super) async fn run(arguments: CheckedLoadArgs, signals: &mut Signals) -> Exit {
    let arguments = arguments.0;
    if let Some(address) = arguments.serve {
        return serve::run(arguments, address, signals).await;
    }
    let output = match JsonOutput::open(arguments.json.as_deref()) {
        Ok(output) => output,
        Err(error) => {
            terminal::error(&error);
            return Exit::StartFailed;
        }
    };
    let mut stack = if arguments.url.is_none() {
        let started = tokio::select! {
            started = start_stack(&arguments) => started,
            () = signals.recv() => return Exit::Interrupted,
        };
        match started {
            Ok(stack) => Some(stack),
            Err(exit) => return exit,
        }
    } else {
        None
    };
    let exit = match run_load(&arguments, stack.as_mut(), signals).await {
        Ok((report, exit)) => print(&report, output, exit),
        Err(exit) => exit,
    };
    if let Some(stack) = stack {
        signals.run_until_signal(stack.stop()).await;
    }
    exit
}

async fn start_stack(arguments: &LoadArgs) -> Result<Stack, Exit> {
    let mut progress = Progress::new();
    let binaries = Binaries {
        function: arguments.function.clone(),
        producer: arguments.producer.clone(),
        no_producer: false,
    };
    let paths = binaries::find(binaries, &mut progress).await?;
    let producer = paths.producer.ok_or(NoProducer).map_err(start_failed)?;
    progress.begin("starting queue, function, producer and OTLP receiver");
    let stack = Stack::start(own_stack_config(paths.function, producer)).await;
    let stack = stack.map_err(start_failed)?;
    progress.done("everything is ready, and the function has initialised");
    Ok(stack)
}

async fn run_load(
    arguments: &LoadArgs,
    mut stack: Option<&mut Stack>,
    signals: &mut Signals,
) -> Result<(LoadReport, Exit), Exit> {
    let run = Uuid::new_v4().as_u64_pair().0;
    let url = target(arguments, stack.as_deref())?;
    let started = tokio::select! {
        started = start(arguments, &url, run, stack.as_deref()) => started?,
        () = signals.recv() => return Err(Exit::Interrupted),
    };
    let mut generator = started.generator;
    let mut stop_reason = drive(&mut generator, arguments, stack.as_deref_mut(), signals).await;
    let measurements = generator.measurements();
    // Closes the queue of spans.
    drop(generator);
    let mut outcome = CheckOutcome::Unknown(INTERRUPTED.to_owned());
    if let StopReason::Finished = stop_reason {
        let accepted = AcceptedMessages {
            total: measurements.accepted,
            poison: measurements.accepted_poison,
        };
        tokio::select! {
            checked = check(arguments, run, stack.as_deref(), started.before, accepted) => outcome = checked,
            () = signals.recv() => stop_reason = StopReason::Interrupted,
        }
    }
    let report = LoadReport {
        url: url.uri().to_string(),
        profile: arguments.profile.into(),
        rate: arguments.open_rate(),
        pace: arguments.pace(),
        duration: arguments.duration(),
        request_timeout: arguments.timeout,
        left_out_faults: arguments.leaves_out_faults(),
        run,
        was_interrupted: !matches!(stop_reason, StopReason::Finished),
        measurements,
        check: outcome,
        spans: finish_spans(started.span_export, signals).await,
    };
    let exit = load_exit(stop_reason, &report);
    Ok((report, exit))
}

/// Exports the remaining spans. A signal skips those of a collector that hangs.
async fn finish_spans(export: Option<SpanExport>, signals: &mut Signals) -> Option<SpanCounts> {
    let mut export = export?;
    signals.run_until_signal(export.finish()).await;
    Some(export.counts())
}

fn load_exit(stop_reason: StopReason, report: &LoadReport) -> Exit {
    match stop_reason {
        StopReason::Interrupted => Exit::Interrupted,
        StopReason::StackFailed(error) => {
            terminal::error(&error);
            Exit::Failed
        }
        StopReason::Finished if report.passed() => Exit::Done,
        StopReason::Finished => Exit::Failed,
    }
}

/// Returns the URL that was given, or that of the stack's producer.
fn target(arguments: &LoadArgs, stack: Option<&Stack>) -> Result<TargetUrl, Exit> {
    if let Some(url) = &arguments.url {
        return Ok(url.clone());
    }
    let producer = stack.and_then(|stack| stack.endpoints().producer.as_deref());
    let producer = producer.ok_or(NoProducer).map_err(start_failed)?;
    let url = format!("{producer}{ONBOARDING}").parse::<TargetUrl>();
    url.map_err(start_failed)
}

async fn start(
    arguments: &LoadArgs,
    url: &TargetUrl,
    run: u64,
    stack: Option<&Stack>,
) -> Result<StartedRun, Exit> {
    let before = match message_counter(arguments, run, stack).await {
        Some(counter) => counter.count().await.map_err(start_failed)?,
        None => MessageCounts::default(),
    };
    let (spans, span_export) = if arguments.spans {
        let endpoint = stack.map(|stack| stack.endpoints().otlp_http.as_str());
        let (queue, export) = SpanExport::start(endpoint, url).map_err(start_failed)?;
        (Some(queue), Some(export))
    } else {
        (None, None)
    };
    let config = GeneratorConfig {
        url: url.clone(),
        headers: arguments.header.clone(),
        authorities: arguments.ca_certificate.clone(),
        request_timeout: arguments.timeout,
        pace: arguments.pace(),
        duration: arguments.duration(),
        interval: arguments.interval(),
        shares: arguments.shares(),
        run,
        spans,
    };
    let generator = Generator::start(config).await.map_err(start_failed)?;
    Ok(StartedRun {
        before,
        span_export,
        generator,
    })
}

/// Waits until all requests have finished, and shows the progress.
async fn drive(
    generator: &mut Generator,
    arguments: &LoadArgs,
    mut stack: Option<&mut Stack>,
    signals: &mut Signals,
) -> StopReason {
    let mut progress = LiveProgress::new(arguments.profile.into(), arguments.duration());
    let mut ticks = tokio::time::interval(progress.interval());
    let stop_reason = loop {
        tokio::select! {
            () = generator.wait() => break StopReason::Finished,
            () = signals.recv() => break StopReason::Interrupted,
            error = stack_failure(stack.as_deref_mut()) => break StopReason::StackFailed(error),
            _ = ticks.tick() => progress.show(generator),
        }
    };
    if !matches!(stop_reason, StopReason::Finished) {
        generator.stop().await;
    }
    progress.finish(generator);
    stop_reason
}

async fn stack_failure(stack: Option<&mut Stack>) -> StackError {
    match stack {
        Some(stack) => stack.wait_for_failure().await,
        None => std::future::pending().await,
    }
}

/// Waits until the accepted messages are processed or dead-lettered.
async fn check(
    arguments: &LoadArgs,
    run: u64,
    stack: Option<&Stack>,
    before: MessageCounts,
    accepted: AcceptedMessages,
) -> CheckOutcome {
    let Some(counter) = message_counter(arguments, run, stack).await else {
        return CheckOutcome::Unknown("neither --queue-url nor --table is given".to_owned());
    };
    let mut progress = Progress::new();
    progress.begin("waiting until the accepted messages are processed or dead-lettered");
    let settling = counter.settle(before, accepted, arguments.settle_timeout);
    match settling.await {
        Ok(result) => {
            if result.is_complete() {
                progress.done("no accepted message is missing");
            } else {
                progress.failed(
                    "timed out waiting for accepted messages to be processed or dead-lettered",
                );
            }
            CheckOutcome::Known(result)
        }
        Err(error) => CheckOutcome::Failed(error.to_string()),
    }
}

/// Returns the counter for the check, or `None` if neither a stack, a queue nor a table is given.
#[cfg_attr(
    not(feature = "dynamodb"),
    expect(unused_variables, reason = "only the count of a table needs it")
)]
async fn message_counter<'a>(
    arguments: &LoadArgs,
    run: u64,
    stack: Option<&'a Stack>,
) -> Option<MessageCounter<'a>> {
    if let Some(stack) = stack {
        return Some(MessageCounter::from_stack(stack));
    }
    let LoadArgs {
        queue_url: queue,
        dead_letter_queue_url: dead_letter_queue,
        table,
        ..
    } = arguments;
    if queue.is_none() && table.is_none() {
        return None;
    }
    let counter = MessageCounter::from_queues(queue.as_ref(), dead_letter_queue.as_ref()).await;
    #[cfg(feature = "dynamodb")]
    let counter = match table {
        Some(name) => counter.with_table(CustomerTable::open(name, run).await),
        None => counter,
    };
    Some(counter)
}

fn start_failed(error: impl Error) -> Exit {
    terminal::error(&error);
    Exit::StartFailed
}

fn print(report: &LoadReport, output: JsonOutput, exit: Exit) -> Exit {
    let written = output.write(report);
    match written {
        Ok(()) => exit,
        Err(error) => {
            terminal::error(&error);
            Exit::Failed
        }
    }
}
