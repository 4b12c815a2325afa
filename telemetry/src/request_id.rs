//! The identifier of an invocation, for what is logged in it.

use opentelemetry::Context;
use std::sync::Arc;

/// The same context for an invocation of this identifier: lines that are logged in it, or in a context made from it, carry it as `requestId`,
/// and log records as `faas.invocation_id`.
#[must_use]
pub fn with_request_id(context: &Context, id: Arc<str>) -> Context {
    context.with_value(RequestId(id))
}

/// The identifier of the invocation that a context belongs to, for programs whose lines are of their own making.
#[must_use]
pub fn request_id(context: &Context) -> Option<&str> {
    context.get().map(|RequestId(id)| &**id)
}

/// What a context carries.
struct RequestId(Arc<str>);
