//! What the function is told about a customer, and what it accepts.

use std::fmt;

use serde::Deserialize;

mod address;

/// The form that the API promises for customer ids.
const MAX_CUSTOMER_ID: usize = 64;

/// The body of a message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Onboarding {
    pub(crate) customer_id: String,
    pub(crate) email: Email,
    pub(crate) plan: Plan,
    /// The customer who brought this one.
    #[serde(default)]
    pub(crate) referrer: Option<String>,
}

/// An address that no formatting shows.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Email(String);

impl Email {
    /// The address itself, for where it is kept. It must be in no log and on no span.
    #[cfg(feature = "dynamodb")]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Email(…)")
    }
}

/// What the customer has booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Plan {
    Starter,
    Team,
    Enterprise,
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Starter => "starter",
            Self::Team => "team",
            Self::Enterprise => "enterprise",
        })
    }
}

/// Why an onboarding is not accepted, however often it is delivered. Names the field, never its
/// value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("customer_id is not 1 to 64 letters, digits, _ or -")]
    CustomerId,
    #[error("email is no e-mail address")]
    Email,
    #[error("referrer is not 1 to 64 letters, digits, _ or -")]
    Referrer,
    #[error("customers cannot refer themselves")]
    SelfReferral,
}

impl Violation {
    pub(crate) fn error_type(self) -> &'static str {
        match self {
            Self::SelfReferral => "self_referral",
            Self::CustomerId | Self::Email | Self::Referrer => "invalid_onboarding",
        }
    }
}

impl Onboarding {
    pub(crate) fn validate(&self) -> Result<(), Violation> {
        if !is_customer_id(&self.customer_id) {
            return Err(Violation::CustomerId);
        }
        if !address::is_address(&self.email.0) {
            return Err(Violation::Email);
        }
        match self.referrer.as_deref() {
            Some(referrer) if !is_customer_id(referrer) => Err(Violation::Referrer),
            Some(referrer) if referrer == self.customer_id => Err(Violation::SelfReferral),
            _ => Ok(()),
        }
    }
}

fn is_customer_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=MAX_CUSTOMER_ID).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn onboarding(changes: &[(&str, Value)]) -> Onboarding {
        let mut body = json!({"customer_id": "c-1", "email": "a@example.com", "plan": "team"});
        for (field, value) in changes {
            body[*field] = value.clone();
        }
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn what_the_api_sends_is_accepted() {
        assert_eq!(onboarding(&[]).validate(), Ok(()));
        assert_eq!(onboarding(&[("referrer", json!("c-2"))]).validate(), Ok(()));
        assert_eq!(onboarding(&[("referrer", Value::Null)]).validate(), Ok(()));
    }

    #[test]
    fn each_wrong_field_is_named() {
        for (field, value, violation) in [
            ("customer_id", "", Violation::CustomerId),
            ("customer_id", "a b", Violation::CustomerId),
            ("email", "nobody", Violation::Email),
            ("email", "a@localhost", Violation::Email),
            ("email", "@example.com", Violation::Email),
            ("referrer", "ä", Violation::Referrer),
            ("referrer", "c-1", Violation::SelfReferral),
        ] {
            let onboarding = onboarding(&[(field, json!(value))]);
            assert_eq!(onboarding.validate(), Err(violation), "{field} = {value}");
        }
    }

    #[test]
    fn an_address_is_never_shown() {
        assert!(!format!("{:?}", onboarding(&[])).contains("example.com"));
    }
}
