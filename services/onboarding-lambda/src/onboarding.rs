//! The body of a message, and its checks.

use std::fmt;

use serde::Deserialize;

mod address;

/// Maximum length of a customer id in characters. The API has the same limit.
const MAX_CUSTOMER_ID: usize = 64;

/// The body of a message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Onboarding {
    pub(crate) customer_id: String,
    pub(crate) email: Email,
    pub(crate) plan: Plan,
    /// The customer who referred this one.
    #[serde(default)]
    pub(crate) referrer: Option<String>,
}

/// An e-mail address. Its `Debug` output hides it, and it has no `Display`.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Email(String);

impl Email {
    /// Returns the address, for the item in the table only. It must not be logged or recorded.
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

/// The plan that the customer has chosen.
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

/// An error in an onboarding, which a redelivery cannot fix. It names the field and not the value,
/// which may be an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidOnboarding {
    #[error("customer_id is not 1 to 64 letters, digits, _ or -")]
    CustomerId,
    #[error("email is not an e-mail address")]
    Email,
    #[error("referrer is not 1 to 64 letters, digits, _ or -")]
    Referrer,
    #[error("customers cannot refer themselves")]
    SelfReferral,
}

impl InvalidOnboarding {
    /// Returns `error.type` of the message.
    pub(crate) fn error_type(self) -> &'static str {
        match self {
            Self::SelfReferral => "self_referral",
            Self::CustomerId | Self::Email | Self::Referrer => "invalid_onboarding",
        }
    }
}

impl Onboarding {
    /// Checks the fields. The API checks them too, but other producers may send to the queue.
    pub(crate) fn validate(&self) -> Result<(), InvalidOnboarding> {
        if !is_customer_id(&self.customer_id) {
            return Err(InvalidOnboarding::CustomerId);
        }
        if !address::is_address(&self.email.0) {
            return Err(InvalidOnboarding::Email);
        }
        match self.referrer.as_deref() {
            Some(referrer) if !is_customer_id(referrer) => Err(InvalidOnboarding::Referrer),
            Some(referrer) if referrer == self.customer_id => Err(InvalidOnboarding::SelfReferral),
            _ => Ok(()),
        }
    }
}

fn is_customer_id(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=MAX_CUSTOMER_ID).contains(&text.len()) && text.bytes().all(is_allowed)
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
    fn messages_of_the_api_are_accepted() {
        assert_eq!(onboarding(&[]).validate(), Ok(()));
        assert_eq!(onboarding(&[("referrer", json!("c-2"))]).validate(), Ok(()));
        assert_eq!(onboarding(&[("referrer", Value::Null)]).validate(), Ok(()));
    }

    #[test]
    fn an_invalid_field_is_named() {
        for (field, value, error) in [
            ("customer_id", "", InvalidOnboarding::CustomerId),
            ("customer_id", "a b", InvalidOnboarding::CustomerId),
            ("email", "nobody", InvalidOnboarding::Email),
            ("email", "a@localhost", InvalidOnboarding::Email),
            ("email", "@example.com", InvalidOnboarding::Email),
            ("referrer", "ä", InvalidOnboarding::Referrer),
            ("referrer", "c-1", InvalidOnboarding::SelfReferral),
        ] {
            let onboarding = onboarding(&[(field, json!(value))]);
            assert_eq!(onboarding.validate(), Err(error), "{field} = {value}");
        }
    }

    #[test]
    fn debug_output_contains_no_address() {
        assert!(!format!("{:?}", onboarding(&[])).contains("example.com"));
    }
}
