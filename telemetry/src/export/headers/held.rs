//! Fetched headers, held for all signals, and fetched again when they are not good any more.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName};
use opentelemetry::Context;
use opentelemetry::trace::FutureExt as _;
use tokio::sync::Mutex as Turn;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::HeaderSource;
use crate::config::HEADERS_SECRET;
use crate::logs;

/// How long the start of a process waits for the first fetch. It takes a tenth of a second, and
/// Lambda gives the start ten.
///
/// The start waits, and not the first flush: it has a whole processor however small the function
/// is, and where environments are made in advance nobody waits for it. A fetch that merely began
/// there could be frozen half way.
const START_TIMEOUT: Duration = Duration::from_secs(2);
/// Least time from a renewal to the next. A collector that refuses the renewed key as well will not
/// take it a second later.
const RENEW_PAUSE: Duration = Duration::from_secs(60);
/// Least time between a fetch that failed and the next one.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(10);
/// A fetch gets this part of the time that a flush has left. The rest is for sending again, or for
/// the spill.
const PART_OF_FLUSH: u32 = 2;

/// Headers of which version, so that a user of older ones knows. Version 0 is none.
#[derive(Clone)]
pub(crate) struct Renewed {
    pub(crate) version: u64,
    pub(crate) headers: HeaderMap,
}

/// What a source has answered last.
pub(crate) struct HeldHeaders {
    source: Box<dyn HeaderSource>,
    state: Mutex<State>,
    /// Held by the one who fetches. Whoever waits for it finds what was fetched.
    turn: Turn<()>,
}

struct State {
    current: Renewed,
    /// On the wall clock, which goes on while the process is frozen.
    last: Option<Attempt>,
}

#[derive(Clone, Copy)]
struct Attempt {
    at: SystemTime,
    pause: Duration,
}

impl Attempt {
    fn now(pause: Duration) -> Self {
        let at = SystemTime::now();
        Self { at, pause }
    }
}

/// Names the source, and shows nothing of what it has answered.
impl fmt::Debug for HeldHeaders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("HeldHeaders");
        debug.field("source", &self.source);
        debug.field("version", &self.state().current.version);
        debug.finish_non_exhaustive()
    }
}

impl HeldHeaders {
    pub(crate) fn new(source: Box<dyn HeaderSource>) -> Self {
        let current = Renewed {
            version: 0,
            headers: HeaderMap::new(),
        };
        Self {
            source,
            state: Mutex::new(State {
                current,
                last: None,
            }),
            turn: Turn::new(()),
        }
    }

    /// The first fetch, for the start of a process. What it does not get, the first flush tries to.
    pub(crate) async fn start(&self) {
        let deadline = Instant::now() + START_TIMEOUT;
        self.fetch(0, deadline).await;
    }

    /// The headers, if they are newer than version `known`: whoever knows none has them fetched
    /// when that has failed so far.
    pub(crate) async fn newer_than(&self, known: u64, deadline: Instant) -> Option<Renewed> {
        if self.state().current.version == 0 {
            self.renew(known, deadline).await
        } else {
            self.already_newer(known)
        }
    }

    /// The headers, fetched again unless they are newer than version `refused` by now, by another
    /// signal's doing.
    ///
    /// `None` when there are no newer ones: the last fetch was too short a time ago, this one
    /// failed, or its part of the time until `deadline` was up. Several callers wait for one fetch.
    pub(crate) async fn renew(&self, refused: u64, deadline: Instant) -> Option<Renewed> {
        if let Some(renewed) = self.already_newer(refused) {
            return Some(renewed);
        }
        let now = Instant::now();
        let part = deadline.saturating_duration_since(now) / PART_OF_FLUSH;
        self.fetch(refused, now + part).await;
        self.already_newer(refused)
    }

    fn already_newer(&self, known: u64) -> Option<Renewed> {
        let state = self.state();
        (state.current.version > known).then(|| state.current.clone())
    }

    fn is_resting(&self) -> bool {
        let last = self.state().last;
        // A clock that was set back must not put the next fetch off for ever.
        last.is_some_and(|last| last.at.elapsed().is_ok_and(|time| time < last.pause))
    }

    /// On the heap, because a future of every export contains it and hardly any uses it.
    fn fetch(
        &self,
        known: u64,
        deadline: Instant,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let Ok(_turn) = timeout_at(deadline, self.turn.lock()).await else {
                return;
            };
            if self.already_newer(known).is_some() || self.is_resting() {
                return;
            }
            // Before the answer, for a fetch that is given up counts as well.
            self.state().last = Some(Attempt::now(RETRY_PAUSE));
            // What a source does by itself is not part of any trace.
            let suppressed = Context::new().with_telemetry_suppressed();
            match timeout_at(deadline, self.source.fetch().with_context(suppressed)).await {
                Ok(Ok(headers)) => self.accept(headers),
                Ok(Err(error)) => tell(&logs::chain(&*error)),
                Err(_) => tell("no answer within the time for it"),
            }
        })
    }

    fn accept(&self, mut headers: HeaderMap) {
        for value in headers.values_mut() {
            value.set_sensitive(true);
        }
        let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        info!(
            header_names = names.join(","),
            "headers of the export fetched"
        );
        let mut state = self.state();
        let pause = match state.current.version {
            0 => Duration::ZERO,
            _ => RENEW_PAUSE,
        };
        state.last = Some(Attempt::now(pause));
        // Headers that were refused already are no newer ones.
        if state.current.version == 0 || state.current.headers != headers {
            state.current.version += 1;
            state.current.headers = headers;
        }
    }

    /// Lets so much time pass.
    #[cfg(test)]
    pub(super) fn set_back(&self, time: Duration) {
        if let Some(last) = &mut self.state().last {
            last.at -= time;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(reason: &str) {
    warn!(
        variable = HEADERS_SECRET,
        next_try_in_seconds = RETRY_PAUSE.as_secs(),
        "{HEADERS_SECRET}: the headers could not be fetched: {reason}"
    );
}
