//! Fetched headers, shared by all signals and fetched again when the collector rejects them.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName};
use opentelemetry::Context;
use opentelemetry::trace::FutureExt as _;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::HeaderSource;
use crate::config::HEADERS_SECRET;
use crate::error_chain::ErrorChain;
use crate::transport::Transport;

/// Time that the start of a process waits for the first fetch. The fetch takes a tenth of a second,
/// and Lambda limits the start to ten seconds.
///
/// The start waits rather than the first flush: during it even a small function has a whole
/// processor, and with provisioned concurrency the wait delays no message. A fetch that had only
/// begun by the end of the start could be frozen half way.
const START_TIMEOUT: Duration = Duration::from_secs(2);
/// Minimum time between two refetches. A collector that rejects the new key as well will not accept
/// it a second later.
const REFETCH_INTERVAL: Duration = Duration::from_secs(60);
/// Minimum time between a failed fetch and the next one.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// A fetch may take `1 / FETCH_SHARE` of a flush's remaining time. The rest is for sending the
/// request again, or for spilling its spans.
const FETCH_SHARE: u32 = 2;

/// Headers and their version. Version 0 means that no headers have been fetched.
#[derive(Clone)]
pub(super) struct VersionedHeaders {
    pub(super) version: u64,
    pub(super) headers: HeaderMap,
}

/// The latest headers of a source.
pub(crate) struct FetchedHeaders {
    source: Box<dyn HeaderSource>,
    state: Mutex<FetchState>,
    /// Held during a fetch. A caller that has waited for it finds the result of that fetch.
    fetching: tokio::sync::Mutex<()>,
}

struct FetchState {
    current: VersionedHeaders,
    last_attempt: Option<FetchAttempt>,
}

#[derive(Clone, Copy)]
struct FetchAttempt {
    /// On the wall clock, which advances while the process is frozen.
    at: SystemTime,
    /// Minimum time until the next attempt.
    pause: Duration,
}

impl FetchAttempt {
    fn now(pause: Duration) -> Self {
        let at = SystemTime::now();
        Self { at, pause }
    }
}

/// Shows the source, but none of the headers.
impl fmt::Debug for FetchedHeaders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("FetchedHeaders");
        debug.field("source", &self.source);
        debug.field("version", &self.state().current.version);
        debug.finish_non_exhaustive()
    }
}

impl FetchedHeaders {
    pub(crate) fn new(source: Box<dyn HeaderSource>) -> Self {
        let current = VersionedHeaders {
            version: 0,
            headers: HeaderMap::new(),
        };
        Self {
            source,
            state: Mutex::new(FetchState {
                current,
                last_attempt: None,
            }),
            fetching: tokio::sync::Mutex::new(()),
        }
    }

    /// Fetches the headers at the start of a process. If that fails, the first flush tries again.
    pub(crate) async fn fetch_first(&self) {
        let deadline = Instant::now() + START_TIMEOUT;
        self.fetch(0, deadline).await;
    }

    /// Returns the headers if they are newer than version `known`. Fetches them if no fetch has
    /// succeeded so far.
    pub(super) async fn newer_than(
        &self,
        known: u64,
        deadline: Instant,
    ) -> Option<VersionedHeaders> {
        if self.state().current.version == 0 {
            self.refetch(known, deadline).await
        } else {
            self.cached_newer_than(known)
        }
    }

    /// Fetches the headers again, unless another signal has already fetched newer ones than version
    /// `rejected`. Concurrent callers wait for one fetch.
    ///
    /// Returns `None` if there are no newer headers: the last fetch was too recent, this one
    /// failed, or its share of the time until `deadline` was used up.
    pub(super) async fn refetch(
        &self,
        rejected: u64,
        deadline: Instant,
    ) -> Option<VersionedHeaders> {
        if let Some(newer) = self.cached_newer_than(rejected) {
            return Some(newer);
        }
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) / FETCH_SHARE;
        self.fetch(rejected, now + share).await;
        self.cached_newer_than(rejected)
    }

    fn cached_newer_than(&self, known: u64) -> Option<VersionedHeaders> {
        let state = self.state();
        (state.current.version > known).then(|| state.current.clone())
    }

    fn is_pausing(&self) -> bool {
        let last = self.state().last_attempt;
        // A clock that was set back must not postpone the next fetch indefinitely.
        last.is_some_and(|last| last.at.elapsed().is_ok_and(|time| time < last.pause))
    }

    /// Fetches the headers, unless newer ones than `known` are available or the pause is not over.
    /// The future is boxed, because the future of every export contains it and hardly any uses it.
    fn fetch(
        &self,
        known: u64,
        deadline: Instant,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let Ok(_fetching) = timeout_at(deadline, self.fetching.lock()).await else {
                return;
            };
            if self.cached_newer_than(known).is_some() || self.is_pausing() {
                return;
            }
            // Recorded before the response arrives, because a cancelled fetch counts as well.
            self.state().last_attempt = Some(FetchAttempt::now(RETRY_INTERVAL));
            // The requests of a source do not belong to any trace.
            let suppressed = Context::new().with_telemetry_suppressed();
            match timeout_at(deadline, self.source.fetch().with_context(suppressed)).await {
                Ok(Ok(headers)) => self.accept(headers),
                Ok(Err(error)) => log_failure(&ErrorChain::new(&*error).to_text()),
                Err(_) => log_failure("timed out"),
            }
        })
    }

    fn accept(&self, mut headers: HeaderMap) {
        for value in headers.values_mut() {
            value.set_sensitive(true);
        }
        let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        info!(header_names = names.join(","), "export headers fetched");
        let mut state = self.state();
        let pause = match state.current.version {
            0 => Duration::ZERO,
            _ => REFETCH_INTERVAL,
        };
        state.last_attempt = Some(FetchAttempt::now(pause));
        // Unchanged headers get no new version, because the collector has already rejected them.
        if state.current.version == 0 || state.current.headers != headers {
            state.current.version += 1;
            state.current.headers = headers;
        }
    }

    /// Makes the last attempt appear older by `time`.
    #[cfg(test)]
    pub(super) fn advance(&self, time: Duration) {
        if let Some(last) = &mut self.state().last_attempt {
            last.at -= time;
        }
    }

    fn state(&self) -> MutexGuard<'_, FetchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_failure(reason: &str) {
    warn!(
        variable = HEADERS_SECRET,
        next_try_in_seconds = RETRY_INTERVAL.as_secs(),
        "{HEADERS_SECRET}: the headers could not be fetched: {reason}"
    );
}

/// Keeps the headers of one signal's transport up to date.
#[derive(Debug)]
pub(crate) struct TransportHeaders {
    fetched: Arc<FetchedHeaders>,
    /// Version of the headers that the transport sends; 0 for those of the environment alone.
    version: AtomicU64,
}

impl TransportHeaders {
    pub(crate) fn new(fetched: Arc<FetchedHeaders>) -> Self {
        Self {
            fetched,
            version: AtomicU64::new(0),
        }
    }

    /// Sets the latest headers and returns their version.
    pub(crate) async fn update(&self, transport: &Transport, deadline: Instant) -> u64 {
        let known = self.version.load(Relaxed);
        match self.fetched.newer_than(known, deadline).await {
            Some(newer) => self.apply(transport, newer),
            None => known,
        }
    }

    /// Fetches headers again after the collector has rejected those of version `rejected`. Returns
    /// true if the transport now sends newer ones.
    pub(crate) async fn refetch(
        &self,
        transport: &Transport,
        rejected: u64,
        deadline: Instant,
    ) -> bool {
        let newer = self.fetched.refetch(rejected, deadline).await;
        newer.map(|newer| self.apply(transport, newer)).is_some()
    }

    fn apply(&self, transport: &Transport, newer: VersionedHeaders) -> u64 {
        transport.set_headers(newer.headers);
        self.version.store(newer.version, Relaxed);
        newer.version
    }
}
