//! The Runtime API as a runtime sees it: here the tests are the runtime, in the name of a process
//! that only waits.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use baton_test_support::{
    FUNCTION_ARN, FakeLambda, Function, FunctionError, Invocation, LambdaError,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::functions::TIMEOUT;
use crate::support::http::{self, Answer};

const REPORT: &str = r#"{"errorType":"Oops","errorMessage":"of course"}"#;

/// A function whose runtime is the test.
struct Puppet {
    lambda: Arc<FakeLambda>,
    runtime: String,
    extension: String,
}

impl Puppet {
    async fn start() -> Self {
        let script = "echo $AWS_LAMBDA_RUNTIME_API; while :; do sleep 1; done";
        let shell = Function::new("/bin/sh").argument("-c").argument(script);
        let lambda = FakeLambda::start(&shell).await.unwrap();
        let address =
            crate::support::eventually("the address", async || lambda.stdout().pop()).await;
        Self {
            lambda: Arc::new(lambda),
            runtime: format!("http://{address}/2018-06-01/runtime"),
            extension: format!("http://{address}/2020-01-01/extension"),
        }
    }

    /// Asks for an event in the background.
    fn poll(&self) -> JoinHandle<Answer> {
        let url = format!("{}/invocation/next", self.runtime);
        tokio::spawn(async move { http::get(&url).await })
    }

    fn invoke(&self, payload: &'static str) -> JoinHandle<Result<Invocation, LambdaError>> {
        let lambda = Arc::clone(&self.lambda);
        tokio::spawn(async move { lambda.invoke(payload, TIMEOUT).await })
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        http::post_json(&format!("{}/{path}", self.runtime), &[], body).await
    }

    async fn respond(&self, event: &Answer, body: &str) {
        let id = event.header("lambda-runtime-aws-request-id");
        let answer = self.post(&format!("invocation/{id}/response"), body).await;
        assert_eq!(answer.status, 202);
    }
}

#[tokio::test]
async fn an_event_comes_with_everything_that_a_runtime_reads() {
    let puppet = Puppet::start().await;
    let invocation = puppet.invoke(r#"{"a":1}"#);
    let event = puppet.poll().await.unwrap();
    assert_eq!(event.body, r#"{"a":1}"#);
    let arn = event.header("lambda-runtime-invoked-function-arn");
    assert_eq!(arn, FUNCTION_ARN);
    let trace = event.header("lambda-runtime-trace-id");
    assert!(trace.starts_with("Root=1-") && trace.ends_with(";Sampled=0"));
    let deadline = event.header("lambda-runtime-deadline-ms").parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let left = Duration::from_millis(deadline).checked_sub(now).unwrap();
    // Half of it would be a machine that stands still.
    assert!(left <= TIMEOUT && left > TIMEOUT / 2, "{left:?}");

    puppet.respond(&event, r#"{"b":2}"#).await;
    let _next = puppet.poll();
    let invocation = invocation.await.unwrap().unwrap();
    assert_eq!(invocation.response, Ok(json!({"b": 2})));
}

#[tokio::test]
async fn an_invocation_is_over_when_the_runtime_asks_again_and_not_before() {
    let puppet = Puppet::start().await;
    let invocation = puppet.invoke("{}");
    let event = puppet.poll().await.unwrap();
    puppet.respond(&event, "").await;
    let pause = Duration::from_millis(200);
    tokio::time::sleep(pause).await;
    assert!(!invocation.is_finished());
    let _next = puppet.poll();
    let invocation = invocation.await.unwrap().unwrap();
    assert_eq!(invocation.response, Ok(Value::Null));
    assert!(invocation.billed_time() >= invocation.response_time() + pause);
}

#[tokio::test]
async fn as_many_invocations_run_at_a_time_as_are_asked_for() {
    let puppet = Puppet::start().await;
    let invocations = [puppet.invoke("1"), puppet.invoke("2"), puppet.invoke("3")];
    let polls = [puppet.poll(), puppet.poll()];
    let mut events = Vec::new();
    for poll in polls {
        events.push(poll.await.unwrap());
    }
    // Both run; the third has no request yet. They end in the other order.
    for event in events.iter().rev() {
        puppet.respond(event, &event.body).await;
    }
    let third = puppet.poll().await.unwrap();
    puppet.respond(&third, &third.body).await;
    let _last = [puppet.poll(), puppet.poll()];
    for (invocation, payload) in invocations.into_iter().zip(1..) {
        let invocation = invocation.await.unwrap().unwrap();
        assert_eq!(invocation.response, Ok(json!(payload)));
    }
}

#[tokio::test]
async fn an_error_of_the_function_is_the_invocations_result() {
    let puppet = Puppet::start().await;
    let invocation = puppet.invoke("{}");
    let event = puppet.poll().await.unwrap();
    let id = event.header("lambda-runtime-aws-request-id");
    let error = format!("invocation/{id}/error");
    assert_eq!(puppet.post(&error, REPORT).await.status, 202);
    assert_eq!(puppet.post(&error, REPORT).await.status, 400, "only once");
    let _next = puppet.poll();
    let reported = FunctionError {
        error_type: "Oops".to_owned(),
        error_message: "of course".to_owned(),
    };
    assert_eq!(invocation.await.unwrap().unwrap().response, Err(reported));
}

#[tokio::test]
async fn an_error_of_the_init_phase_ends_the_waiting() {
    let puppet = Puppet::start().await;
    let invocation = puppet.invoke("{}");
    assert_eq!(puppet.post("init/error", REPORT).await.status, 202);
    let error = invocation.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, LambdaError::Init(report) if report.error_type == "Oops"),
        "{error}"
    );
}

#[tokio::test]
async fn an_internal_extension_registers_for_nothing_and_waits_for_nothing() {
    let puppet = Puppet::start().await;
    let register = format!("{}/register", puppet.extension);
    let name = [("lambda-extension-name", "quiet")];
    let answer = http::post_json(&register, &name, r#"{"events":[]}"#).await;
    assert_eq!(
        (answer.status.as_u16(), puppet.lambda.extensions()),
        (200, vec!["quiet".to_owned()])
    );
    assert!(!answer.header("lambda-extension-identifier").is_empty());
    let answer = http::post_json(&register, &name, r#"{"events":["INVOKE"]}"#).await;
    assert_eq!(answer.status, 400);
    let invocation = puppet.invoke("{}");
    let event = puppet.poll().await.unwrap();
    puppet.respond(&event, "{}").await;
    let _next = puppet.poll();
    assert!(invocation.await.unwrap().is_ok(), "nobody waits for it");
}
