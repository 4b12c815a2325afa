//! A fake service, and runs of `baton load`.

use std::ffi::OsString;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt as _;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Time limit for a run: several times the duration of each.
const LIMIT: Duration = Duration::from_secs(30);

/// A request that the service received.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedRequest {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// Behaviour of the service for the request with this number, counted from 0.
type Respond = dyn Fn(usize, ReceivedRequest) -> Answer + Send + Sync;

/// Response of the service.
pub(crate) enum Answer {
    Status(StatusCode),
    /// All requests wait for this time, as in a pause for garbage collection, and then get 202.
    Stall(Duration),
    /// No response.
    Hang,
}

#[derive(Clone)]
struct Service {
    respond: Arc<Respond>,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
    /// Held during a stall.
    stall: Arc<tokio::sync::Mutex<()>>,
}

/// A service on a free port. Dropping it stops the service.
pub(crate) struct FakeService {
    pub(crate) url: String,
    service: Service,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl FakeService {
    /// Starts a service that accepts every request.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_, _| Answer::Status(StatusCode::ACCEPTED)).await
    }

    pub(crate) async fn start_with(
        respond: impl Fn(usize, ReceivedRequest) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let service = Service {
            respond: Arc::new(respond),
            received: Arc::default(),
            stall: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/onboarding", listener.local_addr().unwrap());
        let connections = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&connections);
        let listener = listener.tap_io(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let router = Router::new().fallback(handle).with_state(service.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            service,
            connections,
            task,
        }
    }

    pub(crate) fn received(&self) -> Vec<ReceivedRequest> {
        self.service.received.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for FakeService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn handle(State(service): State<Service>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let request = ReceivedRequest {
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap(),
    };
    let number = {
        let mut received = service.received.lock().unwrap();
        received.push(request.clone());
        received.len() - 1
    };
    let status = match (service.respond)(number, request) {
        Answer::Status(status) => status,
        Answer::Stall(time) => {
            let _stalled = service.stall.lock().await;
            tokio::time::sleep(time).await;
            return StatusCode::ACCEPTED.into_response();
        }
        Answer::Hang => std::future::pending().await,
    };
    drop(service.stall.lock().await);
    status.into_response()
}

/// A finished run.
pub(crate) struct LoadRun {
    pub(crate) output: Output,
    /// The report, if there is one.
    pub(crate) report: Value,
}

impl LoadRun {
    pub(crate) fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).unwrap()
    }
}

/// Returns a command that sends load to `url` and prints its report as JSON.
pub(crate) fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = baton();
    command
        .args(["load", "--json", "-", "--url", url])
        .args(arguments);
    command
}

/// Returns a command that reads none of the `BATON_LOAD_*` variables of the tests' own environment.
pub(crate) fn baton() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    let variables = std::env::vars_os().map(|(name, _)| name);
    let is_load = |name: &OsString| {
        let name = name.to_string_lossy();
        name.starts_with("BATON_LOAD_") || name == "DEMO_MODE"
    };
    for name in variables.filter(is_load) {
        command.env_remove(name);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs a command until it ends.
pub(crate) async fn run(mut command: Command) -> LoadRun {
    let output = timeout(LIMIT, command.output()).await.unwrap().unwrap();
    finished(output)
}

pub(crate) fn finished(output: Output) -> LoadRun {
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    LoadRun { output, report }
}

/// Sends load to `url`.
pub(crate) async fn load(url: &str, arguments: &[&str]) -> LoadRun {
    run(command(url, arguments)).await
}
