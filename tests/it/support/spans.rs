//! The spans of the stack's OTLP receiver.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::producer::AcceptedMessage;
use super::{eventually, http};

/// Names of the pipeline's spans, by the semantic conventions.
pub(crate) const REQUEST: &str = "POST /onboarding";
pub(crate) const SEND: &str = "send onboarding";
pub(crate) const PROCESS: &str = "process onboarding";
pub(crate) const BATCH: &str = "process_batch onboarding";

/// A span in the response to `GET /api/spans`, with the fields that the tests read.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Span {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) parent_span_id: Option<String>,
    pub(crate) trace_state: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) start_unix_nano: u64,
    pub(crate) end_unix_nano: u64,
    pub(crate) attributes: Map<String, Value>,
    pub(crate) links: Vec<Link>,
    pub(crate) status: Status,
    pub(crate) resource: Map<String, Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Link {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) attributes: Map<String, Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Status {
    pub(crate) code: String,
}

#[derive(Debug, Deserialize)]
struct Page {
    spans: Vec<Span>,
}

/// The spans of the receiver.
#[derive(Debug)]
pub(crate) struct Spans {
    url: String,
}

impl Spans {
    pub(crate) fn new(otlp_http: &str) -> Self {
        Self {
            url: format!("{otlp_http}/api/spans"),
        }
    }

    /// Returns all spans as JSON text.
    pub(crate) async fn text(&self) -> String {
        http::get(&self.url).await.body
    }

    /// Waits for this many spans with a name, and returns all of them.
    pub(crate) async fn wait_for(&self, name: &str, count: usize) -> Vec<Span> {
        eventually(&format!("{count} spans {name}"), async || {
            found(self.read(&self.url).await, name, count)
        })
        .await
    }

    /// Waits for this many deliveries of a message and the end of its request. Returns its trace.
    pub(crate) async fn trace(&self, message: &AcceptedMessage, deliveries: usize) -> Trace {
        let what = format!(
            "the trace {} with {deliveries} deliveries",
            message.trace_id
        );
        let spans = eventually(&what, async || {
            let spans = self.find_trace(&message.trace_id).await;
            let complete = count(&spans, PROCESS) >= deliveries
                && spans.iter().any(|span| span.kind == "SERVER");
            (complete && count(&spans, SEND) > 0).then_some(spans)
        });
        Trace(spans.await)
    }

    /// Returns the current spans of a trace.
    pub(crate) async fn find_trace(&self, trace_id: &str) -> Vec<Span> {
        self.read(&format!("{}?trace_id={trace_id}", self.url))
            .await
    }

    async fn read(&self, url: &str) -> Vec<Span> {
        let response = http::get(url).await;
        let page: Page = serde_json::from_value(response.json())
            .unwrap_or_else(|error| panic!("{error}: {response:?}"));
        page.spans
    }
}

/// The spans of one trace.
#[derive(Debug)]
pub(crate) struct Trace(pub(crate) Vec<Span>);

impl Trace {
    /// Returns the only span with this name.
    pub(crate) fn span(&self, name: &str) -> &Span {
        let found: Vec<&Span> = self.0.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "{name}: {self:#?}");
        found[0]
    }

    /// Returns the spans of the message's deliveries in order of time.
    pub(crate) fn deliveries(&self) -> Vec<&Span> {
        let mut found: Vec<&Span> = self.0.iter().filter(|span| span.name == PROCESS).collect();
        found.sort_by_key(|span| span.start_unix_nano);
        found
    }

    /// Returns for each delivery, in order of time, whether it failed.
    pub(crate) fn failures(&self) -> Vec<bool> {
        self.deliveries()
            .iter()
            .map(|delivery| delivery.has_failed())
            .collect()
    }

    /// Returns the children of a span.
    pub(crate) fn children(&self, parent: &Span) -> Vec<&Span> {
        self.0
            .iter()
            .filter(|span| span.parent_span_id.as_ref() == Some(&parent.span_id))
            .collect()
    }
}

impl Span {
    pub(crate) fn has_failed(&self) -> bool {
        self.status.code == "ERROR"
    }

    pub(crate) fn attribute(&self, key: &str) -> &Value {
        self.attributes.get(key).unwrap_or(&Value::Null)
    }

    /// Returns the time from the start of `other` to the start of this span. Fails if this span
    /// started first.
    pub(crate) fn start_delay(&self, other: &Span) -> Duration {
        Duration::from_nanos(
            self.start_unix_nano
                .checked_sub(other.start_unix_nano)
                .expect("started after the other span"),
        )
    }

    /// Returns the link to `other`, if there is one.
    pub(crate) fn find_link(&self, other: &Span) -> Option<&Link> {
        self.links
            .iter()
            .find(|link| link.trace_id == other.trace_id && link.span_id == other.span_id)
    }
}

fn found(mut spans: Vec<Span>, name: &str, at_least: usize) -> Option<Vec<Span>> {
    spans.retain(|span| span.name == name);
    (spans.len() >= at_least).then_some(spans)
}

fn count(spans: &[Span], name: &str) -> usize {
    spans.iter().filter(|span| span.name == name).count()
}
