//! Where customers are kept.

#[cfg(feature = "dynamodb")]
mod dynamodb;
mod memory;
mod span;

use crate::onboarding::Onboarding;
use baton_lambda::Failure;
use memory::Memory;

/// The variable that names the table.
const TABLE_NAME: &str = "TABLE_NAME";

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
    pub(crate) async fn put(
        &self,
        onboarding: &Onboarding,
        message_id: &str,
    ) -> Result<Stored, Failure> {
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

#[cfg(all(test, not(feature = "dynamodb")))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_table_without_the_feature_keeps_the_function_from_starting() {
        let error = Store::of_table("onboardings".into()).await.unwrap_err();
        assert!(
            error.to_string().starts_with("TABLE_NAME is set"),
            "{error}"
        );
    }
}
