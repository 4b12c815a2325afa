//! One connection.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::header::CONNECTION;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tower::Service as _;

use crate::serve::CurrentPhase;
use crate::serve::activity::{Activity, RequestGuard};

/// Time limit for a request's head, which starts at the previous response. It is longer than the 60
/// seconds for which load balancers keep idle connections: if the server closed one first, the
/// balancer could send a request on it at the same moment and would respond to its client with 502.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// Time limit for a request's head that is incomplete when the grace period ends. A head is usually
/// one packet.
const SHUTDOWN_HEAD_TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum size of a request's head, after which hyper responds with 431. Tracing headers are the
/// largest that the service reads: at most 8 KiB of baggage and 512 bytes of trace state.
const MAX_HEAD_BYTES: usize = 32 * 1024;

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Serves a connection until it is closed. In the grace period, it is closed after the next
/// response; after the period, when its current request is finished.
pub(super) async fn serve(
    stream: TcpStream,
    router: Router,
    mut phase: CurrentPhase,
    activity: Arc<Activity>,
) {
    // A response is written in one piece, so delaying small packets only adds latency. The
    // connection works without the option too.
    let _ = stream.set_nodelay(true);
    let current_phase = phase.clone();
    let service = service_fn(|request: Request<Incoming>| {
        let (guard, request) = RequestGuard::start(&activity, request);
        let response = router.clone().call(request);
        let current_phase = &current_phase;
        async move {
            let mut response = response.await?;
            if current_phase.is_shutting_down() {
                // hyper closes the connection after a response with this header.
                response.headers_mut().insert(CONNECTION, CLOSE);
            }
            drop(guard);
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
    );
    // Errors are ignored: the client caused them, by disconnecting or by sending invalid HTTP.
    tokio::select! {
        // The phase changes only twice, so the connection is polled first.
        biased;
        _ = connection.as_mut() => return,
        () = phase.wait_for_draining() => connection.as_mut().graceful_shutdown(),
    }
    // hyper closes an idle connection now. It would wait for the rest of an incomplete head until
    // `HEAD_TIMEOUT`, so the wait is limited here, unless a handler is running.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = sleep(SHUTDOWN_HEAD_TIMEOUT) => {}
    }
    if activity.is_in_progress() {
        let _ = connection.await;
    }
}
