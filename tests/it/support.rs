//! What the scenarios stand on.

use std::time::Duration;

pub(crate) mod binaries;
pub(crate) mod functions;
pub(crate) mod http;
pub(crate) mod processes;
pub(crate) mod producer;
pub(crate) mod queue;
pub(crate) mod recorder;
pub(crate) mod spans;
pub(crate) mod spill;
pub(crate) mod stack;

/// How often a condition is looked at, and how long it may take to come true: several times what a
/// busy machine with one core needs.
const INTERVAL: Duration = Duration::from_millis(50);
const ATTEMPTS: usize = 600;

/// Looks again and again until there is something to see, and fails the test when there never is.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..ATTEMPTS {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::time::sleep(INTERVAL).await;
    }
    panic!(
        "not seen within {:?}: {what}",
        INTERVAL * u32::try_from(ATTEMPTS).unwrap()
    );
}
