//! Metrics of OpenTelemetry's SDK, for comparison.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider, Temporality};

use crate::metrics::sdk_metrics::SharedReader;

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
    reader: SharedReader,
}

impl Sdk {
    pub(super) fn new(temporality: Temporality, resource: &Resource) -> Self {
        let manual = ManualReader::builder().with_temporality(temporality);
        let reader = SharedReader(Arc::new(manual.build()));
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
