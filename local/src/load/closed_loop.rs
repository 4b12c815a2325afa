//! The closed loop: a fixed number of connections, each of which waits for a response before its
//! next request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::generator::{Run, Stop};
use super::request_error::RequestErrorKind;

/// Pause of a connection after an error that takes no time. Otherwise a target that stops would
/// cause thousands of errors per second.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Sends requests until the end of the run or a stop, and waits for the last responses.
pub(super) async fn run(run: &Arc<Run>, connections: usize, stopping: watch::Receiver<Stop>) {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        tasks.spawn(send_in_turn(
            Arc::clone(run),
            Arc::clone(&next),
            stopping.clone(),
        ));
    }
    while tasks.join_next().await.is_some() {}
}

async fn send_in_turn(run: Arc<Run>, next: Arc<AtomicU64>, stopping: watch::Receiver<Stop>) {
    let mut connection = None;
    while run.begin.elapsed() < run.duration && *stopping.borrow() == Stop::No {
        let request = next.fetch_add(1, Ordering::Relaxed);
        match run.send(request, None, &mut connection).await {
            None | Some(RequestErrorKind::TimedOut) => {}
            Some(_) => sleep(PAUSE_AFTER_ERROR).await,
        }
    }
}
