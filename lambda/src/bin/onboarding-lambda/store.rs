//! Where customers are kept.

use crate::onboarding::Onboarding;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_semantic_conventions::attribute::{
    DB_COLLECTION_NAME, DB_OPERATION_NAME, DB_SYSTEM_NAME,
};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use tracing::warn;

const SCOPE: &str = "onboarding.store";
const COLLECTION: &str = "onboardings";
const PUT: &str = "put";

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
pub(crate) trait Store: Send + Sync {
    /// `db.system.name` of its spans.
    const SYSTEM: &'static str;

    fn put(&self, onboarding: &Onboarding, message_id: &str)
    -> impl Future<Output = Stored> + Send;
}

/// A store whose calls are CLIENT spans, by the database conventions.
pub(crate) struct Traced<S>(pub(crate) S);

impl<S: Store> Traced<S> {
    pub(crate) async fn put(&self, onboarding: &Onboarding, message_id: &str) -> Stored {
        let tracer = global::tracer(SCOPE);
        let span = tracer
            .span_builder(format!("{PUT} {COLLECTION}"))
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new(DB_SYSTEM_NAME, S::SYSTEM),
                KeyValue::new(DB_OPERATION_NAME, PUT),
                KeyValue::new(DB_COLLECTION_NAME, COLLECTION),
            ])
            .start(&tracer);
        let context = Context::current_with_span(span);
        let put = self.0.put(onboarding, message_id);
        let stored = put.with_context(context.clone()).await;
        context.span().end();
        stored
    }
}

/// In the memory of one execution environment: for the laptop, where nothing has to outlive it.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    message_of_customer: Mutex<HashMap<String, String>>,
}

impl Store for MemoryStore {
    const SYSTEM: &'static str = "memory";

    async fn put(&self, onboarding: &Onboarding, message_id: &str) -> Stored {
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
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn a_customer_is_stored_once_and_a_redelivery_is_no_conflict() {
        let body = json!({"customer_id": "c-1", "email": "a@example.com", "plan": "team"});
        let onboarding = serde_json::from_value(body).unwrap();
        let store = Traced(MemoryStore::default());
        assert_eq!(store.put(&onboarding, "message-1").await, Stored::New);
        assert_eq!(store.put(&onboarding, "message-1").await, Stored::Again);
        assert_eq!(store.put(&onboarding, "message-2").await, Stored::Taken);
    }
}
