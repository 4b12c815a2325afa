//! A function whose handler follows the instructions in each message's body.
//!
//! | Field of the body | Action of the handler, in this order |
//! |---|---|
//! | `"sleep_ms": N` | sleeps asynchronously |
//! | `"block_ms": N` | blocks the thread |
//! | `"baggage": true` | copies the baggage to attributes `test.baggage.{key}` of its span |
//! | `"child": "name"` | makes a child span with this name |
//! | `"panic": true` | panics with `told to panic` |
//! | `"fail": "text"` | returns a retryable failure with `error.type` `told_to_fail` |
//! | `"refuse": "text"` | returns a permanent failure with `error.type` `told_to_refuse` |

#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::time::Duration;

use baton_lambda::{Failure, Message};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use serde::Deserialize;
use tokio::runtime;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Instructions {
    sleep_ms: u64,
    block_ms: u64,
    baggage: bool,
    child: Option<String>,
    panic: bool,
    fail: Option<String>,
    refuse: Option<String>,
}

/// Runs the function on several threads if Lambda sends concurrent invocations, else on one.
fn main() -> Result<(), Box<dyn Error>> {
    let mut runtime = match env::var_os("AWS_LAMBDA_MAX_CONCURRENCY") {
        None => runtime::Builder::new_current_thread(),
        Some(_) => runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    Ok(runtime.block_on(baton_lambda::run(handle))?)
}

async fn handle(message: Message<Instructions>) -> Result<(), Failure> {
    let instructions = message.body;
    if instructions.sleep_ms > 0 {
        tokio::time::sleep(Duration::from_millis(instructions.sleep_ms)).await;
    }
    if instructions.block_ms > 0 {
        std::thread::sleep(Duration::from_millis(instructions.block_ms));
    }
    if instructions.baggage {
        copy_baggage();
    }
    if let Some(name) = instructions.child {
        global::tracer("scripted-function").in_span(name, |_| {});
    }
    assert!(!instructions.panic, "told to panic");
    if let Some(text) = instructions.fail {
        return Err(Failure::retry("told_to_fail", text));
    }
    match instructions.refuse {
        Some(text) => Err(Failure::permanent("told_to_refuse", text)),
        None => Ok(()),
    }
}

/// Copies the baggage to attributes of the current span.
fn copy_baggage() {
    let context = Context::current();
    for (key, (value, _)) in context.baggage() {
        let name = format!("test.baggage.{key}");
        let attribute = KeyValue::new(name, value.as_str().to_owned());
        context.span().set_attribute(attribute);
    }
}
