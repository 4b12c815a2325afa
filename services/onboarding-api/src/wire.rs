//! The JSON of responses and messages. The types have no logic.

use serde::Serialize;
use utoipa::ToSchema;

/// A customer to onboard.
// The type exists for its schema: `onboarding` checks the fields.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Onboarding)]
pub(crate) struct OnboardingRequest {
    /// Letters, digits, `_` and `-`.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "c-1")]
    customer_id: String,
    /// A plain e-mail address: letters may be of any script, but quoted local parts, comments and
    /// IP addresses are rejected.
    #[schema(format = Email, max_length = 254, example = "ada@example.com")]
    email: String,
    plan: PlanName,
    /// The customer who referred this one.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    referrer: Option<String>,
}

/// The plan of a customer.
#[expect(dead_code, reason = "the type exists for its schema")]
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Plan)]
pub(crate) enum PlanName {
    Starter,
    Team,
    Enterprise,
}

/// A smoke test of the telemetry.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SmokeTest {
    /// Generated if it is absent.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    customer_id: Option<String>,
}

/// The body of an onboarding message: the contract with the consumer of the queue.
#[derive(Debug, Serialize)]
pub(crate) struct OnboardingMessage<'a> {
    pub(crate) customer_id: &'a str,
    pub(crate) email: &'a str,
    pub(crate) plan: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) referrer: Option<&'a str>,
}

/// The response to an accepted request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AcceptedMessage {
    pub(crate) message_id: String,
    /// `null` if the service does not trace and the request had no trace context.
    pub(crate) trace_id: Option<String>,
}

/// The response to a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchResponse<'a> {
    /// `null` if the service does not trace and the request had no trace context.
    pub(crate) trace_id: Option<String>,
    /// The result of each item, in the order of the request.
    pub(crate) results: Vec<BatchItem<'a>>,
}

/// The result of an item of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchItem<'a> {
    /// The status that a request with this item alone would have, or 504 if the group in which it
    /// was sent has no result in time.
    pub(crate) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<ProblemDocument<'a>>,
}

/// The response of a successful health check.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    pub(crate) status: &'static str,
}

/// A problem document of RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    pub(crate) r#type: &'static str,
    pub(crate) title: &'a str,
    pub(crate) status: u16,
    pub(crate) detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<FieldProblem<'a>>,
}

/// An error in one field.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldProblem<'a> {
    pub(crate) field: &'a str,
    pub(crate) pointer: String,
    pub(crate) detail: &'a str,
}
