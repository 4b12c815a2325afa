//! The loop that asks Lambda for events, one at a time.
//!
//! `lambda_runtime` has this loop too, and all else of it is used: reading the event, catching panics, sending responses and errors.
//! Its loop is replaced because it writes `_X_AMZN_TRACE_ID` with `setenv` for each invocation, and glibc never frees a value that
//! was set. [`TraceIdVariable`] sets the variable without that.

use std::cell::Cell;
use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use lambda_runtime::{Config, Context, Error, LambdaInvocation, Runtime};
use lambda_runtime_api_client::{PooledClient, body::Body, build_request};
use tower::{Service, ServiceExt as _};

use crate::trace_variable::TraceIdVariable;

const NEXT_PATH: &str = "/2018-06-01/runtime/invocation/next";
const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
const DEADLINE: &str = "lambda-runtime-deadline-ms";

/// Handles one event after the other, until the Runtime API fails.
///
/// # Errors
///
/// A request to the Runtime API failed, or its response is not an event.
pub(crate) async fn run<S>(runtime: Runtime<S>) -> Result<(), Error>
where
    S: Service<LambdaInvocation, Response = (), Error = Error>,
{
    let Some(mut service) = into_service(runtime) else {
        return Err("lambda_runtime did not build its service".into());
    };
    let client = PooledClient::builder().build();
    let config = Arc::new(Config::from_env());
    let mut trace_id = TraceIdVariable::default();
    loop {
        let Some(invocation) = next_event(&client, &config).await? else {
            continue;
        };
        trace_id.set(invocation.context.xray_trace_id.as_deref());
        service.ready().await?.call(invocation).await?;
    }
}

/// Returns the runtime's layers with the handler inside. A layer is the only thing that a runtime shows its service to.
fn into_service<S>(runtime: Runtime<S>) -> Option<S> {
    let service = Cell::new(None);
    let _ = runtime.layer(tower::layer::layer_fn(|inner| {
        service.set(Some(inner));
        tower::service_fn(async |_: LambdaInvocation| Ok::<(), Error>(()))
    }));
    service.into_inner()
}

/// Waits for the next event. `None` is the answer 204, with which `cargo lambda watch` ends a long wait.
async fn next_event(
    client: &PooledClient,
    config: &Arc<Config>,
) -> Result<Option<LambdaInvocation>, Error> {
    let request = build_request()
        .method(Method::GET)
        .uri(NEXT_PATH)
        .body(Body::empty())?;
    let (parts, body) = client.call(request).await?.into_parts();
    match parts.status {
        StatusCode::OK => {}
        StatusCode::NO_CONTENT => return Ok(None),
        status => return Err(format!("GET {NEXT_PATH} was answered with {status}").into()),
    }
    let body = body.collect().await?.to_bytes();
    let request_id = required(&parts.headers, REQUEST_ID)?;
    // `Context::new` panics without it.
    required(&parts.headers, DEADLINE)?;
    let context = Context::new(request_id, Arc::clone(config), &parts.headers)?;
    Ok(Some(LambdaInvocation {
        parts,
        body,
        context,
    }))
}

fn required<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Error> {
    let value = headers
        .get(name)
        .ok_or_else(|| format!("the response to GET {NEXT_PATH} has no header {name}"))?;
    Ok(value.to_str()?)
}
