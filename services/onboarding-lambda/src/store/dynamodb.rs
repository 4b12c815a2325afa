//! A store in a DynamoDB table. The key of an item is the customer.
//!
//! | Attribute | Value |
//! |---|---|
//! | `pk` | `customer#` and the customer's id: the table's partition key |
//! | `message_id` | the id of the message that created the customer |
//! | `customer_id`, `email`, `plan`, `referrer` | as in the message; `referrer` only if the message has one |
//!
//! A put has the condition `attribute_not_exists(pk)`. If the customer exists, DynamoDB returns the
//! item. If the same message created it, the item is not changed and the message succeeds. If
//! another message did, the put is a conflict.
//!
//! With the condition `attribute_not_exists(pk) OR message_id = :id`, redeliveries would succeed
//! too, and the item would not have to be returned. But `PutItem` replaces the whole item, so that
//! a redelivery, possibly hours later, would undo later changes to the customer.

use std::collections::HashMap;

use aws_config::ConfigLoader;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::RequestId as _;
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanRef, TraceContextExt as _};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_semantic_conventions::attribute as key;

use crate::onboarding::Onboarding;
use crate::store::span::{StoreInstruments, StoreSpan};
use crate::store::{InvalidStore, PutOutcome};

mod client;
mod error;

pub(super) use error::TableError;

const SYSTEM: &str = "aws.dynamodb";
const PUT_ITEM: &str = "PutItem";
/// Error code of a put whose customer exists. It is not recorded as a failure.
const CONDITION_FAILED: &str = "ConditionalCheckFailedException";

/// Condition of a put: the customer does not exist.
const CONDITION: &str = "attribute_not_exists(pk)";
/// Attribute that distinguishes a redelivery from another message.
const MESSAGE_ID: &str = "message_id";

/// Prefix of the keys of customers, so that the table can store other entities too.
const CUSTOMER_PREFIX: &str = "customer#";

/// A table of customers.
#[derive(Debug)]
pub(crate) struct Table {
    client: Client,
    name: String,
    region: String,
    instruments: StoreInstruments,
}

impl Table {
    /// Creates the client of a table. Makes no call to DynamoDB.
    pub(super) async fn open(name: String, loader: ConfigLoader) -> Result<Self, InvalidStore> {
        if !is_table_name(&name) {
            return Err(InvalidStore::TableName(name));
        }
        let (client, region) = client::load(loader).await?;
        Ok(Self {
            client,
            name,
            region,
            instruments: StoreInstruments::default(),
        })
    }

    pub(super) async fn put(
        &self,
        onboarding: &Onboarding,
        message_id: &str,
    ) -> Result<PutOutcome, TableError> {
        let names = Array::String(vec![self.name.clone().into()]);
        let attributes = vec![
            KeyValue::new(key::AWS_DYNAMODB_TABLE_NAMES, Value::Array(names)),
            KeyValue::new(key::CLOUD_REGION, self.region.clone()),
        ];
        let span = StoreSpan::start(&self.instruments, SYSTEM, PUT_ITEM, &self.name, attributes);
        let request = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item(onboarding, message_id)))
            .condition_expression(CONDITION)
            // A separate read could find another item, and would need another permission.
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let response = request.send().with_context(span.context().clone()).await;
        let outcome = read_response(&span.context().span(), response, message_id);
        match &outcome {
            Ok(_) => span.end(),
            Err(error) => {
                let error_type = error.record(&span.context().span());
                span.fail(error_type, error.to_string());
            }
        }
        outcome
    }
}

/// Converts the response, and records its request id and error code in the span.
fn read_response(
    span: &SpanRef<'_>,
    response: Result<PutItemOutput, SdkError<PutItemError>>,
    message_id: &str,
) -> Result<PutOutcome, TableError> {
    let request_id = match &response {
        Ok(output) => output.request_id(),
        Err(error) => error.request_id(),
    };
    if let Some(request_id) = request_id {
        let request_id = request_id.to_owned();
        span.set_attribute(KeyValue::new(key::AWS_REQUEST_ID, request_id));
    }
    let error = match response {
        Ok(_) => return Ok(PutOutcome::Inserted),
        Err(error) => error,
    };
    let Some(PutItemError::ConditionalCheckFailedException(rejection)) = error.as_service_error()
    else {
        return Err(error.into());
    };
    let code = KeyValue::new(key::DB_RESPONSE_STATUS_CODE, CONDITION_FAILED);
    span.set_attribute(code);
    let existing = rejection.item().ok_or(TableError::MissingItem)?;
    Ok(outcome_for_existing(existing, message_id))
}

/// Returns the outcome for a message whose customer exists: a redelivery if the item has the
/// message's id. An item without a message id was not created by a message.
fn outcome_for_existing(item: &HashMap<String, AttributeValue>, message_id: &str) -> PutOutcome {
    match item.get(MESSAGE_ID) {
        Some(AttributeValue::S(id)) if id == message_id => PutOutcome::Redelivered,
        _ => PutOutcome::CustomerExists,
    }
}

fn item(onboarding: &Onboarding, message_id: &str) -> HashMap<String, AttributeValue> {
    let customer_id = &onboarding.customer_id;
    let referrer = onboarding.referrer.as_deref();
    let attributes = [
        ("pk", Some(text(&format!("{CUSTOMER_PREFIX}{customer_id}")))),
        (MESSAGE_ID, Some(text(message_id))),
        ("customer_id", Some(text(customer_id))),
        ("email", Some(text(onboarding.email.expose()))),
        ("plan", Some(text(&onboarding.plan.to_string()))),
        ("referrer", referrer.map(text)),
    ];
    attributes
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// Returns `true` if DynamoDB allows the name for a table.
fn is_table_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (3..=255).contains(&name.len()) && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn table_names_follow_the_rules_of_dynamodb() {
        for name in ["abc", "baton-Onboarding_Table.1", &"x".repeat(255)] {
            assert!(is_table_name(name), "{name}");
        }
        for name in ["ab", "on boardings", "täble", &"x".repeat(256)] {
            assert!(!is_table_name(name), "{name}");
        }
    }

    #[test]
    fn only_the_message_that_created_an_item_is_a_redelivery() {
        let item_of = |value| HashMap::from([(MESSAGE_ID.to_owned(), value)]);
        for (item, outcome) in [
            (item_of(text("message-1")), PutOutcome::Redelivered),
            (item_of(text("message-2")), PutOutcome::CustomerExists),
            (
                item_of(AttributeValue::N("1".into())),
                PutOutcome::CustomerExists,
            ),
            (HashMap::new(), PutOutcome::CustomerExists),
        ] {
            assert_eq!(
                outcome_for_existing(&item, "message-1"),
                outcome,
                "{item:?}"
            );
        }
    }

    #[test]
    fn an_item_contains_the_fields_of_the_message_and_no_empty_attribute() {
        let body = json!({"customer_id": "c-1", "email": "a@example.com", "plan": "team"});
        let onboarding = serde_json::from_value(body).unwrap();
        let mut item: Vec<_> = item(&onboarding, "message-1").into_iter().collect();
        item.sort_by(|(one, _), (other, _)| one.cmp(other));
        let expected = [
            ("customer_id", "c-1"),
            ("email", "a@example.com"),
            ("message_id", "message-1"),
            ("pk", "customer#c-1"),
            ("plan", "team"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), text(value)));
        assert_eq!(item, expected);
    }
}
