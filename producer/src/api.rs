//! The onboarding API: `POST /onboarding`, `POST /telemetry/smoke`, `GET /healthz`, `GET /readyz`.
//!
//! Every refusal is a problem document (RFC 9457, `application/problem+json`) that names the field
//! at fault. No answer, log line or span shows an e-mail address.

mod serve;

mod routes;

mod onboarding;

mod problem;

mod body;

mod server_span;

mod forwarded;

mod server_duration;

mod wire;

pub use serve::{Config, Drain, run};
