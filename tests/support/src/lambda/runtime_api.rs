//! The Runtime API, version 2018-06-01. Passes requests of the Extensions API on.

use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;

use super::dispatcher::{Dispatcher, InvocationEvent};
use super::{FUNCTION_ARN, FunctionError, extensions};
use crate::server::{CloseConnection, HttpResult, Server};

const RUNTIME: &str = "/2018-06-01/runtime/";
/// Header with the type of a reported error, which the body has as well.
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";

pub(super) async fn start(dispatcher: Arc<Dispatcher>) -> io::Result<Server> {
    Server::start_http(move |request| handle(Arc::clone(&dispatcher), request)).await
}

async fn handle(dispatcher: Arc<Dispatcher>, request: Request<Incoming>) -> HttpResult {
    let path = request.uri().path().to_owned();
    if path.starts_with(extensions::EXTENSIONS) {
        return extensions::handle(&dispatcher, request).await;
    }
    let Some(call) = path.strip_prefix(RUNTIME) else {
        return Ok(not_found(&path));
    };
    let parts: Vec<&str> = call.split('/').collect();
    match (request.method().clone(), &parts[..]) {
        (Method::GET, ["invocation", "next"]) => next(&dispatcher).await,
        (Method::POST, ["invocation", id, "response"]) => {
            let body = read(request).await?;
            Ok(accepted(dispatcher.complete(id, Ok(body))))
        }
        (Method::POST, ["invocation", id, "error"]) => {
            let error = function_error(request).await?;
            Ok(accepted(dispatcher.complete(id, Err(error))))
        }
        // A snapshot is restored immediately.
        (Method::GET, ["restore", "next"]) => Ok(Response::new(Full::default())),
        (Method::POST, ["init", "error"]) => {
            dispatcher.fail_init(function_error(request).await?);
            Ok(accepted(true))
        }
        _ => Ok(not_found(&path)),
    }
}

async fn next(dispatcher: &Dispatcher) -> HttpResult {
    // The dispatcher keeps every request until it has an event for it, so this fails only when the
    // whole fake is dropped.
    let event = dispatcher.poll().await.map_err(|_| CloseConnection)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let deadline = now.unwrap_or_default() + event.limit;
    Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", &event.request_id)
        .header(
            "lambda-runtime-deadline-ms",
            deadline.as_millis().to_string(),
        )
        .header("lambda-runtime-invoked-function-arn", FUNCTION_ARN)
        .header("lambda-runtime-trace-id", tracing_header(&event))
        .body(Full::new(event.payload))
        .map_err(|_| CloseConnection)
}

/// The header of a function without active tracing, whose caller does not sample. It must not keep
/// the function from creating spans.
fn tracing_header(event: &InvocationEvent) -> String {
    let number = event.number;
    format!("Root=1-69200000-{number:024x};Parent={number:016x};Sampled=0")
}

/// Body of an error report.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorReport {
    error_type: Option<String>,
    error_message: Option<String>,
}

async fn function_error(request: Request<Incoming>) -> Result<FunctionError, CloseConnection> {
    let header = request.headers().get(ERROR_TYPE);
    let header = header.and_then(|value| Some(value.to_str().ok()?.to_owned()));
    let body = read(request).await?;
    let report: Option<ErrorReport> = serde_json::from_slice(&body).ok();
    let (error_type, error_message) = report
        .map(|report| (report.error_type, report.error_message))
        .unwrap_or_default();
    Ok(FunctionError {
        error_type: error_type.or(header).unwrap_or_default(),
        error_message: error_message.unwrap_or_default(),
    })
}

/// Reads the whole body. Closes the connection if the process dies before the end of it.
pub(super) async fn read(request: Request<Incoming>) -> Result<Bytes, CloseConnection> {
    let collected = request.into_body().collect().await;
    Ok(collected.map_err(|_| CloseConnection)?.to_bytes())
}

fn accepted(known: bool) -> Response<Full<Bytes>> {
    if known {
        return json(StatusCode::ACCEPTED, r#"{"status":"OK"}"#.to_owned());
    }
    let unknown =
        r#"{"errorType":"InvalidRequestID","errorMessage":"no running invocation has this id"}"#;
    json(StatusCode::BAD_REQUEST, unknown.to_owned())
}

pub(super) fn not_found(path: &str) -> Response<Full<Bytes>> {
    let text = serde_json::json!({"errorType": "NotFound", "errorMessage": path});
    json(StatusCode::NOT_FOUND, text.to_string())
}

pub(super) fn json(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}
