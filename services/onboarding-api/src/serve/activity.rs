//! The activity of a connection.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use http::Request;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// State of a connection that may not be closed, because a message may be sent for its request.
const PROTECTED: u64 = u64::MAX;
/// State of a connection that is being closed.
const CLOSED: u64 = u64::MAX - 1;

/// The activity of a connection, which its task and the accept loop share.
#[derive(Debug)]
pub(super) struct Activity {
    /// Set from the end of a request's head to its response.
    in_progress: AtomicBool,
    /// `PROTECTED`, `CLOSED`, or the position of the last response (or of the connection's start)
    /// in the order of all connections.
    state: AtomicU64,
    /// The next position. All connections share it.
    next: Arc<AtomicU64>,
}

impl Activity {
    pub(super) fn new(next: Arc<AtomicU64>) -> Self {
        Self {
            in_progress: AtomicBool::new(false),
            state: AtomicU64::new(next.fetch_add(1, Relaxed)),
            next,
        }
    }

    pub(super) fn is_in_progress(&self) -> bool {
        self.in_progress.load(SeqCst)
    }

    /// Returns the position of the last response, or `None` if the connection may not be closed.
    pub(super) fn idle_position(&self) -> Option<u64> {
        Some(self.state.load(SeqCst)).filter(|state| *state < CLOSED)
    }

    /// Returns `true` if the connection may be closed, and keeps it from handling another request.
    pub(super) fn try_close(&self) -> bool {
        self.idle_position().is_some_and(|position| {
            let closed = self
                .state
                .compare_exchange(position, CLOSED, SeqCst, SeqCst);
            closed.is_ok()
        })
    }

    /// Protects the connection until the response. Returns `false` if it is being closed.
    fn protect(&self) -> bool {
        let protect = |state| (state != CLOSED).then_some(PROTECTED);
        self.state.fetch_update(SeqCst, SeqCst, protect).is_ok()
    }

    fn finish(&self) {
        self.in_progress.store(false, SeqCst);
        let position = self.next.fetch_add(1, Relaxed);
        let finish = |state| (state != CLOSED).then_some(position);
        // The update fails if the connection is being closed.
        let _ = self.state.fetch_update(SeqCst, SeqCst, finish);
    }
}

/// A request in progress. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct RequestGuard(Arc<Activity>);

impl RequestGuard {
    /// Starts a request, and returns it with a body that protects the connection once it has been
    /// received.
    pub(super) fn start(
        activity: &Arc<Activity>,
        request: Request<Incoming>,
    ) -> (Self, Request<ReceivedBody>) {
        activity.in_progress.store(true, SeqCst);
        // A safe method sends no message, so its connection may be closed at any time.
        let may_send = !request.method().is_safe();
        if may_send && request.body().is_end_stream() {
            activity.protect();
        }
        let request = request.map(|incoming| ReceivedBody {
            incoming,
            activity: Arc::clone(activity),
            may_send,
        });
        (Self(Arc::clone(activity)), request)
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// A request's body. Its end protects the connection.
#[derive(Debug)]
pub(super) struct ReceivedBody {
    incoming: Incoming,
    activity: Arc<Activity>,
    may_send: bool,
}

/// The connection is closed to make room for others.
#[derive(Debug, thiserror::Error)]
#[error("the connection is being closed")]
struct ConnectionClosed;

impl Body for ReceivedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
        let is_received = frame.is_none() || self.incoming.is_end_stream();
        if self.may_send && is_received && !self.activity.protect() {
            return Poll::Ready(Some(Err(ConnectionClosed.into())));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
