//! JSON of the responses.

use serde::Serialize;

/// State of the current run, or of the last one.
#[derive(Debug, Serialize)]
pub(super) struct RunState {
    pub(super) id: String,
    /// `running`, `finished` or `stopped`.
    pub(super) state: &'static str,
    pub(super) url: String,
    pub(super) profile: &'static str,
    pub(super) duration_seconds: u64,
    pub(super) requests_per_minute: u64,
    /// Number of requests that the run sends if it is not stopped.
    pub(super) planned_requests: u64,
    /// Time until no further request starts, rounded up. 0 if the run has ended.
    pub(super) ends_in_seconds: u64,
    /// The report of `--json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) report: Option<serde_json::Value>,
}

#[derive(Debug, Serialize)]
pub(super) struct Status {
    pub(super) status: &'static str,
}

/// State of a server that has not started a run yet.
#[derive(Debug, Serialize)]
pub(super) struct Idle {
    pub(super) state: &'static str,
}
