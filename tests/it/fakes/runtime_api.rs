//! The Runtime API. The tests are the runtime; the process of the function only waits.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use baton_test_support::{
    FUNCTION_ARN, FakeLambda, Function, FunctionError, Invocation, LambdaError,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::eventually;
use crate::support::functions::TIMEOUT;
use crate::support::http::{self, HttpResponse};

const REPORT: &str = r#"{"errorType":"Oops","errorMessage":"of course"}"#;

/// A function whose runtime is the test itself.
struct ManualRuntime {
    lambda: Arc<FakeLambda>,
    runtime_url: String,
    extension_url: String,
}

impl ManualRuntime {
    async fn start() -> Self {
        let script = "echo $AWS_LAMBDA_RUNTIME_API; while :; do sleep 1; done";
        let shell = Function::new("/bin/sh").argument("-c").argument(script);
        let lambda = FakeLambda::start(&shell).await.unwrap();
        let address = eventually("the address", async || lambda.stdout().pop()).await;
        Self {
            lambda: Arc::new(lambda),
            runtime_url: format!("http://{address}/2018-06-01/runtime"),
            extension_url: format!("http://{address}/2020-01-01/extension"),
        }
    }

    /// Requests an event in the background.
    fn poll(&self) -> JoinHandle<HttpResponse> {
        let url = format!("{}/invocation/next", self.runtime_url);
        tokio::spawn(async move { http::get(&url).await })
    }

    fn invoke(&self, payload: &'static str) -> JoinHandle<Result<Invocation, LambdaError>> {
        let lambda = Arc::clone(&self.lambda);
        tokio::spawn(async move { lambda.invoke(payload, TIMEOUT).await })
    }

    async fn post(&self, path: &str, body: &str) -> HttpResponse {
        http::post_json(&format!("{}/{path}", self.runtime_url), &[], body).await
    }

    async fn respond(&self, event: &HttpResponse, body: &str) {
        let id = event.header("lambda-runtime-aws-request-id");
        let response = self.post(&format!("invocation/{id}/response"), body).await;
        assert_eq!(response.status, 202);
    }
}

#[tokio::test]
async fn an_event_has_every_header_that_a_runtime_reads() {
    let runtime = ManualRuntime::start().await;
    let invocation = runtime.invoke(r#"{"a":1}"#);
    let event = runtime.poll().await.unwrap();
    assert_eq!(event.body, r#"{"a":1}"#);
    let arn = event.header("lambda-runtime-invoked-function-arn");
    assert_eq!(arn, FUNCTION_ARN);
    let trace = event.header("lambda-runtime-trace-id");
    assert!(trace.starts_with("Root=1-") && trace.ends_with(";Sampled=0"));
    let deadline = event.header("lambda-runtime-deadline-ms").parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let left = Duration::from_millis(deadline).checked_sub(now).unwrap();
    // Half of the time is left unless the machine stalls.
    assert!(left <= TIMEOUT && left > TIMEOUT / 2, "{left:?}");

    runtime.respond(&event, r#"{"b":2}"#).await;
    let _next = runtime.poll();
    let invocation = invocation.await.unwrap().unwrap();
    assert_eq!(invocation.response, Ok(json!({"b": 2})));
}

#[tokio::test]
async fn an_invocation_ends_when_the_runtime_asks_for_the_next_event() {
    let runtime = ManualRuntime::start().await;
    let invocation = runtime.invoke("{}");
    let event = runtime.poll().await.unwrap();
    runtime.respond(&event, "").await;
    let pause = Duration::from_millis(200);
    tokio::time::sleep(pause).await;
    assert!(!invocation.is_finished());
    let _next = runtime.poll();
    let invocation = invocation.await.unwrap().unwrap();
    assert_eq!(invocation.response, Ok(Value::Null));
    assert!(invocation.billed_time() >= invocation.response_time() + pause);
}

#[tokio::test]
async fn as_many_invocations_run_concurrently_as_events_are_requested() {
    let runtime = ManualRuntime::start().await;
    let invocations = [
        runtime.invoke("1"),
        runtime.invoke("2"),
        runtime.invoke("3"),
    ];
    let polls = [runtime.poll(), runtime.poll()];
    let mut events = Vec::new();
    for poll in polls {
        events.push(poll.await.unwrap());
    }
    // Two invocations run, and the third waits for a request. They respond in reverse order.
    for event in events.iter().rev() {
        runtime.respond(event, &event.body).await;
    }
    let third = runtime.poll().await.unwrap();
    runtime.respond(&third, &third.body).await;
    let _last = [runtime.poll(), runtime.poll()];
    for (invocation, payload) in invocations.into_iter().zip(1..) {
        let invocation = invocation.await.unwrap().unwrap();
        assert_eq!(invocation.response, Ok(json!(payload)));
    }
}

#[tokio::test]
async fn an_error_reported_by_the_function_is_the_invocations_result() {
    let runtime = ManualRuntime::start().await;
    let invocation = runtime.invoke("{}");
    let event = runtime.poll().await.unwrap();
    let id = event.header("lambda-runtime-aws-request-id");
    let error = format!("invocation/{id}/error");
    assert_eq!(runtime.post(&error, REPORT).await.status, 202);
    assert_eq!(runtime.post(&error, REPORT).await.status, 400, "only once");
    let _next = runtime.poll();
    let reported = FunctionError {
        error_type: "Oops".to_owned(),
        error_message: "of course".to_owned(),
    };
    assert_eq!(invocation.await.unwrap().unwrap().response, Err(reported));
}

#[tokio::test]
async fn an_init_error_fails_the_waiting_invocation() {
    let runtime = ManualRuntime::start().await;
    let invocation = runtime.invoke("{}");
    assert_eq!(runtime.post("init/error", REPORT).await.status, 202);
    let error = invocation.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, LambdaError::Init(report) if report.error_type == "Oops"),
        "{error}"
    );
}

#[tokio::test]
async fn an_internal_extension_without_events_delays_no_invocation() {
    let runtime = ManualRuntime::start().await;
    let register = format!("{}/register", runtime.extension_url);
    let name = [("lambda-extension-name", "quiet")];
    let response = http::post_json(&register, &name, r#"{"events":[]}"#).await;
    assert_eq!(
        (response.status.as_u16(), runtime.lambda.extensions()),
        (200, vec!["quiet".to_owned()])
    );
    assert!(!response.header("lambda-extension-identifier").is_empty());
    let response = http::post_json(&register, &name, r#"{"events":["INVOKE"]}"#).await;
    assert_eq!(response.status, 400);
    let invocation = runtime.invoke("{}");
    let event = runtime.poll().await.unwrap();
    runtime.respond(&event, "{}").await;
    let _next = runtime.poll();
    assert!(invocation.await.unwrap().is_ok());
}
