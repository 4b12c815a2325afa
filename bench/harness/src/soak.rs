//! A soak run: invokes one process many times to detect memory that grows with each invocation.

use std::error::Error;

use baton_test_support::{CollectorResponse, FakeLambda, TestCollector};
use serde_json::{Value, json};

use crate::options::Options;
use crate::run::{self, EXIT_LIMIT};
use crate::{procfs, spans};

/// Invocations between two checks of the spans. Checked spans are discarded so that the harness
/// itself does not grow.
const CHUNK: u64 = 1_000;
/// The first tenth of the invocations is warm-up, in which the allocator, buffers and pools reach
/// their final size.
const SETTLING_SHARE: u64 = 10;

/// Error: records whose spans were not received.
#[derive(Debug, thiserror::Error)]
#[error("{lost} of {records} spans were not received")]
struct LostSpans {
    lost: usize,
    records: u64,
}

/// Runs the command as a function, invokes it `count` times, and describes its memory as one line
/// of JSON.
pub(crate) async fn run(options: &Options, count: u64) -> Result<Value, Box<dyn Error>> {
    let collector = TestCollector::start(CollectorResponse::Ok).await?;
    let lambda = FakeLambda::start(&run::function(options, &collector)).await?;
    lambda.wait_until_ready().await?;
    let settled = count / SETTLING_SHARE;
    let mut settled_kb = None;
    let mut done = 0;
    while done < count {
        done += chunk(options, &lambda, &collector).await?;
        if done >= settled && settled_kb.is_none() {
            settled_kb = Some(procfs::resident_memory(lambda.process_id())?);
        }
    }
    let resident_kb = procfs::resident_memory(lambda.process_id())?;
    let exit = lambda.terminate(EXIT_LIMIT).await;
    Ok(json!({
        "label": options.label,
        "batch": options.batch,
        "invocations": done,
        "settled_kb": settled_kb,
        "resident_kb": resident_kb,
        "killed": exit.killed,
    }))
}

/// Invokes the function [`CHUNK`] times. A function that exports at all must export the span of
/// every record.
async fn chunk(
    options: &Options,
    lambda: &FakeLambda,
    collector: &TestCollector,
) -> Result<u64, Box<dyn Error>> {
    let mut invocations = Vec::new();
    run::invoke(lambda, options.batch, CHUNK, &mut invocations).await?;
    let spans = collector.spans()?;
    let lost = spans::tally(&spans, &invocations, options.batch).lost;
    if lost > 0 && !spans.is_empty() {
        let records = CHUNK * options.batch;
        return Err(LostSpans { lost, records }.into());
    }
    collector.clear();
    Ok(CHUNK)
}
