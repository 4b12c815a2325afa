//! What all three signals have in common on the wire.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1 as otlp;

/// Who made what was sent.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Resource {
    pub attributes: BTreeMap<String, Value>,
    pub schema_url: String,
}

/// Which of its libraries.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Scope {
    pub name: String,
    pub version: String,
    pub attributes: BTreeMap<String, Value>,
    pub schema_url: String,
}

/// An attribute's value.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the types of OTLP, under its names")]
pub enum Value {
    String(String),
    Bool(bool),
    Int(i64),
    Double(f64),
    Array(Vec<Value>),
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

/// Why a request is not what OTLP says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Undecodable {
    /// No protobuf, or of another message.
    #[error("the export is no protobuf of its signal")]
    Protobuf(#[from] prost::DecodeError),
    /// OTLP demands unique keys.
    #[error("the attribute {0} is there twice")]
    Twice(String),
    /// A value that nothing of ours has: none, bytes, or a map.
    #[error("the attribute {0} has a value of an unexpected type")]
    Type(String),
    /// A number that the enumeration has not.
    #[error("{0} is no {1}")]
    Number(i32, &'static str),
    /// A part that everything of ours has.
    #[error("there is no {0}")]
    Missing(&'static str),
}

/// Who made what follows.
pub(super) fn resource(
    resource: Option<otlp::Resource>,
    schema_url: String,
) -> Result<Arc<Resource>, Undecodable> {
    let resource = resource.ok_or(Undecodable::Missing("resource"))?;
    Ok(Arc::new(Resource {
        attributes: attributes(resource.attributes)?,
        schema_url,
    }))
}

/// Which of its libraries.
pub(super) fn scope(
    scope: Option<InstrumentationScope>,
    schema_url: String,
) -> Result<Arc<Scope>, Undecodable> {
    let scope = scope.ok_or(Undecodable::Missing("scope"))?;
    Ok(Arc::new(Scope {
        name: scope.name,
        version: scope.version,
        attributes: attributes(scope.attributes)?,
        schema_url,
    }))
}

pub(super) fn attributes(pairs: Vec<KeyValue>) -> Result<BTreeMap<String, Value>, Undecodable> {
    let mut attributes = BTreeMap::new();
    for KeyValue { key, value, .. } in pairs {
        let value = value.and_then(self::value);
        let value = value.ok_or_else(|| Undecodable::Type(key.clone()))?;
        if attributes.insert(key.clone(), value).is_some() {
            return Err(Undecodable::Twice(key));
        }
    }
    Ok(attributes)
}

pub(super) fn value(value: AnyValue) -> Option<Value> {
    Some(match value.value? {
        any_value::Value::StringValue(value) => Value::String(value),
        any_value::Value::BoolValue(value) => Value::Bool(value),
        any_value::Value::IntValue(value) => Value::Int(value),
        any_value::Value::DoubleValue(value) => Value::Double(value),
        any_value::Value::ArrayValue(array) => {
            let values = array.values.into_iter().map(self::value);
            Value::Array(values.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

pub(super) fn each<T, U>(
    items: Vec<T>,
    convert: impl Fn(T) -> Result<U, Undecodable>,
) -> Result<Vec<U>, Undecodable> {
    items.into_iter().map(convert).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
