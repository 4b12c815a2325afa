//! A function whose handler does what each message's body says, so that a test can have any course
//! of events.
//!
//! | Field of the body | What the handler does, in this order |
//! |---|---|
//! | `"sleep_ms": N` | waits, and lets others go on |
//! | `"block_ms": N` | blocks the thread |
//! | `"baggage": true` | puts the baggage that it finds on its span, as attributes `test.baggage.{key}` |
//! | `"child": "name"` | makes a span of this name inside its own |
//! | `"panic": true` | panics with `told to panic` |
//! | `"fail": "text"` | fails, retryable, with `error.type` `told_to_fail` |
//! | `"refuse": "text"` | fails for good, with `error.type` `told_to_refuse` |

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
struct Order {
    sleep_ms: u64,
    block_ms: u64,
    baggage: bool,
    child: Option<String>,
    panic: bool,
    fail: Option<String>,
    refuse: Option<String>,
}

/// On one thread, or on several where Lambda says that invocations come side by side.
fn main() -> Result<(), Box<dyn Error>> {
    let mut runtime = match env::var_os("AWS_LAMBDA_MAX_CONCURRENCY") {
        None => runtime::Builder::new_current_thread(),
        Some(_) => runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    Ok(runtime.block_on(baton_lambda::run(obey))?)
}

async fn obey(message: Message<Order>) -> Result<(), Failure> {
    let order = message.body;
    if order.sleep_ms > 0 {
        tokio::time::sleep(Duration::from_millis(order.sleep_ms)).await;
    }
    if order.block_ms > 0 {
        std::thread::sleep(Duration::from_millis(order.block_ms));
    }
    if order.baggage {
        show_baggage();
    }
    if let Some(name) = order.child {
        global::tracer("obedient-function").in_span(name, |_| {});
    }
    assert!(!order.panic, "told to panic");
    if let Some(text) = order.fail {
        return Err(Failure::retry("told_to_fail", text));
    }
    match order.refuse {
        Some(text) => Err(Failure::permanent("told_to_refuse", text)),
        None => Ok(()),
    }
}

fn show_baggage() {
    let context = Context::current();
    for (key, (value, _)) in context.baggage() {
        let name = format!("test.baggage.{key}");
        let shown = KeyValue::new(name, value.as_str().to_owned());
        context.span().set_attribute(shown);
    }
}
