//! In a DynamoDB table, with the customer as its key.
//!
//! | Attribute | Value |
//! |---|---|
//! | `pk` | `customer#` and the customer's id: the table's partition key |
//! | `message_id` | the message that brought the customer |
//! | `customer_id`, `email`, `plan`, `referrer` | as in the message; `referrer` only if there is one |
//!
//! A put writes only if the customer is not there, under the condition `attribute_not_exists(pk)`.
//! Otherwise DynamoDB shows the item that is in the way: brought by the same message, it stays as
//! it is, and the message succeeds; brought by another, it is that one's customer.
//!
//! The condition `attribute_not_exists(pk) OR message_id = :id` would let the same messages
//! succeed, and need no answer with an item in it. But `PutItem` replaces whole items: a
//! redelivery, hours later if need be, would undo whatever has become of the customer since.

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
use crate::store::{InvalidStore, Stored, span};

pub(super) mod client;
mod error;

pub(super) use error::TableError;

const SYSTEM: &str = "aws.dynamodb";
const PUT_ITEM: &str = "PutItem";
/// The answer that the customer is there already, which is none of DynamoDB's faults.
const CONDITION_FAILED: &str = "ConditionalCheckFailedException";

/// Not there yet.
const CONDITION: &str = "attribute_not_exists(pk)";
/// Attribute by which a redelivery is told from another message.
const MESSAGE_ID: &str = "message_id";

/// What the key of a customer begins with, so that the table has room for other things.
const CUSTOMER: &str = "customer#";

/// A table that customers are put into.
#[derive(Debug)]
pub(crate) struct Table {
    client: Client,
    name: String,
    region: String,
}

impl Table {
    /// The table of this name, as the loader says where. Nothing is asked of it yet.
    pub(super) async fn open(name: String, loader: ConfigLoader) -> Result<Self, InvalidStore> {
        if !is_table_name(&name) {
            return Err(InvalidStore::TableName(name));
        }
        let (client, region) = client::load(loader).await?;
        Ok(Self {
            client,
            name,
            region,
        })
    }

    pub(super) async fn put(
        &self,
        onboarding: &Onboarding,
        message_id: &str,
    ) -> Result<Stored, TableError> {
        let names = Array::String(vec![self.name.clone().into()]);
        let attributes = vec![
            KeyValue::new(key::AWS_DYNAMODB_TABLE_NAMES, Value::Array(names)),
            KeyValue::new(key::CLOUD_REGION, self.region.clone()),
        ];
        let call = span::start(SYSTEM, PUT_ITEM, &self.name, attributes);
        let request = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item(onboarding, message_id)))
            .condition_expression(CONDITION)
            // In the same call: a read afterwards could find another item, and would need another
            // permission.
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let answer = request.send().with_context(call.0.clone()).await;
        let stored = stored(&call.0.span(), answer, message_id);
        if let Err(error) = &stored {
            error.record(&call.0.span());
        }
        call.end();
        stored
    }
}

/// Reads the answer, and puts on the span what DynamoDB said.
fn stored(
    span: &SpanRef<'_>,
    answer: Result<PutItemOutput, SdkError<PutItemError>>,
    message_id: &str,
) -> Result<Stored, TableError> {
    let request_id = match &answer {
        Ok(output) => output.request_id(),
        Err(error) => error.request_id(),
    };
    if let Some(request_id) = request_id {
        let request_id = request_id.to_owned();
        span.set_attribute(KeyValue::new(key::AWS_REQUEST_ID, request_id));
    }
    let error = match answer {
        Ok(_) => return Ok(Stored::New),
        Err(error) => error,
    };
    let Some(PutItemError::ConditionalCheckFailedException(refusal)) = error.as_service_error()
    else {
        return Err(error.into());
    };
    let code = KeyValue::new(key::DB_RESPONSE_STATUS_CODE, CONDITION_FAILED);
    span.set_attribute(code);
    let in_the_way = refusal.item().ok_or(TableError::ItemWithheld)?;
    Ok(stored_before(in_the_way, message_id))
}

/// What it means for this message that the item is there already. One that no message brought is
/// not this one's either.
fn stored_before(item: &HashMap<String, AttributeValue>, message_id: &str) -> Stored {
    match item.get(MESSAGE_ID) {
        Some(AttributeValue::S(id)) if id == message_id => Stored::Again,
        _ => Stored::Taken,
    }
}

fn item(onboarding: &Onboarding, message_id: &str) -> HashMap<String, AttributeValue> {
    let customer_id = &onboarding.customer_id;
    let referrer = onboarding.referrer.as_deref();
    let attributes = [
        ("pk", Some(text(&format!("{CUSTOMER}{customer_id}")))),
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

/// What DynamoDB allows as the name of a table.
fn is_table_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (3..=255).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_named_by_dynamodbs_rules() {
        for name in ["abc", "baton-Onboarding_Table.1", &"x".repeat(255)] {
            assert!(is_table_name(name), "{name}");
        }
        for name in ["ab", "on boardings", "täble", &"x".repeat(256)] {
            assert!(!is_table_name(name), "{name}");
        }
    }

    #[test]
    fn only_the_message_that_brought_an_item_finds_it_again() {
        let of = |value| HashMap::from([(MESSAGE_ID.to_owned(), value)]);
        for (item, stored) in [
            (of(text("message-1")), Stored::Again),
            (of(text("message-2")), Stored::Taken),
            (of(AttributeValue::N("1".into())), Stored::Taken),
            (HashMap::new(), Stored::Taken),
        ] {
            assert_eq!(stored_before(&item, "message-1"), stored, "{item:?}");
        }
    }

    #[test]
    fn an_item_has_what_the_message_says_and_no_empty_attribute() {
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
