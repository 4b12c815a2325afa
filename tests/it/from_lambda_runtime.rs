//! The function of the guide's page "From lambda_runtime to Baton".
//!
//! The tests in `same_behaviour` run both binaries with the same events and assertions. Those in
//! `new_behaviour` show the differences.

use std::path::Path;
use std::time::Duration;

use ::http::StatusCode;
use baton_test_support::{
    CollectorResponse, FakeLambda, Function, FunctionError, LambdaError, Record, Span,
    TestCollector, event,
};
use serde_json::{Value, json};

use crate::support::binaries::example;
use crate::support::functions::TIMEOUT;
use crate::support::recording_server::{ReceivedRequest, RecordingServer};

const QUEUE: &str = "payments.fifo";

/// A version of the function: written with `lambda_runtime`, or with Baton.
#[derive(Debug, Clone, Copy)]
enum Version {
    Before,
    After,
}

const BOTH: [Version; 2] = [Version::Before, Version::After];

impl Version {
    fn binary(self) -> &'static Path {
        match self {
            Self::Before => example("from_lambda_runtime_before"),
            Self::After => example("from_lambda_runtime_after"),
        }
    }

    /// Invokes the function once, with a ledger that responds with this status.
    async fn invoke(self, ledger_status: StatusCode, records: &[Record]) -> Outcome {
        let ledger = RecordingServer::start(ledger_status, Value::Null).await;
        self.invoke_with(&ledger, records, TIMEOUT).await
    }

    async fn invoke_with(
        self,
        ledger: &RecordingServer,
        records: &[Record],
        timeout: Duration,
    ) -> Outcome {
        let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
        let function = Function::new(self.binary())
            .export_to(&collector)
            .variable("LEDGER_URL", &ledger.url);
        let lambda = FakeLambda::start(&function).await.unwrap();
        let invocation = lambda.invoke(event(records), timeout).await;
        let ended = lambda.terminate(TIMEOUT).await;
        let lines = ended.stdout.iter();
        let (request_id, response) = match invocation {
            Ok(invocation) => (invocation.request_id, Ok(invocation.response)),
            Err(error) => (String::new(), Err(error)),
        };
        Outcome {
            request_id,
            response,
            bookings: ledger.received(),
            spans: collector.spans().unwrap(),
            log: lines
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
        }
    }
}

/// The effects of one invocation.
#[derive(Debug)]
struct Outcome {
    request_id: String,
    response: Result<Result<Value, FunctionError>, LambdaError>,
    bookings: Vec<ReceivedRequest>,
    spans: Vec<Span>,
    log: Vec<Value>,
}

impl Outcome {
    fn failed(&self) -> Vec<&str> {
        let response = self.response.as_ref().unwrap().as_ref().unwrap();
        let failures = response["batchItemFailures"].as_array().unwrap();
        failures
            .iter()
            .map(|failure| failure["itemIdentifier"].as_str().unwrap())
            .collect()
    }

    fn lines(&self, message: &str) -> Vec<&Value> {
        let lines = self.log.iter();
        lines.filter(|line| line["message"] == message).collect()
    }

    /// Returns the fields of the only line with this message.
    fn line(&self, message: &str) -> &Value {
        let lines = self.lines(message);
        assert_eq!(lines.len(), 1, "{message}: {:#?}", self.log);
        lines[0]
    }
}

fn id(number: u64) -> String {
    Record::new(number).message_id
}

/// Returns a message about a payment of an account, with all fields that the function reads.
fn payment(number: u64, account: &str, cents: u64) -> Record {
    payment_in_parts(number, account, cents, 2)
}

fn payment_in_parts(number: u64, account: &str, cents: u64, instalments: u64) -> Record {
    let body = json!({"account": account, "cents": cents, "instalments": instalments});
    record(number, account).body(body)
}

fn record(number: u64, account: &str) -> Record {
    Record::new(number)
        .queue(QUEUE)
        .traced(number)
        .attribute("MessageGroupId", account)
        .message_attribute("correlation_id", format!("order-{number}"))
}

// The behaviour that users of the function rely on.
mod same_behaviour {
    use super::*;

    #[tokio::test]
    async fn payments_are_booked_in_their_trace() {
        for version in BOTH {
            let records = [payment(0, "ada", 500), payment(1, "bob", 300)];
            let outcome = version.invoke(StatusCode::CREATED, &records).await;
            assert_eq!(outcome.failed(), [""; 0], "{version:?}");
            assert_eq!(outcome.bookings.len(), 2, "{version:?}");
            for (number, account, cents) in [(0, "ada", 250), (1, "bob", 150)] {
                let mut bookings = outcome.bookings.iter();
                let body = json!({"account": account, "cents": cents});
                let booking = bookings.find(|booking| booking.json() == body).unwrap();
                let trace_id = booking.header("traceparent").split('-').nth(1);
                assert_eq!(trace_id, Some(&*Record::trace_id(number)), "{version:?}");
            }
        }
    }

    #[tokio::test]
    async fn booked_payments_are_logged_with_their_ids() {
        for version in BOTH {
            let records = [payment(7, "ada", 500)];
            let outcome = version.invoke(StatusCode::CREATED, &records).await;
            let line = outcome.line("payment booked");
            assert_eq!(line["level"], "INFO", "{version:?}");
            assert_eq!(line["requestId"], outcome.request_id, "{version:?}");
            assert_eq!(line["messageId"], id(7), "{version:?}");
            assert_eq!(line["trace_id"], Record::trace_id(7), "{version:?}");
            assert_eq!(line["correlation_id"], "order-7", "{version:?}");
            assert_eq!(line["account"], "ada", "{version:?}");
        }
    }

    #[tokio::test]
    async fn a_payment_without_an_amount_fails_alone() {
        for version in BOTH {
            let records = [payment(0, "ada", 0), payment(1, "bob", 300)];
            let outcome = version.invoke(StatusCode::CREATED, &records).await;
            assert_eq!(outcome.failed(), [id(0)], "{version:?}");
            assert_eq!(outcome.bookings.len(), 1, "{version:?}");
            let line = outcome.line("message failed");
            assert_eq!(line["level"], "WARN", "{version:?}");
            assert_eq!(line["requestId"], outcome.request_id, "{version:?}");
            assert_eq!(line["messageId"], id(0), "{version:?}");
            assert_eq!(line["trace_id"], Record::trace_id(0), "{version:?}");
            assert_eq!(line["correlation_id"], "order-0", "{version:?}");
            assert_eq!(line["error.type"], "no_amount", "{version:?}");
            assert_eq!(
                line["error.message"], "the payment has no amount",
                "{version:?}"
            );
            assert_eq!(line["retryable"], false, "{version:?}");
        }
    }

    #[tokio::test]
    async fn a_body_that_is_not_a_payment_fails_alone() {
        for version in BOTH {
            for body in ["{", r#"{"account": "ada"}"#, "[]", ""] {
                let records = [record(0, "ada").body(body), payment(1, "bob", 300)];
                let outcome = version.invoke(StatusCode::CREATED, &records).await;
                assert_eq!(outcome.failed(), [id(0)], "{version:?}: {body}");
                let line = outcome.line("message failed");
                assert_eq!(line["error.type"], "invalid_body", "{version:?}: {body}");
                assert_eq!(line["correlation_id"], "order-0", "{version:?}: {body}");
                assert_eq!(line["retryable"], false, "{version:?}: {body}");
            }
        }
    }

    #[tokio::test]
    async fn errors_of_the_ledger_have_their_class() {
        for version in BOTH {
            for (status, error_type, text, is_retryable) in [
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "ledger_unavailable",
                    "the ledger is not available: status 503 Service Unavailable",
                    true,
                ),
                (
                    StatusCode::CONFLICT,
                    "payment_rejected",
                    "the ledger rejected the payment with status 409 Conflict",
                    false,
                ),
            ] {
                let outcome = version.invoke(status, &[payment(0, "ada", 500)]).await;
                assert_eq!(outcome.failed(), [id(0)], "{version:?}: {status}");
                let line = outcome.line("message failed");
                assert_eq!(line["error.type"], error_type, "{version:?}");
                assert_eq!(line["error.message"], text, "{version:?}");
                assert_eq!(line["retryable"], is_retryable, "{version:?}: {status}");
            }
        }
    }

    #[tokio::test]
    async fn a_failure_returns_the_rest_of_its_account() {
        for version in BOTH {
            let records = [
                payment(0, "ada", 0),
                payment(1, "bob", 300),
                payment(2, "ada", 400),
                payment(3, "bob", 100),
            ];
            let outcome = version.invoke(StatusCode::CREATED, &records).await;
            assert_eq!(outcome.failed(), [id(0), id(2)], "{version:?}");
            let bookings = outcome.bookings.iter().map(ReceivedRequest::json);
            let expected = [150, 50].map(|cents| json!({"account": "bob", "cents": cents}));
            assert_eq!(bookings.collect::<Vec<_>>(), expected, "{version:?}");
            // A payment that was not tried is not an error.
            assert_eq!(outcome.lines("message failed").len(), 1, "{version:?}");
        }
    }

    #[tokio::test]
    async fn the_function_does_not_start_without_a_ledger() {
        for version in BOTH {
            let lambda = FakeLambda::start(&Function::new(version.binary())).await;
            let error = lambda.unwrap().wait_until_ready().await.unwrap_err();
            assert!(
                matches!(error, LambdaError::Exited { .. }),
                "{version:?}: {error}"
            );
        }
    }
}

// The behaviour that the function gains.
mod new_behaviour {
    use super::*;

    #[tokio::test]
    async fn a_panic_fails_only_its_message() {
        // The function divides by the number of instalments.
        let records = [payment(0, "ada", 500), payment_in_parts(1, "bob", 300, 0)];
        let before = Version::Before.invoke(StatusCode::CREATED, &records).await;
        let response = before.response.unwrap();
        assert!(
            response.is_err(),
            "the whole batch is redelivered: {response:?}"
        );

        let after = Version::After.invoke(StatusCode::CREATED, &records).await;
        assert_eq!(after.failed(), [id(1)]);
        let line = after.line("message failed");
        assert_eq!(line["error.type"], "panic");
        assert_eq!(line["correlation_id"], "order-1");
    }

    #[tokio::test]
    async fn a_hanging_payment_fails_alone_before_the_timeout() {
        const FUNCTION_TIMEOUT: Duration = Duration::from_secs(3);
        let records = [payment(0, "ada", 500), payment(1, "bob", 300)];
        let ledger = RecordingServer::start_hanging_on("ada").await;
        let before = Version::Before.invoke_with(&ledger, &records, FUNCTION_TIMEOUT);
        let before = before.await.response.unwrap_err();
        assert!(matches!(before, LambdaError::TimedOut(_)), "{before}");

        let ledger = RecordingServer::start_hanging_on("ada").await;
        let after = Version::After.invoke_with(&ledger, &records, FUNCTION_TIMEOUT);
        let after = after.await;
        assert_eq!(after.failed(), [id(0)]);
        assert_eq!(after.line("payment booked")["account"], "bob");
        assert_eq!(
            after.line("message failed")["error.type"],
            "deadline_exceeded"
        );
    }

    #[tokio::test]
    async fn each_message_has_a_span_in_the_trace_of_its_producer() {
        let records = [payment(0, "ada", 500), payment(1, "bob", 0)];
        let before = Version::Before.invoke(StatusCode::CREATED, &records).await;
        assert!(before.spans.is_empty());
        let header = before.bookings[0].header("traceparent");
        let producer = format!("00-{}-{}-01", Record::trace_id(0), Record::span_id(0));
        assert_eq!(
            header, producer,
            "the ledger's span would be beside the function's"
        );

        let after = Version::After.invoke(StatusCode::CREATED, &records).await;
        // One for each message, and one for the batch.
        assert_eq!(after.spans.len(), 3);
        for (number, error_type) in [(0, None), (1, Some("no_amount"))] {
            let mut spans = after.spans.iter();
            let parent = Record::span_id(number);
            let span = spans.find(|span| span.parent_span_id.as_deref() == Some(&parent));
            let span = span.unwrap();
            assert_eq!(span.trace_id, Record::trace_id(number));
            assert_eq!(span.name, "process payments.fifo");
            let error = span.attributes.get("error.type");
            assert_eq!(error, error_type.map(Into::into).as_ref());
            if number == 0 {
                let header = format!("00-{}-{}-01", span.trace_id, span.span_id);
                assert_eq!(after.bookings[0].header("traceparent"), header);
            }
        }
    }

    #[tokio::test]
    async fn spans_and_metrics_are_exported_before_the_response() {
        let ledger = RecordingServer::start(StatusCode::CREATED, Value::Null).await;
        let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
        let function = Function::new(Version::After.binary())
            .export_to(&collector)
            .variable("LEDGER_URL", &ledger.url)
            .freeze();
        let lambda = FakeLambda::start(&function).await.unwrap();
        let invocation = lambda.invoke(event(&[payment(0, "ada", 500)]), TIMEOUT);
        let responded_at = invocation.await.unwrap().responded_at;
        let spans = collector.spans().unwrap();
        assert_eq!(spans.len(), 2);
        assert!(spans.iter().all(|span| span.arrived_at < responded_at));
        let metrics = collector.metrics().unwrap();
        let duration = "messaging.process.duration";
        assert!(metrics.iter().any(|metric| metric.name == duration));
    }

    #[tokio::test]
    async fn no_value_of_an_invalid_body_is_logged() {
        let body = json!({"account": "ada", "cents": "DE02 1203 0000 0000"});
        let records = [record(0, "ada").body(body)];
        let before = Version::Before.invoke(StatusCode::CREATED, &records).await;
        assert!(
            before
                .log
                .iter()
                .any(|line| line.to_string().contains("DE02"))
        );

        let after = Version::After.invoke(StatusCode::CREATED, &records).await;
        assert!(
            !after
                .log
                .iter()
                .any(|line| line.to_string().contains("DE02"))
        );
        let text = &after.line("message failed")["error.message"];
        assert_eq!(
            text,
            "the body does not match the handler's type: error at line 1 column 46"
        );
    }
}
