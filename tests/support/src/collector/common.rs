//! Parts of OTLP that all three signals share.

use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1 as otlp;

/// A kind of telemetry, which has its own OTLP path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "the signals of OpenTelemetry, under their names"
)]
pub enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    /// All signals.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    pub(super) fn from_target(target: &str) -> Option<Self> {
        match target {
            "POST /v1/traces" => Some(Self::Traces),
            "POST /v1/metrics" => Some(Self::Metrics),
            "POST /v1/logs" => Some(Self::Logs),
            _ => None,
        }
    }
}

/// The service that sent the telemetry.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Resource {
    pub attributes: BTreeMap<String, AttributeValue>,
    pub schema_url: String,
}

/// The library that created the telemetry.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Scope {
    pub name: String,
    pub version: String,
    pub attributes: BTreeMap<String, AttributeValue>,
    pub schema_url: String,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the types of OTLP, under its names")]
pub enum AttributeValue {
    String(String),
    Bool(bool),
    Int(i64),
    Double(f64),
    Array(Vec<AttributeValue>),
}

impl From<&str> for AttributeValue {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for AttributeValue {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<bool> for AttributeValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for AttributeValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for AttributeValue {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

/// A request that is not the OTLP that Baton sends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidExport {
    /// The body is not protobuf, or is a message of another signal.
    #[error("the body is not a protobuf message of its signal")]
    Protobuf(#[from] prost::DecodeError),
    /// OTLP requires unique keys.
    #[error("duplicate attribute {0}")]
    DuplicateAttribute(String),
    /// The value is missing, bytes or a map, which Baton never sends.
    #[error("attribute {0} has an unexpected type")]
    UnexpectedType(String),
    /// The number is not a value of the enumeration.
    #[error("{0} is not a value of {1}")]
    UnknownNumber(i32, &'static str),
    /// A field that Baton always sets is missing.
    #[error("missing {0}")]
    Missing(&'static str),
}

pub(super) fn resource(
    resource: Option<otlp::Resource>,
    schema_url: String,
) -> Result<Arc<Resource>, InvalidExport> {
    let resource = resource.ok_or(InvalidExport::Missing("resource"))?;
    Ok(Arc::new(Resource {
        attributes: attributes(resource.attributes)?,
        schema_url,
    }))
}

pub(super) fn scope(
    scope: Option<InstrumentationScope>,
    schema_url: String,
) -> Result<Arc<Scope>, InvalidExport> {
    let scope = scope.ok_or(InvalidExport::Missing("scope"))?;
    Ok(Arc::new(Scope {
        name: scope.name,
        version: scope.version,
        attributes: attributes(scope.attributes)?,
        schema_url,
    }))
}

pub(super) fn attributes(
    pairs: Vec<KeyValue>,
) -> Result<BTreeMap<String, AttributeValue>, InvalidExport> {
    let mut attributes = BTreeMap::new();
    for KeyValue { key, value, .. } in pairs {
        let value = value.and_then(self::value);
        let value = value.ok_or_else(|| InvalidExport::UnexpectedType(key.clone()))?;
        if attributes.insert(key.clone(), value).is_some() {
            return Err(InvalidExport::DuplicateAttribute(key));
        }
    }
    Ok(attributes)
}

pub(super) fn value(value: AnyValue) -> Option<AttributeValue> {
    Some(match value.value? {
        any_value::Value::StringValue(value) => AttributeValue::String(value),
        any_value::Value::BoolValue(value) => AttributeValue::Bool(value),
        any_value::Value::IntValue(value) => AttributeValue::Int(value),
        any_value::Value::DoubleValue(value) => AttributeValue::Double(value),
        any_value::Value::ArrayValue(array) => {
            let values = array.values.into_iter().map(self::value);
            AttributeValue::Array(values.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

pub(super) fn each<T, U>(
    items: Vec<T>,
    convert: impl Fn(T) -> Result<U, InvalidExport>,
) -> Result<Vec<U>, InvalidExport> {
    items.into_iter().map(convert).collect()
}
