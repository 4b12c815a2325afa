//! The result of a call, recorded on its spans and in its metrics.

use aws_sdk_sqs::config::interceptors::FinalizerInterceptorContextRef;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::operation::RequestId;
use aws_sdk_sqs::operation::send_message::{SendMessageError, SendMessageOutput};
use aws_sdk_sqs::operation::send_message_batch::{SendMessageBatchError, SendMessageBatchOutput};
use opentelemetry::trace::TraceContextExt as _;

use super::call::{Call, fail};
use crate::error_type;
use crate::span::record_accepted;

/// The error of a whole call.
struct Failure {
    error_type: String,
    request_id: Option<String>,
}

/// Records the result of a call in its metrics and on its spans, and ends the spans. The metrics
/// come first, so that they are correct even if a span processor panics.
pub(super) fn finish(call: &Call, context: &FinalizerInterceptorContextRef<'_>) {
    if let Some(failure) = find_failure(context) {
        return finish_failed(call, &failure);
    }
    let Some(Ok(output)) = context.output_or_error() else {
        return;
    };
    if let Some(output) = output.downcast_ref::<SendMessageOutput>() {
        if let Some(measurement) = &call.measurement {
            measurement.finish(&[]);
        }
        let span = call.send.span();
        record_accepted(&span, output.message_id(), output.request_id());
        span.end();
    } else if let Some(output) = output.downcast_ref::<SendMessageBatchOutput>() {
        finish_batch(call, output);
    }
}

fn finish_failed(call: &Call, failure: &Failure) {
    if let Some(measurement) = &call.measurement {
        measurement.fail(&failure.error_type);
    }
    let request_id = failure.request_id.as_deref();
    record_accepted(&call.send.span(), None, request_id);
    let description = format!("the call to SQS failed: {}", failure.error_type);
    for span in call.spans() {
        fail(&span, &failure.error_type, &description);
    }
}

/// Records the result of each message. The `send` span fails with the first message that failed,
/// because the SDK reports such a call as successful.
fn finish_batch(call: &Call, output: &SendMessageBatchOutput) {
    let results = call.messages.iter();
    let results: Vec<Result<&str, &str>> = results
        .map(|message| find_result(output, &message.id))
        .collect();
    let failures: Vec<&str> = results.iter().filter_map(|result| result.err()).collect();
    if let Some(measurement) = &call.measurement {
        measurement.finish(&failures);
    }
    for (message, result) in call.messages.iter().zip(results) {
        let Some(create) = &message.create else {
            continue;
        };
        let span = create.span();
        match result {
            Ok(message_id) => record_accepted(&span, Some(message_id), None),
            Err(code) => fail(
                &span,
                code,
                &format!("SQS did not accept the message: {code}"),
            ),
        }
        span.end();
    }
    let span = call.send.span();
    record_accepted(&span, None, output.request_id());
    if let Some(code) = failures.first() {
        let (failed, count) = (failures.len(), call.messages.len());
        fail(
            &span,
            code,
            &format!("SQS did not accept {failed} of {count} messages"),
        );
    }
    span.end();
}

/// Returns the id that SQS gave a message, or the `error.type`. A message that is missing in the
/// response has failed.
fn find_result<'a>(output: &'a SendMessageBatchOutput, id: &str) -> Result<&'a str, &'a str> {
    let mut successful = output.successful().iter();
    if let Some(entry) = successful.find(|entry| entry.id() == id) {
        return Ok(entry.message_id());
    }
    let mut failed = output.failed().iter();
    let failed = failed.find(|entry| entry.id() == id);
    Err(failed.map_or(error_type::INVALID_RESPONSE, |entry| entry.code()))
}

fn find_failure(context: &FinalizerInterceptorContextRef<'_>) -> Option<Failure> {
    let error = context.output_or_error()?.err()?;
    if let Some(rejection) = error.as_operation_error() {
        let single = rejection.downcast_ref::<SendMessageError>();
        let batch = rejection.downcast_ref::<SendMessageBatchError>();
        let rejected = single.map(rejected).or_else(|| batch.map(rejected));
        return rejected.or_else(|| Some(Failure::without_response(error_type::OTHER)));
    }
    let error_type = if error.is_timeout_error() {
        error_type::TIMEOUT
    } else if let Some(error) = error.as_connector_error() {
        error_type::classify_connector_error(error)
    } else if error.is_response_error() {
        error_type::INVALID_RESPONSE
    } else if context.request().is_none() {
        error_type::UNBUILDABLE
    } else {
        error_type::OTHER
    };
    Some(Failure::without_response(error_type))
}

fn rejected<E: ProvideErrorMetadata + RequestId>(error: &E) -> Failure {
    Failure {
        error_type: error.code().unwrap_or(error_type::OTHER).to_owned(),
        request_id: error.request_id().map(str::to_owned),
    }
}

impl Failure {
    fn without_response(error_type: &str) -> Self {
        Self {
            error_type: error_type.to_owned(),
            request_id: None,
        }
    }
}
