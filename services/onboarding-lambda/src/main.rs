//! The onboarding function: consumes the onboarding queue and stores the customers.
//!
//! | Variable | Meaning | Default |
//! |---|---|---|
//! | `TABLE_NAME` | the DynamoDB table that stores the customers; needs the cargo feature `dynamodb` | none: customers are kept in the memory of the process |
//! | `BATON_DEMO_FAULTS` | faults for demonstrations, as `KIND=CUSTOMER_ID,…` with `fail-once`, `panic` or `slow` | none |
//!
//! It also reads the variables of `baton_lambda` and `baton_telemetry` and, for the table, those of
//! the AWS SDKs, such as `AWS_REGION` and `AWS_ENDPOINT_URL_DYNAMODB`.
//!
//! # Spans
//!
//! The spans follow OpenTelemetry's database conventions. They are children of the message's span:
//!
//! | Span | Kind | Attributes |
//! |---|---|---|
//! | `PutItem {table}` | CLIENT | `db.system.name`, `db.operation.name`, `db.collection.name`, `aws.dynamodb.table_names`, `cloud.region`, `server.address`, `server.port`, `aws.request_id`, and, if they apply, `db.response.status_code`, `error.type` |
//! | `put onboardings`, in memory | CLIENT | `db.system.name`, `db.operation.name`, `db.collection.name` |
//!
//! # Metrics
//!
//! | Metric | Kind | Unit | Attributes | Meaning |
//! |---|---|---|---|---|
//! | `db.client.operation.duration` | histogram | `s` | `db.collection.name`, `db.operation.name`, `db.system.name`, `error.type` | duration of a call to the store, including the SDK's retries |
//!
//! # Failures
//!
//! `error.type` of a failed message:
//!
//! | Value | Failure |
//! |---|---|
//! | `invalid_onboarding`, `self_referral`, `customer_exists` | permanent |
//! | `store_throttled`, `store_timeout`, `store_unreachable`, `store_unavailable`, `store_refused`, `store_failed` | retryable: the table did not store the customer |
//! | `message_id_missing` | retryable: the message has no identifier |
//!
//! Spans and logs may contain customer ids, but never e-mail addresses.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use baton_lambda::{Consumer, Failure, Message};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use tracing::info;

use self::faults::Faults;
use self::onboarding::Onboarding;
use self::store::{PutOutcome, Store};

mod faults;
mod onboarding;
mod store;

/// Attribute of a message's span: the customer's id.
const CUSTOMER_ID: &str = "onboarding.customer_id";

/// State that all messages share.
struct AppState {
    store: Store,
    faults: Faults,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let faults = Faults::from_env().map_err(StartError::Faults)?;
    let store = Store::from_env().await.map_err(StartError::Store)?;
    let state = Arc::new(AppState { store, faults });
    let consumer = Consumer::builder().state(state);
    consumer.run(onboard).await.map_err(StartError::Consumer)
}

async fn onboard(message: Message<Onboarding>, state: Arc<AppState>) -> Result<(), Failure> {
    let onboarding = &message.body;
    onboarding
        .validate()
        .map_err(|error| Failure::permanent(error.error_type(), error))?;
    let customer_id = onboarding.customer_id.as_str();
    let attribute = KeyValue::new(CUSTOMER_ID, customer_id.to_owned());
    Context::map_current(|context| context.span().set_attribute(attribute));
    let receive_count = message.receive_count().unwrap_or(1);
    state.faults.inject(customer_id, receive_count).await?;
    match state.store.put(onboarding, &message.id()).await? {
        PutOutcome::Inserted => info!(customer_id, plan = %onboarding.plan, "customer onboarded"),
        PutOutcome::Redelivered => info!(customer_id, "message handled before: skipped"),
        PutOutcome::CustomerExists => {
            let reason = "customer already onboarded by another message";
            return Err(Failure::permanent("customer_exists", reason));
        }
    }
    Ok(())
}

/// An error that prevents the function from starting, or stops it.
enum StartError {
    Faults(faults::InvalidFaults),
    Store(store::InvalidStore),
    Consumer(baton_lambda::Error),
}

/// `main` prints the `Debug` form of an error that it returns.
impl fmt::Debug for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faults(error) => write!(formatter, "{error}"),
            Self::Store(error) => write!(formatter, "{error}"),
            Self::Consumer(error) => write!(formatter, "{error}"),
        }
    }
}
