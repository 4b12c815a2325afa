//! The open loop: requests start on a schedule, even if earlier ones have no response yet.
//!
//! At most as many requests as allowed are outstanding. Others that are due wait, and their latency
//! counts from their intended start. Those that still wait at the end of the run are not started.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::sleep_until;

use super::generator::{Run, Stop};
use super::schedule::Schedule;
use super::target::Connection;

/// Requests of the open loop.
#[derive(Debug)]
struct Pool {
    schedule: Schedule,
    max_outstanding: usize,
    state: Mutex<PoolState>,
    /// Notified when no request is outstanding any more.
    idle: Notify,
}

#[derive(Debug, Default)]
struct PoolState {
    /// Number of requests whose intended start has come.
    due: u64,
    started: u64,
    outstanding: usize,
    /// True at the end of the run: no further request starts.
    is_closed: bool,
    /// Open connections. The last one is used first, so that a low rate needs few of them.
    connections: Vec<Connection>,
}

/// Sends the requests of the schedule until its end or a stop, and waits for the last responses.
pub(super) async fn run(
    run: &Arc<Run>,
    schedule: Schedule,
    max_outstanding: usize,
    mut stopping: watch::Receiver<Stop>,
) {
    let pool = Arc::new(Pool {
        schedule: schedule.clone(),
        max_outstanding,
        state: Mutex::default(),
        idle: Notify::new(),
    });
    let begin = run.begin;
    let (due_sender, mut due) = watch::channel(0);
    // The thread ends when this future is dropped.
    let (_alive, ended) = mpsc::channel::<()>();
    // tokio's timers have a resolution of a millisecond, which would be part of every latency.
    thread::spawn(move || pace(&schedule, begin, &due_sender, &ended));
    let is_stopping = stopping.wait_for(|stop| *stop != Stop::No);
    let mut is_stopping = std::pin::pin!(is_stopping);
    let is_complete = loop {
        tokio::select! {
            changed = due.changed() => if changed.is_err() {
                break true;
            },
            _ = &mut is_stopping => break false,
        }
        let due = *due.borrow_and_update();
        run.due.store(due, Ordering::Relaxed);
        pool.lock().due = due;
        while let Some(request) = pool.start_with_new_task() {
            tokio::spawn(send_while_due(Arc::clone(run), Arc::clone(&pool), request));
        }
    };
    if is_complete {
        tokio::select! {
            () = pool.wait_until_idle() => {}
            () = sleep_until((run.begin + run.duration).into()) => {}
            _ = is_stopping => {}
        }
    }
    pool.lock().is_closed = true;
    pool.wait_until_idle().await;
}

/// Reports the number of due requests until all are due.
fn pace(schedule: &Schedule, begin: Instant, due: &watch::Sender<u64>, ended: &mpsc::Receiver<()>) {
    let mut count = 0;
    while let Some(start) = schedule.intended_start(count) {
        let now = begin.elapsed();
        if start > now {
            match ended.recv_timeout(start - now) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        let now = begin.elapsed().max(start);
        count += 1;
        while schedule
            .intended_start(count)
            .is_some_and(|start| start <= now)
        {
            count += 1;
        }
        if due.send(count).is_err() {
            return;
        }
    }
}

/// Sends a request, and then others that are due, if any.
async fn send_while_due(run: Arc<Run>, pool: Arc<Pool>, first: u64) {
    let mut next = Some(first);
    while let Some(request) = next {
        let mut connection = pool.lock().connections.pop();
        let intended_start = pool
            .schedule
            .intended_start(request)
            .unwrap_or(Duration::ZERO);
        run.send(request, Some(intended_start), &mut connection)
            .await;
        pool.lock().connections.extend(connection);
        next = pool.start_in_same_task();
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a request that is due, unless too many are outstanding.
    fn start_with_new_task(&self) -> Option<u64> {
        let mut state = self.lock();
        if state.outstanding >= self.max_outstanding {
            return None;
        }
        let request = state.start()?;
        state.outstanding += 1;
        Some(request)
    }

    /// Returns a request that is due in place of one that has finished.
    fn start_in_same_task(&self) -> Option<u64> {
        let mut state = self.lock();
        let request = state.start();
        if request.is_none() {
            state.outstanding -= 1;
            if state.outstanding == 0 {
                self.idle.notify_one();
            }
        }
        request
    }

    async fn wait_until_idle(&self) {
        while self.lock().outstanding > 0 {
            self.idle.notified().await;
        }
    }
}

impl PoolState {
    fn start(&mut self) -> Option<u64> {
        if self.is_closed || self.started >= self.due {
            return None;
        }
        self.started += 1;
        Some(self.started - 1)
    }
}
