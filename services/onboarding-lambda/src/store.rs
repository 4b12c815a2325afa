//! The store of customers.

use baton_lambda::Failure;

use self::memory::Memory;
use crate::onboarding::Onboarding;

#[cfg(feature = "dynamodb")]
mod dynamodb;
mod memory;
mod span;

/// The variable that names the table.
const TABLE_NAME: &str = "TABLE_NAME";

/// `error.type` of a message that has no identifier, which SQS does not send.
const TYPE_MESSAGE_ID_MISSING: &str = "message_id_missing";

/// The outcome of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PutOutcome {
    /// The customer was stored.
    Inserted,
    /// An earlier delivery of the same message has stored the customer. SQS delivers at least once.
    Redelivered,
    /// Another message has stored a customer with this id.
    CustomerExists,
}

/// A store that keeps each customer once, with the id of the message that created it.
#[derive(Debug)]
pub(crate) enum Store {
    Memory(Memory),
    #[cfg(feature = "dynamodb")]
    Table(dynamodb::Table),
}

/// An invalid configuration of the store.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidStore {
    #[cfg(feature = "dynamodb")]
    #[error("{TABLE_NAME}: expected 3 to 255 letters, digits, _, - or ., found {0:?}")]
    TableName(String),
    #[cfg(feature = "dynamodb")]
    #[error(
        "{TABLE_NAME} is set, but no region is known: AWS_REGION, which Lambda sets, is missing"
    )]
    NoRegion,
    /// Falling back to memory would lose the customers with the execution environment.
    #[cfg(not(feature = "dynamodb"))]
    #[error(
        "{TABLE_NAME} is set, but this function was built without the feature dynamodb: enable the feature, or unset {TABLE_NAME} to keep customers in memory"
    )]
    NotCompiledIn,
}

impl Store {
    /// Opens the table that the environment names, or else a store in memory.
    pub(crate) async fn from_env() -> Result<Self, InvalidStore> {
        let table = std::env::var_os(TABLE_NAME).filter(|name| !name.is_empty());
        let Some(table) = table else {
            return Ok(Self::Memory(Memory::default()));
        };
        Self::open_table(table.to_string_lossy().into_owned()).await
    }

    #[cfg(feature = "dynamodb")]
    async fn open_table(name: String) -> Result<Self, InvalidStore> {
        let table = dynamodb::Table::open(name, baton_sqs::config_loader()).await?;
        Ok(Self::Table(table))
    }

    #[cfg(not(feature = "dynamodb"))]
    async fn open_table(_: String) -> Result<Self, InvalidStore> {
        Err(InvalidStore::NotCompiledIn)
    }

    /// Stores a customer, in a CLIENT span.
    ///
    /// # Errors
    ///
    /// Every failure is retryable, because its cause is the store and not the message. A message
    /// without an identifier is not stored: the next one would look like its redelivery.
    pub(crate) async fn put(
        &self,
        onboarding: &Onboarding,
        message_id: &str,
    ) -> Result<PutOutcome, Failure> {
        if message_id.is_empty() {
            let reason = "the record has no messageId, which identifies redeliveries";
            return Err(Failure::retry(TYPE_MESSAGE_ID_MISSING, reason));
        }
        match self {
            Self::Memory(memory) => Ok(memory.put(onboarding, message_id)),
            #[cfg(feature = "dynamodb")]
            Self::Table(table) => {
                let result = table.put(onboarding, message_id).await;
                result.map_err(dynamodb::TableError::into_failure)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use baton_lambda::FailureKind;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_message_without_an_identifier_is_returned_and_not_stored() {
        let body = json!({"customer_id": "c-1", "email": "a@example.com", "plan": "team"});
        let onboarding = serde_json::from_value(body).unwrap();
        let store = Store::Memory(Memory::default());
        for _ in 0..2 {
            let failure = store.put(&onboarding, "").await.unwrap_err();
            assert_eq!(failure.error_type(), TYPE_MESSAGE_ID_MISSING);
            assert_eq!(failure.kind(), FailureKind::Retryable);
        }
        let outcome = store.put(&onboarding, "message-1").await.unwrap();
        assert_eq!(outcome, PutOutcome::Inserted);
    }

    #[cfg(not(feature = "dynamodb"))]
    #[tokio::test]
    async fn a_table_without_the_feature_is_a_start_error() {
        let error = Store::open_table("onboardings".into()).await.unwrap_err();
        assert!(
            error.to_string().starts_with("TABLE_NAME is set"),
            "{error}"
        );
    }
}
