//! A scripted collector, and the OTLP messages that it has received.

use baton_test_support::{Behaviour, CollectorResponse, Signal, TestCollector};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

/// Starts a collector that sends these responses to the first requests of each signal and
/// acknowledges all later ones.
pub(super) async fn start_collector(script: &[CollectorResponse]) -> TestCollector {
    let collector = TestCollector::start(Behaviour::script(script)).await;
    collector.unwrap()
}

/// Sets the responses to the next requests with metrics.
pub(super) fn script_metrics(collector: &TestCollector, script: &[CollectorResponse]) {
    collector.set_behaviour_for(Signal::Metrics, Behaviour::script(script));
}

pub(super) fn resource_spans(collector: &TestCollector) -> Vec<ResourceSpans> {
    let requests = collector.messages::<ExportTraceServiceRequest>(Signal::Traces);
    let requests = requests.unwrap().into_iter();
    requests
        .flat_map(|request| request.resource_spans)
        .collect()
}

pub(super) fn exported_names(collector: &TestCollector) -> Vec<String> {
    let spans = collector.spans().unwrap().into_iter();
    spans.map(|span| span.name).collect()
}

pub(super) fn resource_metrics(collector: &TestCollector) -> Vec<ResourceMetrics> {
    let requests = collector.messages::<ExportMetricsServiceRequest>(Signal::Metrics);
    let requests = requests.unwrap().into_iter();
    requests
        .flat_map(|request| request.resource_metrics)
        .collect()
}

/// Returns the metrics of all scopes.
pub(super) fn exported_metrics(collector: &TestCollector) -> Vec<Metric> {
    let resources = resource_metrics(collector).into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_metrics);
    scopes.flat_map(|scope| scope.metrics).collect()
}

pub(super) fn metrics_requests(collector: &TestCollector) -> usize {
    collector.exports(Signal::Metrics).len()
}

pub(super) fn resource_logs(collector: &TestCollector) -> Vec<ResourceLogs> {
    let requests = collector.messages::<ExportLogsServiceRequest>(Signal::Logs);
    let requests = requests.unwrap().into_iter();
    requests.flat_map(|request| request.resource_logs).collect()
}

/// Returns the values of this header in all requests, in the order of arrival.
pub(super) fn header_values(collector: &TestCollector, name: &str) -> Vec<String> {
    let exports = collector.all_exports();
    let values = exports.iter().filter_map(|export| export.header(name));
    values.map(str::to_owned).collect()
}
