//! In the memory of one execution environment: for the laptop, where nothing has to outlive it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use tracing::warn;

use crate::onboarding::Onboarding;
use crate::store::{Stored, span};

const SYSTEM: &str = "memory";
const COLLECTION: &str = "onboardings";
const PUT: &str = "put";

/// Which message has brought each customer.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    message_of_customer: Mutex<HashMap<String, String>>,
}

impl Memory {
    pub(super) fn put(&self, onboarding: &Onboarding, message_id: &str) -> Stored {
        let call = span::start(SYSTEM, PUT, COLLECTION, Vec::new());
        let stored = self.put_within(onboarding, message_id);
        call.end();
        stored
    }

    fn put_within(&self, onboarding: &Onboarding, message_id: &str) -> Stored {
        let customers = &self.message_of_customer;
        let mut customers = customers.lock().unwrap_or_else(PoisonError::into_inner);
        if customers.is_empty() {
            warn!(
                "customers are kept in the memory of this execution environment, and nowhere else"
            );
        }
        match customers.entry(onboarding.customer_id.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(message_id.to_owned());
                Stored::New
            }
            Entry::Occupied(occupied) if occupied.get() == message_id => Stored::Again,
            Entry::Occupied(_) => Stored::Taken,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_customer_is_stored_once_and_a_redelivery_is_no_conflict() {
        let body = json!({"customer_id": "c-1", "email": "a@example.com", "plan": "team"});
        let onboarding = serde_json::from_value(body).unwrap();
        let memory = Memory::default();
        assert_eq!(memory.put(&onboarding, "message-1"), Stored::New);
        assert_eq!(memory.put(&onboarding, "message-1"), Stored::Again);
        assert_eq!(memory.put(&onboarding, "message-2"), Stored::Taken);
    }
}
