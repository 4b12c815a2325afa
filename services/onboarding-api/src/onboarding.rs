//! An onboarding, and the checks of its fields.
//!
//! The checks report every invalid field of a request, not only the first. No error contains a
//! value, because it may be an e-mail address in the wrong field.

use std::borrow::Cow;

use serde_json::Value;

use crate::document::Fields;
use crate::wire::OnboardingMessage;

mod address;

const CUSTOMER_ID: &str = "customer_id";
const EMAIL: &str = "email";
const PLAN: &str = "plan";
const REFERRER: &str = "referrer";

/// Maximum length of a customer id in characters. It is short because the id is a span attribute
/// and a key of the table.
const MAX_CUSTOMER_ID: usize = 64;

/// Maximum length, in characters, of an unknown field's name in an error. A longer name may be data
/// in the wrong place.
const MAX_SHOWN_NAME: usize = 64;

/// Replaces a field's name that may contain personal data.
const HIDDEN_NAME: &str = "(name not shown)";

/// A customer to onboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Onboarding {
    pub(crate) customer_id: CustomerId,
    pub(crate) email: Email,
    pub(crate) plan: Plan,
    /// The customer who referred this one. The consumer checks that customers do not refer
    /// themselves.
    pub(crate) referrer: Option<CustomerId>,
}

/// A customer id: 1 to 64 letters, digits, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CustomerId(String);

/// An e-mail address. Its `Debug` output hides it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Email(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    Starter,
    Team,
    Enterprise,
}

/// An error in a field, or in the whole document if `field` is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) field: Cow<'static, str>,
    pub(crate) detail: &'static str,
}

impl Onboarding {
    /// Reads the fields of an onboarding request.
    ///
    /// # Errors
    ///
    /// Returns an error for each invalid, missing, unknown or duplicate field.
    pub(crate) fn from_fields(fields: &Fields) -> Result<Self, Vec<FieldError>> {
        let mut errors = find_unexpected_fields(fields, &[CUSTOMER_ID, EMAIL, PLAN, REFERRER]);
        let customer_id = parse_required_field(fields, CUSTOMER_ID, CustomerId::parse, &mut errors);
        let email = parse_required_field(fields, EMAIL, Email::parse, &mut errors);
        let plan = parse_required_field(fields, PLAN, Plan::parse, &mut errors);
        let referrer = parse_optional_field(fields, REFERRER, CustomerId::parse, &mut errors);
        match (customer_id, email, plan) {
            (Some(customer_id), Some(email), Some(plan)) if errors.is_empty() => Ok(Self {
                customer_id,
                email,
                plan,
                referrer,
            }),
            _ => Err(errors),
        }
    }

    /// Returns an onboarding for a smoke test of the telemetry. `example.com` is reserved for such
    /// uses (RFC 2606).
    pub(crate) fn smoke_test(customer_id: CustomerId) -> Self {
        Self {
            customer_id,
            email: Email("smoke@example.com".to_owned()),
            plan: Plan::Starter,
            referrer: None,
        }
    }

    /// Returns the body of the message.
    pub(crate) fn to_wire(&self) -> OnboardingMessage<'_> {
        OnboardingMessage {
            customer_id: &self.customer_id.0,
            email: &self.email.0,
            plan: self.plan.name(),
            referrer: self.referrer.as_ref().map(|referrer| referrer.0.as_str()),
        }
    }
}

/// Reads the fields of a smoke test: an optional customer id.
///
/// # Errors
///
/// Returns an error for each invalid, unknown or duplicate field.
pub(crate) fn parse_smoke_test(fields: &Fields) -> Result<Option<CustomerId>, Vec<FieldError>> {
    let mut errors = find_unexpected_fields(fields, &[CUSTOMER_ID]);
    let customer_id = parse_optional_field(fields, CUSTOMER_ID, CustomerId::parse, &mut errors);
    if errors.is_empty() {
        Ok(customer_id)
    } else {
        Err(errors)
    }
}

impl CustomerId {
    /// Generates the id of a customer for a smoke test.
    pub(crate) fn generate() -> Self {
        Self(format!("smoke-{}", uuid::Uuid::new_v4().simple()))
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let accepted = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if text.is_empty() || text.len() > MAX_CUSTOMER_ID || !accepted {
            return Err("must be 1 to 64 characters of A-Z, a-z, 0-9, `_` and `-`");
        }
        Ok(Self(text.to_owned()))
    }
}

impl Email {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if address::is_address(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be a plain e-mail address such as name@example.com, of at most 254 bytes")
        }
    }
}

impl std::fmt::Debug for Email {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Email(..)")
    }
}

impl Plan {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "starter" => Ok(Self::Starter),
            "team" => Ok(Self::Team),
            "enterprise" => Ok(Self::Enterprise),
            _ => Err("must be `starter`, `team` or `enterprise`"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Starter => "starter",
            Self::Team => "team",
            Self::Enterprise => "enterprise",
        }
    }
}

impl FieldError {
    /// Returns an error in the body as a whole.
    pub(crate) fn for_body(detail: &'static str) -> Self {
        Self {
            field: Cow::Borrowed(""),
            detail,
        }
    }
}

/// Returns the errors of duplicate fields and of fields that are not known.
fn find_unexpected_fields(fields: &Fields, known: &[&str]) -> Vec<FieldError> {
    let error = |name: &String, detail| FieldError {
        field: redact_name(name),
        detail,
    };
    let names = fields.values.keys();
    let unknown = names.filter(|name| !known.contains(&name.as_str()));
    let duplicates = fields.duplicates.iter();
    duplicates
        .map(|name| error(name, "occurs more than once"))
        .chain(unknown.map(|name| error(name, "is not a field of this request")))
        .collect()
}

/// Returns a name that is safe to show: the field's, or a placeholder.
fn redact_name(name: &str) -> Cow<'static, str> {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if plain && !name.is_empty() && name.len() <= MAX_SHOWN_NAME {
        Cow::Owned(name.to_owned())
    } else {
        Cow::Borrowed(HIDDEN_NAME)
    }
}

type Parse<T> = fn(&str) -> Result<T, &'static str>;

fn parse_required_field<T>(
    fields: &Fields,
    name: &'static str,
    parse: Parse<T>,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    match fields.values.get(name) {
        Some(value) => parse_field(value, name, parse, errors),
        None => {
            errors.push(FieldError {
                field: Cow::Borrowed(name),
                detail: "is missing",
            });
            None
        }
    }
}

/// Parses a field that may be absent. `null` counts as absent.
fn parse_optional_field<T>(
    fields: &Fields,
    name: &'static str,
    parse: Parse<T>,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    match fields.values.get(name) {
        None | Some(Value::Null) => None,
        Some(value) => parse_field(value, name, parse, errors),
    }
}

fn parse_field<T>(
    value: &Value,
    name: &'static str,
    parse: Parse<T>,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    let result = value.as_str().ok_or("must be a string").and_then(parse);
    result
        .map_err(|detail| {
            errors.push(FieldError {
                field: Cow::Borrowed(name),
                detail,
            })
        })
        .ok()
}

#[cfg(test)]
mod tests;
