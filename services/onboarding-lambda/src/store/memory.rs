//! A store in the memory of one execution environment, for the local stack.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use tracing::warn;

use crate::onboarding::Onboarding;
use crate::store::PutOutcome;
use crate::store::span::{StoreInstruments, StoreSpan};

const SYSTEM: &str = "memory";
const COLLECTION: &str = "onboardings";
const PUT: &str = "put";

/// The id of the message that created each customer, by customer id.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    message_ids: Mutex<HashMap<String, String>>,
    instruments: StoreInstruments,
}

impl Memory {
    pub(super) fn put(&self, onboarding: &Onboarding, message_id: &str) -> PutOutcome {
        let span = StoreSpan::start(&self.instruments, SYSTEM, PUT, COLLECTION, Vec::new());
        let outcome = self.insert(onboarding, message_id);
        span.end();
        outcome
    }

    fn insert(&self, onboarding: &Onboarding, message_id: &str) -> PutOutcome {
        let customers = &self.message_ids;
        let mut customers = customers.lock().unwrap_or_else(PoisonError::into_inner);
        if customers.is_empty() {
            warn!("customers are kept in memory and are lost when this execution environment ends");
        }
        match customers.entry(onboarding.customer_id.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(message_id.to_owned());
                PutOutcome::Inserted
            }
            Entry::Occupied(occupied) if occupied.get() == message_id => PutOutcome::Redelivered,
            Entry::Occupied(_) => PutOutcome::CustomerExists,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_customer_is_stored_once_and_a_redelivery_is_not_a_conflict() {
        let body = json!({"customer_id": "c-1", "email": "a@example.com", "plan": "team"});
        let onboarding = serde_json::from_value(body).unwrap();
        let memory = Memory::default();
        assert_eq!(memory.put(&onboarding, "message-1"), PutOutcome::Inserted);
        assert_eq!(
            memory.put(&onboarding, "message-1"),
            PutOutcome::Redelivered
        );
        assert_eq!(
            memory.put(&onboarding, "message-2"),
            PutOutcome::CustomerExists
        );
    }
}
