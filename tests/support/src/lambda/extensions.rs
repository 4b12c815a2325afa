//! The part of the Extensions API that an internal extension without events needs. With such an
//! extension Lambda sends SIGTERM before it ends the execution environment.

use std::future::pending;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;

use super::dispatcher::Dispatcher;
use super::function::{ACCOUNT, FUNCTION_NAME};
use super::runtime_api::{json, not_found, read};
use crate::server::HttpResult;

pub(super) const EXTENSIONS: &str = "/2020-01-01/extension/";
const NAME: &str = "lambda-extension-name";
const IDENTIFIER: &str = "lambda-extension-identifier";

#[derive(Deserialize)]
struct Registration {
    #[serde(default)]
    events: Vec<String>,
}

pub(super) async fn handle(dispatcher: &Dispatcher, request: Request<Incoming>) -> HttpResult {
    let path = request.uri().path().to_owned();
    match (
        request.method().clone(),
        path.trim_start_matches(EXTENSIONS),
    ) {
        (Method::POST, "register") => register(dispatcher, request).await,
        // An extension without events never gets one.
        (Method::GET, "event/next") if request.headers().contains_key(IDENTIFIER) => {
            pending().await
        }
        _ => Ok(not_found(&path)),
    }
}

async fn register(dispatcher: &Dispatcher, request: Request<Incoming>) -> HttpResult {
    let name = request.headers().get(NAME);
    let name = name.and_then(|name| Some(name.to_str().ok()?.to_owned()));
    let body = read(request).await?;
    let registration: Option<Registration> = serde_json::from_slice(&body).ok();
    let (Some(name), Some(Registration { events })) = (name, registration) else {
        let expected = "expected a name and a list of events";
        return Ok(error(
            StatusCode::BAD_REQUEST,
            "Extension.InvalidRequest",
            expected,
        ));
    };
    if !events.is_empty() {
        // Invocations would wait for an extension with INVOKE, and SHUTDOWN is for external ones.
        let expected = "expected an empty list of events";
        return Ok(error(
            StatusCode::BAD_REQUEST,
            "Extension.InvalidEventType",
            expected,
        ));
    }
    if !dispatcher.register_extension(name) {
        let reason = "too many extensions";
        return Ok(error(StatusCode::FORBIDDEN, "Extension.Forbidden", reason));
    }
    let function = serde_json::json!({
        "functionName": FUNCTION_NAME,
        "functionVersion": "$LATEST",
        "handler": "bootstrap",
        "accountId": ACCOUNT,
    });
    let mut response = json(StatusCode::OK, function.to_string());
    let identifier = HeaderValue::from_static("00000000-0000-4000-8000-00000000000e");
    response.headers_mut().insert(IDENTIFIER, identifier);
    Ok(response)
}

fn error(status: StatusCode, error_type: &str, message: &str) -> Response<Full<Bytes>> {
    let text = serde_json::json!({"errorType": error_type, "errorMessage": message});
    json(status, text.to_string())
}
