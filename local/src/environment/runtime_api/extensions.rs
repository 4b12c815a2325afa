//! The part of the Extensions API that serves internal extensions without events, which register
//! only to have the environment's shutdown announced.
//!
//! Extensions that register for events are rejected rather than left waiting: events would have to
//! be delivered to them as well as to the runtime, and the environment would have to run until all
//! of them have finished.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::wire::error_response;
use crate::environment::Function;
use crate::environment::variables::VERSION;

const NAME: HeaderName = HeaderName::from_static("lambda-extension-name");
const IDENTIFIER: HeaderName = HeaderName::from_static("lambda-extension-identifier");

/// State of the Extensions API: the registration flag, and the function's properties for the
/// response to a registration.
#[derive(Clone, Debug)]
pub(super) struct ExtensionsApi {
    function_name: String,
    account_id: String,
    registered: Arc<AtomicBool>,
}

#[derive(Deserialize)]
struct Registration {
    #[serde(default)]
    events: Vec<String>,
}

impl ExtensionsApi {
    pub(super) fn new(function: &Function) -> Self {
        Self {
            function_name: function.name.clone(),
            account_id: function.account_id.clone(),
            registered: Arc::default(),
        }
    }

    pub(super) fn has_registered(&self) -> bool {
        self.registered.load(Ordering::Acquire)
    }

    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/2020-01-01/extension/register", post(register))
            // An extension without events never gets one.
            .route("/2020-01-01/extension/event/next", get(pending::<Response>))
            .fallback(not_found)
            .with_state(self)
    }
}

async fn register(
    State(extensions): State<ExtensionsApi>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Ok(Registration { events }) = serde_json::from_slice(&body) else {
        return bad_request("InvalidRequestFormat", r#"expected {"events": []}"#);
    };
    if !headers.contains_key(NAME) {
        return bad_request("InvalidExtensionName", "expected lambda-extension-name");
    }
    if !events.is_empty() {
        let expected =
            "expected no events: the local stack announces only the shutdown, with SIGTERM";
        return bad_request("InvalidEventType", expected);
    }
    extensions.registered.store(true, Ordering::Release);
    let function = json!({
        "functionName": extensions.function_name,
        "functionVersion": VERSION,
        "handler": "bootstrap",
        "accountId": extensions.account_id,
    });
    ([(IDENTIFIER, Uuid::new_v4().to_string())], Json(function)).into_response()
}

fn bad_request(error_type: &str, expected: &str) -> Response {
    let error_type = format!("Extension.{error_type}");
    error_response(StatusCode::BAD_REQUEST, &error_type, expected)
}

/// Responds to an unknown path. The message names baton, so that it is not taken for a response of
/// AWS. The body is read because the connection could not be kept open with an unread body.
async fn not_found(method: Method, uri: Uri, _body: Bytes) -> Response {
    let message = format!("the local stack does not support {method} {}", uri.path());
    error_response(StatusCode::NOT_FOUND, "NotFound", &message)
}
