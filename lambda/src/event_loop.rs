//! The loop that polls Lambda for events.
//!
//! This loop replaces the one in `lambda_runtime`, which sets `_X_AMZN_TRACE_ID` with `setenv` for
//! each invocation: glibc never frees a value that was set. [`TraceIdVariable`] sets the variable
//! without that leak. The rest of `lambda_runtime` is used unchanged: it reads the event, catches
//! panics, and sends responses and errors.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use lambda_runtime::{Config, Context, Error, LambdaInvocation, Runtime};
use lambda_runtime_api_client::body::Body;
use lambda_runtime_api_client::{PooledClient, build_request};
use tokio::task::JoinSet;
use tower::{Service, ServiceExt as _};
use tracing::error;

use crate::trace_variable::TraceIdVariable;

const NEXT: &str = "/2018-06-01/runtime/invocation/next";
const RESTORE: &str = "/2018-06-01/runtime/restore/next";
const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
const DEADLINE: &str = "lambda-runtime-deadline-ms";

/// Handles events until the Runtime API fails: one after another, or up to `max_concurrency` at the
/// same time.
///
/// # Errors
///
/// Returns an error if a request to the Runtime API fails, or if its response is not an event. With
/// several loops, the others continue, and the last error is returned.
pub(crate) async fn run<S>(runtime: Runtime<S>, max_concurrency: NonZeroUsize) -> Result<(), Error>
where
    S: Service<LambdaInvocation, Response = (), Error = Error> + Clone + Send + 'static,
    S::Future: Send,
{
    if runtime.is_snapstart() {
        // A separate client, because its connection does not survive the snapshot.
        let client = PooledClient::builder().build();
        get(&client, RESTORE).await?;
    }
    let Some(service) = into_service(runtime) else {
        return Err("lambda_runtime did not build its service".into());
    };
    let poller = Poller {
        service,
        client: Arc::new(
            PooledClient::builder()
                .with_pool_size(max_concurrency.get())
                .build(),
        ),
        config: Arc::new(Config::from_env()),
    };
    if max_concurrency.get() == 1 {
        poller.run(Some(TraceIdVariable::default())).await
    } else {
        poller.run_concurrently(max_concurrency).await
    }
}

/// Returns the service of the runtime: its layers with the handler inside. `Runtime` exposes the
/// service only to a layer, so a layer that replaces it takes it out.
fn into_service<S>(runtime: Runtime<S>) -> Option<S> {
    let service = Cell::new(None);
    let _ = runtime.layer(tower::layer::layer_fn(|inner| {
        service.set(Some(inner));
        tower::service_fn(async |_: LambdaInvocation| Ok::<(), Error>(()))
    }));
    service.into_inner()
}

#[derive(Clone)]
struct Poller<S> {
    service: S,
    client: Arc<PooledClient>,
    config: Arc<Config>,
}

impl<S> Poller<S>
where
    S: Service<LambdaInvocation, Response = (), Error = Error>,
{
    /// Handles one event after another, and sets the variable, if there is one, to the trace id of
    /// each.
    async fn run(mut self, mut trace_id: Option<TraceIdVariable>) -> Result<(), Error> {
        loop {
            let Some(invocation) = next_event(&self.client, &self.config).await? else {
                continue;
            };
            if let Some(variable) = &mut trace_id {
                variable.set(invocation.context.xray_trace_id.as_deref());
            }
            self.service.ready().await?.call(invocation).await?;
        }
    }

    /// Runs `max_concurrency` loops as tasks. They share one environment, so none of them sets the
    /// variable.
    async fn run_concurrently(self, max_concurrency: NonZeroUsize) -> Result<(), Error>
    where
        S: Clone + Send + 'static,
        S::Future: Send,
    {
        let mut loops = JoinSet::new();
        for _ in 0..max_concurrency.get() {
            loops.spawn(self.clone().run(None));
        }
        let mut outcome = Ok(());
        while let Some(ended) = loops.join_next().await {
            outcome = ended.unwrap_or_else(|error| Err(error.into()));
            if let Err(error) = &outcome {
                error!(
                    error = &**error as &dyn std::error::Error,
                    remaining = loops.len(),
                    "event loop ended"
                );
            }
        }
        outcome
    }
}

/// Polls for the next event. Returns `None` for status 204, with which `cargo lambda watch` ends a
/// long poll.
async fn next_event(
    client: &PooledClient,
    config: &Arc<Config>,
) -> Result<Option<LambdaInvocation>, Error> {
    let (parts, body) = get(client, NEXT).await?.into_parts();
    if parts.status == StatusCode::NO_CONTENT {
        return Ok(None);
    }
    let body = body.collect().await?.to_bytes();
    let request_id = required_header(&parts.headers, REQUEST_ID)?;
    // `Context::new` panics if the header is missing.
    required_header(&parts.headers, DEADLINE)?;
    let context = Context::new(request_id, Arc::clone(config), &parts.headers)?;
    Ok(Some(LambdaInvocation {
        parts,
        body,
        context,
    }))
}

async fn get(client: &PooledClient, path: &'static str) -> Result<Response<Incoming>, Error> {
    let request: Request<Body> = build_request()
        .method(Method::GET)
        .uri(path)
        .body(Body::empty())?;
    let response = client.call(request).await?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("GET {path} returned {status}").into());
    }
    Ok(response)
}

fn required_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Error> {
    let value = headers
        .get(name)
        .ok_or_else(|| format!("the response to GET {NEXT} has no header {name}"))?;
    Ok(value.to_str()?)
}
