//! OTLP: the three signals, their encoding as protobuf and as JSON, and the collector's response.

pub(crate) mod decode;
pub(crate) mod encode;
mod field;
pub(crate) mod json;
mod partial_success;
pub(crate) mod protobuf;
mod signal;

pub(crate) use partial_success::PartialSuccess;
pub(crate) use signal::Signal;
