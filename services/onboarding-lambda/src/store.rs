//! Where customers are kept.

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

/// What putting a customer came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// The customer was not there before.
    New,
    /// The same message has put the customer there: SQS delivers at least once.
    Again,
    /// Another message has put the customer there.
    Taken,
}

/// Keeps each customer once, with the message that brought it.
#[derive(Debug)]
pub(crate) enum Store {
    Memory(Memory),
    #[cfg(feature = "dynamodb")]
    Table(dynamodb::Table),
}

/// A store that the environment asks for and that cannot be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidStore {
    #[cfg(feature = "dynamodb")]
    #[error("{TABLE_NAME}: expected 3 to 255 letters, digits, _, - or ., found {0:?}")]
    TableName(String),
    #[cfg(feature = "dynamodb")]
    #[error("{TABLE_NAME} is set, but not AWS_REGION, which Lambda sets: no region is known")]
    NoRegion,
    /// Whoever names a table does not want customers to be gone with the execution environment.
    #[cfg(not(feature = "dynamodb"))]
    #[error(
        "{TABLE_NAME} is set, but this function was built without the feature dynamodb and cannot use a table: build it with it, or unset {TABLE_NAME} to keep customers in memory"
    )]
    NotCompiledIn,
}

impl Store {
    /// The table that the environment names, or else the memory of this process.
    pub(crate) async fn from_env() -> Result<Self, InvalidStore> {
        let table = std::env::var_os(TABLE_NAME).filter(|name| !name.is_empty());
        let Some(table) = table else {
            return Ok(Self::Memory(Memory::default()));
        };
        Self::of_table(table.to_string_lossy().into_owned()).await
    }

    #[cfg(feature = "dynamodb")]
    async fn of_table(name: String) -> Result<Self, InvalidStore> {
        let table = dynamodb::Table::open(name, dynamodb::client::environment()).await?;
        Ok(Self::Table(table))
    }

    #[cfg(not(feature = "dynamodb"))]
    async fn of_table(_: String) -> Result<Self, InvalidStore> {
        Err(InvalidStore::NotCompiledIn)
    }

    /// Puts a customer, in a CLIENT span. A failure may pass: it says nothing about the message.
    ///
    /// A message without an identifier is not put: each such message would look like a redelivery
    /// of the one before.
    pub(crate) async fn put(
        &self,
        onboarding: &Onboarding,
        message_id: &str,
    ) -> Result<Stored, Failure> {
        if message_id.is_empty() {
            let reason = "the record has no messageId, by which a redelivery is recognised";
            return Err(Failure::retry(TYPE_MESSAGE_ID_MISSING, reason));
        }
        match self {
            Self::Memory(memory) => Ok(memory.put(onboarding, message_id)),
            #[cfg(feature = "dynamodb")]
            Self::Table(table) => {
                let stored = table.put(onboarding, message_id).await;
                stored.map_err(dynamodb::TableError::into_failure)
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
    async fn a_message_without_an_identifier_is_given_back_and_not_put() {
        let body = json!({"customer_id": "c-1", "email": "a@example.com", "plan": "team"});
        let onboarding = serde_json::from_value(body).unwrap();
        let store = Store::Memory(Memory::default());
        for _ in 0..2 {
            let failure = store.put(&onboarding, "").await.unwrap_err();
            assert_eq!(failure.error_type(), TYPE_MESSAGE_ID_MISSING);
            assert_eq!(failure.kind(), FailureKind::Retryable);
        }
        let stored = store.put(&onboarding, "message-1").await.unwrap();
        assert_eq!(stored, Stored::New);
    }

    #[cfg(not(feature = "dynamodb"))]
    #[tokio::test]
    async fn a_table_without_the_feature_keeps_the_function_from_starting() {
        let error = Store::of_table("onboardings".into()).await.unwrap_err();
        assert!(
            error.to_string().starts_with("TABLE_NAME is set"),
            "{error}"
        );
    }
}
