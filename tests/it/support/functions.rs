//! The functions under test that have no stack around them.

use std::time::Duration;

use baton_test_support::{FakeLambda, Function, TestCollector};

/// Does what the bodies say.
pub(crate) const OBEDIENT: &str = env!("CARGO_BIN_EXE_obedient-function");

/// The timeout of functions that are not meant to run into it: many times what a busy machine
/// needs.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// A function whose spans go to this collector.
pub(crate) fn function(binary: &str, collector: &TestCollector) -> Function {
    Function::new(binary).export_to(collector)
}

/// The function, started. To be invoked, it comes up by itself.
pub(crate) async fn start(binary: &str, collector: &TestCollector) -> FakeLambda {
    FakeLambda::start(&function(binary, collector))
        .await
        .unwrap()
}

/// The function, started with more than a collector to know of.
pub(crate) async fn start_with(
    binary: &str,
    collector: &TestCollector,
    change: impl FnOnce(Function) -> Function,
) -> FakeLambda {
    FakeLambda::start(&change(function(binary, collector)))
        .await
        .unwrap()
}
