//! Functions under the fake Lambda.

use std::time::Duration;

use baton_test_support::{FakeLambda, Function, TestCollector};

/// The function whose handler follows the instructions in each message's body.
pub(crate) const SCRIPTED: &str = env!("CARGO_BIN_EXE_scripted-function");

/// Timeout of functions that are not supposed to exceed it: many times what a busy machine needs.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// Returns a function that exports to this collector.
pub(crate) fn function(binary: &str, collector: &TestCollector) -> Function {
    Function::new(binary).export_to(collector)
}

/// Starts the function.
pub(crate) async fn start(binary: &str, collector: &TestCollector) -> FakeLambda {
    FakeLambda::start(&function(binary, collector))
        .await
        .unwrap()
}

/// Starts the function with further settings.
pub(crate) async fn start_with(
    binary: &str,
    collector: &TestCollector,
    change: impl FnOnce(Function) -> Function,
) -> FakeLambda {
    FakeLambda::start(&change(function(binary, collector)))
        .await
        .unwrap()
}
