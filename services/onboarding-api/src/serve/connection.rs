//! One connection.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;
use tower::Service as _;

/// Time limit for a request's head, which starts at the previous response. It is longer than the 60
/// seconds for which load balancers keep idle connections: if the server closed one first, the
/// balancer could send a request on it at the same moment and would respond to its client with 502.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// Time limit for a request's head that is incomplete when shutdown begins. A head is usually one
/// packet.
const SHUTDOWN_HEAD_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves a connection until it is closed. After shutdown begins, its current request is finished,
/// and the connection is closed.
pub(super) async fn serve(
    stream: TcpStream,
    router: Router,
    mut shutdown_started: watch::Receiver<()>,
) {
    // A response is written in one piece, so delaying small packets only adds latency. The
    // connection works without the option too.
    let _ = stream.set_nodelay(true);
    let in_progress = RequestFlag::default();
    let service = service_fn(|request: Request<Incoming>| {
        let guard = in_progress.set();
        let response = router.clone().call(request);
        async move {
            let response = response.await;
            drop(guard);
            response
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
    );
    // Errors are ignored: the client caused them, by disconnecting or by sending invalid HTTP.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = shutdown_started.changed() => connection.as_mut().graceful_shutdown(),
    }
    // hyper closes an idle connection now. It would wait for the rest of an incomplete head until
    // `HEAD_TIMEOUT`, so the wait is limited here, unless a handler is running.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = sleep(SHUTDOWN_HEAD_TIMEOUT) => {}
    }
    if in_progress.is_set() {
        let _ = connection.await;
    }
}

/// Flag that is set while a request is in progress on the connection: from the end of its head to
/// its response.
#[derive(Debug, Clone, Default)]
struct RequestFlag(Arc<AtomicBool>);

impl RequestFlag {
    /// Sets the flag until the guard is dropped.
    fn set(&self) -> RequestFlagGuard {
        self.0.store(true, SeqCst);
        RequestFlagGuard(self.clone())
    }

    fn is_set(&self) -> bool {
        self.0.load(SeqCst)
    }
}

#[derive(Debug)]
struct RequestFlagGuard(RequestFlag);

impl Drop for RequestFlagGuard {
    fn drop(&mut self) {
        self.0.0.store(false, SeqCst);
    }
}
