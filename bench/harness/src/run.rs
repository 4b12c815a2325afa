//! A run, from the start of the process to its exit.

use std::error::Error;
use std::time::{Duration, Instant};

use baton_test_support::{
    CollectorResponse, FakeLambda, Function, Invocation, Signal, Span, TestCollector,
};
use serde_json::{Value, json};

use crate::options::Options;
use crate::spans::{self, Tally};
use crate::{orders, procfs, replay};

/// Timeout of the function. Under valgrind everything takes fifty times as long.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Time limit for the exit after SIGTERM, when valgrind writes its counts.
pub(crate) const EXIT_LIMIT: Duration = Duration::from_secs(30);
/// Time limit for spans that are missing at the end. The batch processor's default delay is five
/// seconds.
const LATE_LIMIT: Duration = Duration::from_secs(7);
/// Time between two checks for missing spans.
const LATE_CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Number of the slowest invocations in the output: more than the limit of slow ones.
const SLOWEST: usize = 10;

/// An invocation that failed. The times of such a function are not comparable.
#[derive(Debug, thiserror::Error)]
#[error("invocation {number} returned {response}")]
struct UnexpectedResponse {
    number: usize,
    response: String,
}

/// Costs of the process.
#[derive(Debug)]
struct Cost {
    init: Duration,
    /// Processor time of the init phase in nanoseconds.
    init_time: u64,
    /// Processor time of all measured invocations in nanoseconds.
    time: u64,
    threads: usize,
    peak_memory: u64,
}

/// Runs the command as a function and describes it as one line of JSON.
pub(crate) async fn run(options: &Options) -> Result<Value, Box<dyn Error>> {
    let response = match options.collector_delay {
        Duration::ZERO => CollectorResponse::Ok,
        delay => CollectorResponse::Delay(delay),
    };
    let collector = TestCollector::start(response).await?;
    let lambda = FakeLambda::start(&function(options, &collector)).await?;
    let mut invocations = Vec::new();
    let cost = measure(options, &lambda, &collector, &mut invocations).await?;
    let tally = wait_for_spans(&collector, &invocations, options).await?;
    let exit = lambda.terminate(EXIT_LIMIT).await;
    let mut line = describe(options, &cost, &invocations)?;
    add_tally(&mut line, "", &tally);
    for (key, signal) in [
        ("exports", Signal::Traces),
        ("metric_exports", Signal::Metrics),
        ("log_exports", Signal::Logs),
    ] {
        line[key] = collector.exports(signal).len().into();
    }
    line["spill_lines"] = replay::spill_lines(&exit.stdout).into();
    line["stdout_lines"] = exit.stdout.len().into();
    line["killed"] = exit.killed.into();
    if let Some(baton) = &options.replay {
        options.condition.repair(&collector).await?;
        replay::replay(baton, &exit.stdout, &collector).await?;
        let tally = spans::tally(&collector.spans()?, &invocations, options.batch);
        add_tally(&mut line, "replayed_", &tally);
    }
    Ok(line)
}

/// Invokes the function, and reads the counters of its process before and after.
async fn measure(
    options: &Options,
    lambda: &FakeLambda,
    collector: &TestCollector,
    invocations: &mut Vec<Invocation>,
) -> Result<Cost, Box<dyn Error>> {
    let process = lambda.process_id();
    let init = lambda.wait_until_ready().await?;
    let init_time = procfs::processor_time(process).await?;
    invoke(lambda, options.batch, options.warm, invocations).await?;
    options.condition.apply(collector).await;
    let warm_time = procfs::processor_time(process).await?;
    invoke(lambda, options.batch, options.invocations, invocations).await?;
    Ok(Cost {
        init,
        init_time,
        time: procfs::processor_time(process).await? - warm_time,
        threads: procfs::thread_count(process)?,
        peak_memory: procfs::peak_memory(process)?,
    })
}

fn describe(
    options: &Options,
    cost: &Cost,
    invocations: &[Invocation],
) -> Result<Value, Box<dyn Error>> {
    let measured = &invocations[usize::try_from(options.warm)?..];
    let responses = sorted(measured, Invocation::response_time);
    let whole = sorted(measured, Invocation::billed_time);
    let slowest = whole.iter().rev().take(SLOWEST);
    Ok(json!({
        "label": options.label,
        "batch": options.batch,
        "invocations": options.invocations,
        "init_ms": milliseconds(cost.init),
        "init_cpu_us": cost.init_time as f64 / 1e3,
        "cpu_us": per(cost.time as f64 / 1e3, options.invocations),
        "response_us": median(&responses),
        "ready_us": median(&whole),
        "slowest_ms": slowest.copied().map(milliseconds).collect::<Vec<_>>(),
        "threads": cost.threads,
        "peak_memory_kb": cost.peak_memory,
        "records": invocations.len() as u64 * options.batch,
    }))
}

/// Adds the counts of a tally, under keys that begin with `prefix`.
fn add_tally(line: &mut Value, prefix: &str, tally: &Tally) {
    for (key, count) in [
        ("before_response", tally.before_response),
        ("before_next", tally.before_next),
        ("late", tally.late),
        ("lost", tally.lost),
        ("linked", tally.linked),
        ("batches", tally.batches),
        ("again", tally.again),
        ("foreign", tally.foreign),
    ] {
        line[format!("{prefix}{key}")] = count.into();
    }
}

pub(crate) fn function(options: &Options, collector: &TestCollector) -> Function {
    let mut command = options.command.iter();
    let program = command.next().cloned().unwrap_or_default();
    let mut function = Function::new(program).export_to(collector);
    for argument in command {
        function = function.argument(argument);
    }
    for (name, value) in &options.variables {
        function = function.variable(name, value);
    }
    function
}

/// Invokes the function `count` times in sequence. Records are numbered across all invocations.
pub(crate) async fn invoke(
    lambda: &FakeLambda,
    batch: u64,
    count: u64,
    done: &mut Vec<Invocation>,
) -> Result<(), Box<dyn Error>> {
    let success = json!({"batchItemFailures": []});
    for _ in 0..count {
        let number = done.len();
        let payload = orders::payload(number as u64, batch);
        let invocation = lambda.invoke(payload, TIMEOUT).await?;
        if invocation.response.as_ref() != Ok(&success) {
            let response = format!("{:?}", invocation.response);
            return Err(UnexpectedResponse { number, response }.into());
        }
        done.push(invocation);
    }
    Ok(())
}

/// Waits until no span is missing, or the time limit is over, and returns the counts. Does not wait
/// for a function that exports nothing at all.
async fn wait_for_spans(
    collector: &TestCollector,
    invocations: &[Invocation],
    options: &Options,
) -> Result<Tally, Box<dyn Error>> {
    let deadline = Instant::now() + LATE_LIMIT;
    loop {
        let spans: Vec<Span> = collector.spans()?;
        let tally = spans::tally(&spans, invocations, options.batch);
        let is_done = tally.lost == 0 || spans.is_empty() || !options.condition.can_accept();
        if is_done || Instant::now() > deadline {
            return Ok(tally);
        }
        tokio::time::sleep(LATE_CHECK_INTERVAL).await;
    }
}

fn sorted(invocations: &[Invocation], time: impl Fn(&Invocation) -> Duration) -> Vec<Duration> {
    let mut times: Vec<Duration> = invocations.iter().map(time).collect();
    times.sort_unstable();
    times
}

/// Returns the median in microseconds, or `None` without measured invocations.
fn median(times: &[Duration]) -> Option<f64> {
    let middle = times.get(times.len() / 2)?;
    Some(milliseconds(*middle) * 1e3)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn per(sum: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}
