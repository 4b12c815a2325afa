//! One connection, from its first request to its end.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
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

/// How long a request's head may take, counted from the answer before it. Load balancers keep idle
/// connections for a minute and use them again: whoever closes them before answers some requests
/// with a reset, which the balancer turns into a 502.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// How long a head that has begun when the server is to stop may take to be complete. It is usually
/// one packet.
const HEAD_GRACE: Duration = Duration::from_secs(1);

/// Serves the connection until it ends, or until `stopped` says so: then its request is finished,
/// and if it has none, it is closed.
pub(super) async fn serve(stream: TcpStream, router: Router, mut stopped: watch::Receiver<()>) {
    // An answer is written at once, so there is nothing to wait for; where that cannot be set, it
    // works all the same.
    let _ = stream.set_nodelay(true);
    let busy = Busy::default();
    let service = service_fn(|request: Request<Incoming>| {
        let request_is_here = busy.enter();
        let answer = router.clone().call(request);
        async move {
            let answer = answer.await;
            drop(request_is_here);
            answer
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
    );
    // Whatever ends a connection before its time is the client's doing.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = connection.as_mut() => return,
        () = sleep(HEAD_GRACE) => {}
    }
    if busy.is_busy() {
        let _ = connection.await;
    }
}

/// Whether a request is being answered on the connection: from the end of its head on.
#[derive(Debug, Clone, Default)]
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn enter(&self) -> Entered {
        self.0.store(true, SeqCst);
        Entered(self.clone())
    }

    fn is_busy(&self) -> bool {
        self.0.load(SeqCst)
    }
}

#[derive(Debug)]
struct Entered(Busy);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.0.store(false, SeqCst);
    }
}
