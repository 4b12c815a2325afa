//! What the kernel says about a process.

use std::fs;
use std::io;
use std::time::Duration;

/// Between two looks at a process that should have come to rest.
const LOOK: Duration = Duration::from_millis(2);
/// Looks, after which a process is taken as it is: some never rest.
const LOOKS: usize = 100;

/// Why something cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}")]
pub(crate) struct Unreadable {
    path: String,
    #[source]
    source: io::Error,
}

/// Nanoseconds of processor time of all threads that live, once the process rests: the kernel books
/// them when a thread stops running.
pub(crate) async fn processor_time(process: u32) -> Result<u64, Unreadable> {
    let mut before = threads_time(process)?;
    for _ in 0..LOOKS {
        tokio::time::sleep(LOOK).await;
        let now = threads_time(process)?;
        if now == before {
            break;
        }
        before = now;
    }
    Ok(before)
}

fn threads_time(process: u32) -> Result<u64, Unreadable> {
    let mut sum = 0;
    for thread in threads(process)? {
        // A thread that has ended since is not counted, nor will it be at the next look.
        let text = fs::read_to_string(format!("{thread}/schedstat")).unwrap_or_default();
        let on_processor = text.split_whitespace().next();
        sum += on_processor
            .and_then(|time| time.parse::<u64>().ok())
            .unwrap_or(0);
    }
    Ok(sum)
}

/// How many threads the process has.
pub(crate) fn thread_count(process: u32) -> Result<usize, Unreadable> {
    Ok(threads(process)?.len())
}

fn threads(process: u32) -> Result<Vec<String>, Unreadable> {
    let path = format!("/proc/{process}/task");
    let unreadable = |source| Unreadable {
        path: path.clone(),
        source,
    };
    let entries = fs::read_dir(&path).map_err(unreadable)?;
    let paths = entries.map(|entry| Ok(entry.map_err(unreadable)?.path().display().to_string()));
    paths.collect()
}

/// The most memory that the process has had, in kilobytes.
pub(crate) fn peak_memory(process: u32) -> Result<u64, Unreadable> {
    memory(process, "VmHWM:")
}

/// Returns the current resident memory of the process, in kilobytes.
pub(crate) fn resident_memory(process: u32) -> Result<u64, Unreadable> {
    memory(process, "VmRSS:")
}

/// Reads one figure of `/proc/PID/status`.
fn memory(process: u32, name: &str) -> Result<u64, Unreadable> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).map_err(|source| Unreadable { path, source })?;
    let figure = text.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = figure.and_then(|figure| figure.trim().strip_suffix("kB"));
    Ok(kilobytes
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0))
}
