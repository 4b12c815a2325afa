//! The description of the API, `GET /openapi.json`: OpenAPI 3.1, built from the handlers and from
//! the types of `wire`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::body::Bytes;
use http::StatusCode;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::schema::ArrayBuilder;
use utoipa::openapi::{
    ContentBuilder, Object, Ref, RefOr, Required, Response, ResponseBuilder, Schema, Type,
};
use utoipa::{IntoResponses, Modify, OpenApi, PartialSchema, ToSchema};

use crate::batch;
use crate::problem::PROBLEM_MEDIA_TYPE;
use crate::routes;
use crate::wire::{OnboardingRequest, PlanName, ProblemDocument};

/// The document. It is the same for all requests.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    let document = ApiDocument::openapi().to_json();
    // The document consists of strings, maps and lists, which can always be encoded.
    document.map_or_else(|_| Bytes::new(), Bytes::from)
});

/// Returns the document as JSON.
pub(crate) fn document() -> Bytes {
    DOCUMENT.clone()
}

#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Onboarding API",
        description = "Sends each accepted onboarding to a queue. Every error response is a problem document (RFC 9457)."
    ),
    paths(
        routes::onboard,
        routes::onboard_batch,
        routes::smoke_test,
        routes::healthz,
        routes::readyz,
        routes::openapi
    ),
    components(schemas(OnboardingRequest, PlanName, ProblemDocument<'_>)),
    modifiers(&OptionalSmokeTest, &RequestHeaders)
)]
struct ApiDocument;

/// Makes the body of the smoke test optional. For a type `Option<SmokeTest>`, `null` would be valid
/// too.
struct OptionalSmokeTest;

impl Modify for OptionalSmokeTest {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let route = document.paths.paths.get_mut(routes::SMOKE_TEST);
        let operation = route.and_then(|route| route.post.as_mut());
        let body = operation.and_then(|operation| operation.request_body.as_mut());
        if let Some(RefOr::T(body)) = body {
            body.required = Some(Required::False);
        }
    }
}

/// Adds the headers that identify a request to the responses of all routes except health checks.
struct RequestHeaders;

impl Modify for RequestHeaders {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let routes = document.paths.paths.iter_mut();
        let is_recorded = |path: &str| ![routes::HEALTHZ, routes::READYZ].contains(&path);
        let operations = routes
            .filter(|(path, _)| is_recorded(path))
            .flat_map(|(_, route)| [&mut route.get, &mut route.post])
            .flatten();
        for response in operations.flat_map(|operation| operation.responses.responses.values_mut())
        {
            if let RefOr::T(response) = response {
                response.headers.extend(describe_request_headers());
            }
        }
    }
}

fn describe_request_headers() -> [(String, RefOr<Header>); 2] {
    let header = |description: &str| {
        let header = HeaderBuilder::new()
            .schema(Some(Object::with_type(Type::String)))
            .description(Some(description));
        RefOr::T(header.build())
    };
    [
        (
            "x-request-id".to_owned(),
            header("The caller's id of the request, or a new one"),
        ),
        (
            "server-timing".to_owned(),
            header("The trace: `traceparent;desc=\"00-…\"`"),
        ),
    ]
}

/// The body of a batch.
pub(crate) struct OnboardingBatch;

impl PartialSchema for OnboardingBatch {
    fn schema() -> RefOr<Schema> {
        let array = ArrayBuilder::new()
            .items(Ref::from_schema_name("Onboarding"))
            .min_items(Some(1))
            .max_items(Some(batch::MAX_ITEMS));
        RefOr::T(array.into())
    }
}

impl ToSchema for OnboardingBatch {}

/// The problems of routes that read a body and send messages.
pub(crate) struct SendProblems;

impl IntoResponses for SendProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        describe_problems(&[
            (
                StatusCode::BAD_REQUEST,
                "The body is not JSON, or it ended early.",
            ),
            (
                StatusCode::REQUEST_TIMEOUT,
                "The body did not arrive in time.",
            ),
            (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large."),
            (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body is compressed, or its type is not JSON.",
            ),
            (
                StatusCode::UNPROCESSABLE_ENTITY,
                "Fields are invalid, missing, unknown or duplicate: `errors` lists all of them.",
            ),
            (StatusCode::INTERNAL_SERVER_ERROR, "The service has a bug."),
            (
                StatusCode::BAD_GATEWAY,
                "The queue rejected the message. A retry will not succeed.",
            ),
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "The queue or the service is overloaded or not available. `detail` says so if the message may have been sent.",
            ),
            (
                StatusCode::GATEWAY_TIMEOUT,
                "The request took too long. The message may have been sent.",
            ),
        ])
    }
}

/// The problem of the readiness check.
pub(crate) struct ReadinessProblem;

impl IntoResponses for ReadinessProblem {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        describe_problems(&[(
            StatusCode::SERVICE_UNAVAILABLE,
            "The queue cannot be used, or the service is shutting down.",
        )])
    }
}

fn describe_problems(descriptions: &[(StatusCode, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let responses = descriptions.iter().map(|(status, description)| {
        let response = describe_problem(*status, description);
        (status.as_str().to_owned(), RefOr::T(response))
    });
    responses.collect()
}

fn describe_problem(status: StatusCode, description: &str) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    let response = ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_MEDIA_TYPE, content);
    if status != StatusCode::SERVICE_UNAVAILABLE {
        return response.build();
    }
    let retry_after = HeaderBuilder::new()
        .schema(Some(Object::with_type(Type::Integer)))
        .description(Some("Seconds until a retry"))
        .build();
    response.header("retry-after", retry_after).build()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_document_is_openapi_3_1_and_its_references_exist() {
        let text = String::from_utf8(document().to_vec()).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let version = document["openapi"].as_str().unwrap();
        assert!(version.starts_with("3.1."), "{version}");
        let mut references = text.split("\"#").skip(1);
        assert!(references.clone().count() > 10);
        let is_defined = |rest: &str| {
            let pointer = rest.split('"').next().unwrap();
            document.pointer(pointer).is_some()
        };
        assert!(references.all(is_defined));
        let headers = &document["paths"]["/onboarding"]["post"]["responses"]["503"]["headers"];
        let names: Vec<_> = headers.as_object().unwrap().keys().collect();
        assert_eq!(names, ["retry-after", "server-timing", "x-request-id"]);
        let smoke_test = &document["paths"]["/telemetry/smoke"]["post"]["requestBody"];
        assert_eq!(smoke_test["required"], false);
    }
}
