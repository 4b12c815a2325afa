//! The onboarding function: takes customers off the queue and stores them.
//!
//! | Variable | Meaning | Default |
//! |---|---|---|
//! | `TABLE_NAME` | the DynamoDB table that customers are kept in; needs the cargo feature `dynamodb` | the memory of the process |
//! | `BATON_DEMO_FAULTS` | faults to show, as `KIND=CUSTOMER_ID,…` with `fail-once`, `panic` or `slow` | none |
//!
//! and those of `baton_lambda` and `baton_telemetry`, and for the table those of the AWS SDKs, such
//! as `AWS_REGION` and `AWS_ENDPOINT_URL_DYNAMODB`.
//!
//! # Spans
//!
//! By the database conventions, under the message's span:
//!
//! | Span | Kind | Attributes |
//! |---|---|---|
//! | `PutItem {table}` | CLIENT | `db.system.name`, `db.operation.name`, `db.collection.name`, `aws.dynamodb.table_names`, `cloud.region`, `server.address`, `server.port`, `aws.request_id`, and where they apply `db.response.status_code`, `error.type` |
//! | `put onboardings`, in memory | CLIENT | `db.system.name`, `db.operation.name`, `db.collection.name` |
//!
//! `error.type` of the message is `invalid_onboarding`, `self_referral` or `customer_exists`, which
//! are permanent, or one that says why the table did not take the customer, and is retryable:
//! `store_throttled`, `store_timeout`, `store_unreachable`, `store_unavailable`, `store_refused`,
//! `store_failed` or, of a message without an identifier, `message_id_missing`.
//!
//! A customer id may be on spans and in logs; the e-mail address never is.

use std::fmt;
use std::sync::Arc;

use baton_lambda::{Consumer, Failure, Message};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use tracing::info;

use self::faults::Faults;
use self::onboarding::Onboarding;
use self::store::{Store, Stored};

mod faults;
mod onboarding;
mod store;

/// Which customer a record's span is about.
const CUSTOMER_ID: &str = "onboarding.customer_id";

/// What all messages share.
struct Onboarder {
    store: Store,
    faults: Faults,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let faults = Faults::from_env().map_err(StartError::Faults)?;
    let store = Store::from_env().await.map_err(StartError::Store)?;
    let onboarder = Arc::new(Onboarder { store, faults });
    let consumer = Consumer::builder().state(onboarder);
    consumer.run(onboard).await.map_err(StartError::Consumer)
}

async fn onboard(message: Message<Onboarding>, onboarder: Arc<Onboarder>) -> Result<(), Failure> {
    let onboarding = &message.body;
    onboarding
        .validate()
        .map_err(|violation| Failure::permanent(violation.error_type(), violation))?;
    let customer_id = onboarding.customer_id.as_str();
    let attribute = KeyValue::new(CUSTOMER_ID, customer_id.to_owned());
    Context::map_current(|context| context.span().set_attribute(attribute));
    let receive_count = message.receive_count().unwrap_or(1);
    onboarder.faults.strike(customer_id, receive_count).await?;
    match onboarder.store.put(onboarding, &message.id()).await? {
        Stored::New => info!(customer_id, plan = %onboarding.plan, "customer onboarded"),
        Stored::Again => info!(customer_id, "message was handled before"),
        Stored::Taken => {
            let reason = "another message has onboarded this customer";
            return Err(Failure::permanent("customer_exists", reason));
        }
    }
    Ok(())
}

/// Why the function did not start, or stopped.
enum StartError {
    Faults(faults::InvalidFaults),
    Store(store::InvalidStore),
    Consumer(baton_lambda::Error),
}

/// What a `main` that returns the error prints.
impl fmt::Debug for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faults(error) => write!(formatter, "{error}"),
            Self::Store(error) => write!(formatter, "{error}"),
            Self::Consumer(error) => write!(formatter, "{error}"),
        }
    }
}
