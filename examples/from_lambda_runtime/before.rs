//! A consumer written with `lambda_runtime`: it books the payments of a FIFO queue.

use std::collections::{HashMap, HashSet};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use ledger::{Ledger, LedgerError};
use serde::Deserialize;

mod ledger;

#[derive(Deserialize)]
struct Payment {
    account: String,
    cents: u64,
    instalments: u64,
}

#[derive(Debug, thiserror::Error)]
enum PaymentError {
    #[error("the message has no body")]
    MissingBody,
    #[error("the body is not a payment: {0}")]
    InvalidBody(#[from] serde_json::Error),
    #[error("the payment has no amount")]
    NoAmount,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl PaymentError {
    fn error_type(&self) -> &'static str {
        match self {
            Self::MissingBody | Self::InvalidBody(_) => "invalid_body",
            Self::NoAmount => "no_amount",
            Self::Ledger(LedgerError::Rejected(_)) => "payment_rejected",
            Self::Ledger(_) => "ledger_unavailable",
        }
    }

    fn is_retryable(&self) -> bool {
        self.error_type() == "ledger_unavailable"
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_current_span(false)
        .init();
    let ledger = &Ledger::from_env()?;
    lambda_runtime::run(service_fn(|event| handle_batch(event, ledger))).await
}

async fn handle_batch(
    event: LambdaEvent<SqsEvent>,
    ledger: &Ledger,
) -> Result<SqsBatchResponse, Error> {
    let request_id = event.context.request_id;
    let mut failed_groups = HashSet::new();
    let mut response = SqsBatchResponse::default();
    for record in event.payload.records {
        // Lambda reads an empty identifier as a failure of the whole batch.
        let message_id = record.message_id.clone().ok_or("a message has no id")?;
        let group = record.attributes.get("MessageGroupId").cloned();
        // After a failure, the rest of its message group must be redelivered in order.
        if group.as_ref().is_some_and(|id| failed_groups.contains(id)) {
            response.add_failure(message_id);
            continue;
        }
        if let Err(error) = handle_record(&record, &request_id, ledger).await {
            tracing::warn!(
                requestId = request_id,
                messageId = message_id,
                trace_id = trace_id(&record),
                correlation_id = attribute(&record, "correlation_id"),
                error.type = error.error_type(),
                error.message = %error,
                retryable = error.is_retryable(),
                "message failed"
            );
            failed_groups.extend(group);
            response.add_failure(message_id);
        }
    }
    Ok(response)
}

async fn handle_record(
    record: &SqsMessage,
    request_id: &str,
    ledger: &Ledger,
) -> Result<(), PaymentError> {
    let body = record.body.as_ref().ok_or(PaymentError::MissingBody)?;
    let payment: Payment = serde_json::from_str(body)?;
    if payment.cents == 0 {
        return Err(PaymentError::NoAmount);
    }
    let cents = payment.cents / payment.instalments;
    ledger
        .book(&payment.account, cents, &trace_headers(record))
        .await?;
    tracing::info!(
        requestId = request_id,
        messageId = record.message_id,
        trace_id = trace_id(record),
        correlation_id = attribute(record, "correlation_id"),
        account = payment.account,
        "payment booked"
    );
    Ok(())
}

fn attribute<'a>(record: &'a SqsMessage, name: &str) -> Option<&'a str> {
    record.message_attributes.get(name)?.string_value.as_deref()
}

fn trace_id(record: &SqsMessage) -> Option<&str> {
    attribute(record, "traceparent")?.split('-').nth(1)
}

fn trace_headers(record: &SqsMessage) -> HashMap<String, String> {
    ["traceparent", "tracestate", "baggage"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), attribute(record, name)?.to_owned())))
        .collect()
}
