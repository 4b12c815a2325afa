//! The routes and their handlers.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router, middleware};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt as _, TraceId};

use crate::batch;
use crate::body::{JsonDocument, JsonObject, MAX_BODY_BYTES, OptionalJsonObject};
use crate::onboarding::{CustomerId, Onboarding, parse_smoke_test};
use crate::openapi::{self, OnboardingBatch, ReadinessProblem, SendProblems};
use crate::problem::Problem;
use crate::queue::OnboardingQueue;
use crate::readiness::Readiness;
use crate::request_limits::{ConcurrencyLimit, RequestDeadline};
use crate::request_telemetry::{self, RequestTelemetry};
use crate::serve::CurrentPhase;
use crate::wire::{AcceptedMessage, BatchResponse, Health, OnboardingRequest, SmokeTest};

const ONBOARDING: &str = "/onboarding";
const BATCH: &str = "/onboarding/batch";
pub(crate) const SMOKE_TEST: &str = "/telemetry/smoke";
const OPENAPI: &str = "/openapi.json";
pub(crate) const HEALTHZ: &str = "/healthz";
pub(crate) const READYZ: &str = "/readyz";

const APPLICATION_JSON: HeaderValue = HeaderValue::from_static("application/json");

/// State of the handlers.
#[derive(Debug)]
pub(crate) struct ApiState {
    queue: OnboardingQueue,
    concurrency: ConcurrencyLimit,
    readiness: Readiness,
    phase: CurrentPhase,
}

/// Returns the service's routes. Load balancers call the health checks several times a minute, so
/// these have neither spans nor measurements.
pub(crate) fn build_router(
    queue: OnboardingQueue,
    concurrency: ConcurrencyLimit,
    telemetry: RequestTelemetry,
    phase: CurrentPhase,
) -> Router {
    let recorded = Router::new()
        .route(ONBOARDING, post(onboard))
        .route(BATCH, post(onboard_batch))
        .route(SMOKE_TEST, post(smoke_test))
        .route(OPENAPI, get(openapi))
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
    let state = Arc::new(ApiState {
        readiness: Readiness::new(queue.clone()),
        queue,
        concurrency,
        phase,
    });
    recorded.merge(health_checks).with_state(state)
}

/// Sends an onboarding to the queue.
#[utoipa::path(
    post,
    path = ONBOARDING,
    request_body(content = OnboardingRequest, description = "At most 64 KiB"),
    responses(
        (status = 202, description = "SQS has accepted the message.", body = AcceptedMessage),
        SendProblems,
    )
)]
pub(crate) async fn onboard(
    State(state): State<Arc<ApiState>>,
    JsonObject(fields): JsonObject,
) -> Result<(StatusCode, Json<AcceptedMessage>), Problem> {
    let onboarding = Onboarding::from_fields(&fields).map_err(Problem::invalid_fields)?;
    send(&state, &onboarding).await
}

/// Sends up to 100 onboardings to the queue.
#[utoipa::path(
    post,
    path = BATCH,
    request_body(content = OnboardingBatch, description = "At most 64 KiB"),
    responses(
        (status = 202, description = "SQS has accepted every message.", body = BatchResponse<'_>),
        (status = 207, description = "At least one item was not accepted. An item that was not confirmed shortly before the time limit of the request has status 504.", body = BatchResponse<'_>),
        SendProblems,
    )
)]
pub(crate) async fn onboard_batch(
    State(state): State<Arc<ApiState>>,
    Extension(deadline): Extension<RequestDeadline>,
    JsonDocument(document): JsonDocument,
) -> Result<Response, Problem> {
    let items = batch::parse_items(document)?;
    let _permit = state.concurrency.try_acquire()?;
    let results = batch::send(&state.queue, &items, deadline).await?;
    Ok(batch::build_response(&results, current_trace_id()))
}

/// Sends an onboarding of a generated customer, to test the telemetry.
#[utoipa::path(
    post,
    path = SMOKE_TEST,
    request_body(content = SmokeTest, description = "May be empty"),
    responses(
        (status = 202, description = "SQS has accepted the message.", body = AcceptedMessage),
        SendProblems,
    )
)]
pub(crate) async fn smoke_test(
    State(state): State<Arc<ApiState>>,
    OptionalJsonObject(fields): OptionalJsonObject,
) -> Result<(StatusCode, Json<AcceptedMessage>), Problem> {
    let customer_id = parse_smoke_test(&fields).map_err(Problem::invalid_fields)?;
    let onboarding = Onboarding::smoke_test(customer_id.unwrap_or_else(CustomerId::generate));
    send(&state, &onboarding).await
}

/// Returns 200 while the process runs.
#[utoipa::path(
    get,
    path = HEALTHZ,
    responses((status = 200, description = "The process runs.", body = Health))
)]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Returns 200 if the queue can be used.
#[utoipa::path(
    get,
    path = READYZ,
    responses(
        (status = 200, description = "The service accepts requests.", body = Health),
        ReadinessProblem,
    )
)]
pub(crate) async fn readyz(State(state): State<Arc<ApiState>>) -> Result<Json<Health>, Problem> {
    if state.phase.is_shutting_down() {
        return Err(Problem::shutting_down());
    }
    match state.readiness.check().await {
        Ok(()) => Ok(Json(Health { status: "ready" })),
        Err(error_type) => Err(Problem::not_ready(&error_type)),
    }
}

/// Returns this document.
#[utoipa::path(
    get,
    path = OPENAPI,
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
pub(crate) async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, APPLICATION_JSON)], openapi::document())
}

async fn route_not_found() -> Problem {
    let detail = format!(
        "no such route: the routes are POST {ONBOARDING}, POST {BATCH}, POST {SMOKE_TEST}, GET {OPENAPI}, GET {HEALTHZ} and GET {READYZ}"
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
    state: &ApiState,
    onboarding: &Onboarding,
) -> Result<(StatusCode, Json<AcceptedMessage>), Problem> {
    let _permit = state.concurrency.try_acquire()?;
    let accepted = AcceptedMessage {
        message_id: state.queue.send(onboarding).await?,
        trace_id: current_trace_id(),
    };
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}

fn current_trace_id() -> Option<String> {
    let trace_id = Context::current().span().span_context().trace_id();
    (trace_id != TraceId::INVALID).then(|| const_hex::encode(trace_id.to_bytes()))
}
