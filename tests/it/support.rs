//! Support of the tests.

use std::time::Duration;

pub(crate) mod binaries;
pub(crate) mod functions;
pub(crate) mod http;
pub(crate) mod processes;
pub(crate) mod producer;
pub(crate) mod queue;
pub(crate) mod recording_server;
pub(crate) mod spans;
pub(crate) mod spill;
pub(crate) mod stack;

/// Time between two checks of a condition.
const INTERVAL: Duration = Duration::from_millis(50);
/// Number of checks before a test fails: several times the number that a busy machine with one core
/// needs.
const ATTEMPTS: usize = 600;

/// Calls `check` until it returns a value, and fails the test if it does not in time.
pub(crate) async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..ATTEMPTS {
        if let Some(value) = check().await {
            return value;
        }
        tokio::time::sleep(INTERVAL).await;
    }
    panic!(
        "not within {:?}: {what}",
        INTERVAL * u32::try_from(ATTEMPTS).unwrap()
    );
}
