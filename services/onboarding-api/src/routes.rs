//! The routes and their handlers.

use std::error::Error;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, FromRef, State};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use baton_producer::{OutgoingMessage, QueueSendError, QueueSender};
use http::StatusCode;
use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt as _, TraceId};
use tracing::{error, info, warn};

use crate::body::{JsonObject, MAX_BODY_BYTES, OptionalJsonObject};
use crate::onboarding::{CustomerId, Onboarding, parse_smoke_test};
use crate::problem::Problem;
use crate::request_telemetry::{self, RequestTelemetry};
use crate::serve::CurrentPhase;
use crate::wire::{AcceptedMessage, Health};

const ONBOARDING: &str = "/onboarding";
const SMOKE_TEST: &str = "/telemetry/smoke";
const HEALTHZ: &str = "/healthz";
const READYZ: &str = "/readyz";

/// Time limit of a readiness check. Load balancers wait two to five seconds for it, and a queue
/// that needs longer than this is not ready.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

/// State of the handlers.
#[derive(Debug, Clone)]
struct ApiState {
    sender: QueueSender,
    phase: CurrentPhase,
}

impl FromRef<ApiState> for QueueSender {
    fn from_ref(state: &ApiState) -> Self {
        state.sender.clone()
    }
}

/// Returns the service's routes. Load balancers call the health checks several times a minute, so
/// these have neither spans nor measurements.
pub(crate) fn router(
    sender: QueueSender,
    telemetry: RequestTelemetry,
    phase: CurrentPhase,
) -> Router {
    let recorded = Router::new()
        .route(ONBOARDING, post(onboard))
        .route(SMOKE_TEST, post(smoke_test))
        .fallback(route_not_found)
        .method_not_allowed_fallback(method_not_allowed)
        // The last layer is the outermost one: the span also covers a body over the limit.
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(
            telemetry,
            request_telemetry::record,
        ));
    let health_checks = Router::new()
        .route(HEALTHZ, get(healthz))
        .route(READYZ, get(readyz))
        .method_not_allowed_fallback(method_not_allowed);
    let state = ApiState { sender, phase };
    recorded.merge(health_checks).with_state(state)
}

async fn onboard(
    State(sender): State<QueueSender>,
    JsonObject(fields): JsonObject,
) -> Result<(StatusCode, Json<AcceptedMessage>), Problem> {
    let onboarding = Onboarding::from_fields(&fields).map_err(Problem::invalid_fields)?;
    send(&sender, &onboarding).await
}

async fn smoke_test(
    State(sender): State<QueueSender>,
    OptionalJsonObject(fields): OptionalJsonObject,
) -> Result<(StatusCode, Json<AcceptedMessage>), Problem> {
    let customer_id = parse_smoke_test(&fields).map_err(Problem::invalid_fields)?;
    let onboarding = Onboarding::smoke_test(customer_id.unwrap_or_else(CustomerId::generate));
    send(&sender, &onboarding).await
}

async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

async fn readyz(State(state): State<ApiState>) -> Result<Json<Health>, Problem> {
    if state.phase.is_shutting_down() {
        return Err(Problem::shutting_down());
    }
    match tokio::time::timeout(READY_TIMEOUT, state.sender.check_queue()).await {
        Ok(Ok(())) => Ok(Json(Health { status: "ready" })),
        Ok(Err(error)) => {
            let cause: &dyn Error = &error;
            warn!(
                error_type = error.error_type(),
                error = cause,
                "queue check failed"
            );
            Err(Problem::not_ready(error.error_type()))
        }
        Err(_) => {
            warn!(error_type = "timeout", "queue check failed");
            Err(Problem::not_ready("timeout"))
        }
    }
}

async fn route_not_found() -> Problem {
    let detail = format!(
        "no such route: the routes are POST {ONBOARDING}, POST {SMOKE_TEST}, GET {HEALTHZ} and GET {READYZ}"
    );
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method not allowed: the header `allow` lists the methods of this route",
    )
}

/// Sends an onboarding to the queue, and responds with the ids of its message and trace.
async fn send(
    sender: &QueueSender,
    onboarding: &Onboarding,
) -> Result<(StatusCode, Json<AcceptedMessage>), Problem> {
    let body = serde_json::to_string(&onboarding.to_wire()).map_err(|_| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "cannot encode the message as JSON",
        )
    })?;
    let sent = sender
        .send(OutgoingMessage::new(body))
        .await
        .map_err(|error| {
            log_send_error(&error);
            Problem::from_send_error(&error)
        })?;
    // The line contains the trace id, because the request's span is active.
    info!(message_id = sent.message_id, "message accepted");
    Ok((
        StatusCode::ACCEPTED,
        Json(AcceptedMessage {
            message_id: sent.message_id,
            trace_id: current_trace_id(),
        }),
    ))
}

/// Logs a warning if a retry may succeed, and an error if a person must act.
fn log_send_error(error: &QueueSendError) {
    let cause: &dyn Error = error;
    if error.is_retryable() {
        warn!(
            error_type = error.error_type(),
            error = cause,
            "message not accepted"
        );
    } else {
        error!(
            error_type = error.error_type(),
            error = cause,
            "message rejected"
        );
    }
}

fn current_trace_id() -> Option<String> {
    let trace_id = Context::current().span().span_context().trace_id();
    (trace_id != TraceId::INVALID).then(|| trace_id.to_string())
}
