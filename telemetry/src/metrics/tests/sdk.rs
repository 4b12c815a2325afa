//! Metrics of OpenTelemetry's SDK, for comparison.

use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Temporality,
};

/// Converts the temporality to the SDK's type.
pub(super) fn temporality(ours: crate::config::TemporalityPreference) -> Temporality {
    match ours {
        crate::config::TemporalityPreference::Delta => Temporality::Delta,
        crate::config::TemporalityPreference::Cumulative => Temporality::Cumulative,
        crate::config::TemporalityPreference::LowMemory => Temporality::LowMemory,
    }
}

pub(super) struct Sdk {
    pub(super) provider: SdkMeterProvider,
    reader: Reader,
}

impl Sdk {
    pub(super) fn new(temporality: Temporality, resource: &Resource) -> Self {
        let manual = ManualReader::builder().with_temporality(temporality);
        let reader = Reader(Arc::new(manual.build()));
        let provider = SdkMeterProvider::builder()
            .with_resource(resource.clone())
            .with_reader(reader.clone())
            .build();
        Self { provider, reader }
    }

    pub(super) fn collect(&self) -> ExportMetricsServiceRequest {
        let mut collected = ResourceMetrics::default();
        self.reader.collect(&mut collected).unwrap();
        ExportMetricsServiceRequest::from(&collected)
    }
}

/// Reader that is shared, because the provider takes ownership of its reader.
#[derive(Debug, Clone)]
struct Reader(Arc<ManualReader>);

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, into: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(into)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}
