//! Counters of the kernel for a process.

use std::fs;
use std::io;
use std::time::Duration;

/// Time between two checks whether a process is idle.
const IDLE_CHECK_INTERVAL: Duration = Duration::from_millis(2);
/// Number of checks after which the process is measured anyway, because some processes are never
/// idle.
const MAX_IDLE_CHECKS: usize = 100;

/// Error in reading a file of `/proc`.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}")]
pub(crate) struct ProcfsError {
    path: String,
    #[source]
    source: io::Error,
}

/// Waits until the process is idle, and returns the processor time of its living threads in
/// nanoseconds. The kernel updates this counter when a thread stops running.
pub(crate) async fn processor_time(process: u32) -> Result<u64, ProcfsError> {
    let mut before = threads_time(process)?;
    for _ in 0..MAX_IDLE_CHECKS {
        tokio::time::sleep(IDLE_CHECK_INTERVAL).await;
        let now = threads_time(process)?;
        if now == before {
            break;
        }
        before = now;
    }
    Ok(before)
}

fn threads_time(process: u32) -> Result<u64, ProcfsError> {
    let mut sum = 0;
    for thread in threads(process)? {
        // A thread that has exited since is counted neither now nor in the next check.
        let text = fs::read_to_string(format!("{thread}/schedstat")).unwrap_or_default();
        let on_processor = text.split_whitespace().next();
        sum += on_processor
            .and_then(|time| time.parse::<u64>().ok())
            .unwrap_or(0);
    }
    Ok(sum)
}

/// Returns the number of threads of the process.
pub(crate) fn thread_count(process: u32) -> Result<usize, ProcfsError> {
    Ok(threads(process)?.len())
}

fn threads(process: u32) -> Result<Vec<String>, ProcfsError> {
    let path = format!("/proc/{process}/task");
    let unreadable = |source| ProcfsError {
        path: path.clone(),
        source,
    };
    let entries = fs::read_dir(&path).map_err(unreadable)?;
    let paths = entries.map(|entry| Ok(entry.map_err(unreadable)?.path().display().to_string()));
    paths.collect()
}

/// Returns the peak resident memory of the process in kilobytes.
pub(crate) fn peak_memory(process: u32) -> Result<u64, ProcfsError> {
    memory(process, "VmHWM:")
}

/// Returns the current resident memory of the process in kilobytes.
pub(crate) fn resident_memory(process: u32) -> Result<u64, ProcfsError> {
    memory(process, "VmRSS:")
}

/// Reads a field of `/proc/PID/status`.
fn memory(process: u32, name: &str) -> Result<u64, ProcfsError> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).map_err(|source| ProcfsError { path, source })?;
    let figure = text.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = figure.and_then(|figure| figure.trim().strip_suffix("kB"));
    Ok(kilobytes
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0))
}
