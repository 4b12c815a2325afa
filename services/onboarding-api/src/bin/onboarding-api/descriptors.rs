//! The limit of open file descriptors. Each connection needs one.

use onboarding_api::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Descriptors for the listener, the log, the runtime, and connections to the collector.
const RESERVED: u64 = 64;

/// The maximum number of batches in flight, each with its own connection, and the check of the
/// queue.
const CONNECTIONS_TO_SQS: u64 = 33;

/// Raises the soft limit if the connections need more descriptors than it allows. Its default is
/// 1024 on many systems. If the hard limit is too low as well, fewer connections are allowed.
pub(crate) fn adapt(limits: Limits) -> Limits {
    let others = CONNECTIONS_TO_SQS + RESERVED;
    let needed = limits.max_connections as u64 + others;
    let available = raise_to(needed);
    if available >= needed {
        return limits;
    }
    let max_connections = available.saturating_sub(others).max(available / 2);
    warn!(
        descriptors = available,
        needed, max_connections, "MAX_CONNECTIONS reduced: too few file descriptors"
    );
    Limits {
        max_connections: usize::try_from(max_connections).unwrap_or(limits.max_connections),
        ..limits
    }
}

/// Raises the soft limit to `needed` or the hard limit, and returns the new soft limit.
fn raise_to(needed: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` means that there is no limit.
    let (current, maximum) = (current.unwrap_or(u64::MAX), maximum.unwrap_or(u64::MAX));
    if current >= needed {
        return current;
    }
    let raised = needed.min(maximum);
    let limit = Rlimit {
        current: Some(raised),
        maximum: Some(maximum),
    };
    setrlimit(Resource::Nofile, limit).map_or(current, |()| raised)
}
