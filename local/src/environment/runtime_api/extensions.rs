//! The Extensions API, as far as it serves internal extensions without events: those whose only end
//! is that Lambda announces its own.
//!
//! Events would have to be handed to extensions beside the runtime, and the environment would run
//! until all of them have finished; nothing here does that, so an extension that wants them is
//! refused instead of being left to wait.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::wire::error_response;
use crate::environment::{Function, variables::VERSION};

const NAME: HeaderName = HeaderName::from_static("lambda-extension-name");
const IDENTIFIER: HeaderName = HeaderName::from_static("lambda-extension-identifier");

/// Whether an extension has registered, and what those who do are told about the function.
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
            // Nothing ever comes for an extension without events.
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
            "the local stack of baton announces the end, and hands out no events: expected none";
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

/// Whoever logs it shall see that it was not AWS that answered. The body is read: a connection on
/// which it is still to come could not be kept.
async fn not_found(method: Method, uri: Uri, _body: Bytes) -> Response {
    let message = format!("the local stack of baton has no {method} {}", uri.path());
    error_response(StatusCode::NOT_FOUND, "NotFound", &message)
}
