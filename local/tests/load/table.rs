use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::{Answer, FakeService, LoadRun, command, run};

const STEADY: [&str; 2] = ["--rate=50", "--duration=400ms"];
/// Number of items that the table reads for a page.
const PAGE: usize = 7;

/// Customers by the keys of their items.
type Items = Arc<Mutex<BTreeMap<String, String>>>;

/// A service that stores the customers of accepted requests in a table.
struct StoringService {
    items: Items,
    service: FakeService,
    endpoint: String,
    table: JoinHandle<()>,
}

impl StoringService {
    /// Starts a service that stores the customer of the request with this number if `is_stored`
    /// returns true.
    async fn start(is_stored: fn(usize, &Value) -> bool) -> Self {
        let items = Items::default();
        // Other runs and other entities, before and after the customers of the run.
        for other in ["load-0000000g-1", "c-1", "load-slow-0000000g-1"] {
            insert(&items, other);
        }
        let stored = Arc::clone(&items);
        let service = FakeService::start_with(move |number, request| {
            if is_stored(number, &request.body) {
                insert(&stored, request.body["customer_id"].as_str().unwrap());
            }
            Answer::Status(StatusCode::ACCEPTED)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/", post(scan))
            .with_state(Arc::clone(&items));
        Self {
            items,
            service: service.await,
            endpoint,
            table: tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }),
        }
    }

    /// Sends load, and counts the customers in this table.
    async fn load(&self, table: &str, arguments: &[&str]) -> LoadRun {
        let check = ["--settle-timeout=1s", "--table", table];
        let mut command = command(&self.service.url, &[arguments, &check].concat());
        command
            .env("AWS_ENDPOINT_URL_DYNAMODB", &self.endpoint)
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        run(command).await
    }
}

impl Drop for StoringService {
    fn drop(&mut self) {
        self.table.abort();
    }
}

fn insert(items: &Items, customer_id: &str) {
    let key = format!("customer#{customer_id}");
    items.lock().unwrap().insert(key, customer_id.to_owned());
}

/// Responds to a scan of a table: counts the customers of a page whose ids begin with one of the
/// values.
async fn scan(State(items): State<Items>, request: Bytes) -> (StatusCode, Json<Value>) {
    let request: Value = serde_json::from_slice(&request).unwrap();
    if request["TableName"] != "customers" {
        let error = json!({
            "__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
            "message": "Requested resource not found",
        });
        return (StatusCode::BAD_REQUEST, Json(error));
    }
    assert_eq!(request["Select"], "COUNT");
    assert_eq!(request["ConsistentRead"], true);
    let values = request["ExpressionAttributeValues"].as_object().unwrap();
    let conditions = values
        .keys()
        .map(|value| format!("begins_with(customer_id, {value})"));
    let expected = conditions.collect::<Vec<_>>().join(" OR ");
    assert_eq!(request["FilterExpression"], expected);
    let start = request["ExclusiveStartKey"]["pk"]["S"]
        .as_str()
        .unwrap_or_default();
    let items = items.lock().unwrap();
    let page: Vec<_> = items
        .iter()
        .filter(|(key, _)| key.as_str() > start)
        .take(PAGE)
        .collect();
    let is_wanted = |id: &str| {
        values
            .values()
            .any(|value| id.starts_with(value["S"].as_str().unwrap()))
    };
    let count = page.iter().filter(|(_, id)| is_wanted(id)).count();
    let mut response = json!({"Count": count, "ScannedCount": page.len()});
    if page.len() == PAGE {
        response["LastEvaluatedKey"] = json!({"pk": {"S": page[PAGE - 1].0}});
    }
    (StatusCode::OK, Json(response))
}

#[tokio::test]
async fn customers_in_the_table_are_processed() {
    let service = StoringService::start(|_, _| true).await;
    let run = service.load("customers", &STEADY).await;
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let check = &run.report["check"];
    assert_eq!(
        (&check["result"], &check["source"]),
        (&"complete".into(), &"table".into())
    );
    assert_eq!(
        (&check["processed"], &check["unverified_poison"]),
        (&20.into(), &0.into())
    );
    assert!(
        check["queued"].is_null() && check["dead_lettered"].is_null(),
        "{check}"
    );
    assert_eq!(service.items.lock().unwrap().len(), 23);
    // The customers of the first run do not count as those of the second.
    let run = service.load("customers", &STEADY).await;
    assert_eq!(run.report["check"]["processed"], 20);
}

#[tokio::test]
async fn a_customer_that_is_not_in_the_table_fails_the_run() {
    let service = StoringService::start(|number, _| number != 3).await;
    let run = service.load("customers", &STEADY).await;
    assert_eq!(run.code(), Some(1), "{}", run.stderr());
    let check = &run.report["check"];
    assert_eq!(check["result"], "incomplete");
    assert_eq!(
        (&check["processed"], &check["unaccounted"]),
        (&19.into(), &1.into())
    );
    assert!(
        run.stderr().contains("according to the table"),
        "{}",
        run.stderr()
    );
}

#[tokio::test]
async fn poison_customers_are_unverified_without_a_dead_letter_queue() {
    let service = StoringService::start(|_, body| body["referrer"].is_null()).await;
    let profile = [
        "--profile=blackfriday",
        "--faults-enabled",
        "--rate=1000",
        "--duration=1s",
    ];
    let run = service.load("customers", &profile).await;
    let report = &run.report;
    let check = &report["check"];
    assert_eq!(check["result"], "complete", "{}", run.stderr());
    let poison = report["requests"]["accepted_poison"].as_u64().unwrap();
    assert!(poison > 0);
    assert_eq!(check["unverified_poison"], poison);
    let accepted = report["requests"]["accepted"].as_u64().unwrap();
    assert_eq!(check["processed"], accepted - poison);
}

#[tokio::test]
async fn a_table_that_cannot_be_read_is_an_error_before_the_run() {
    let service = StoringService::start(|_, _| true).await;
    let run = service.load("of-others", &STEADY).await;
    assert_eq!(run.code(), Some(4), "{}", run.stderr());
    let error = "cannot count the customers in the table of-others: ResourceNotFoundException";
    assert!(run.stderr().contains(error), "{}", run.stderr());
    assert!(service.service.received().is_empty());
}
