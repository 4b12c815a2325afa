//! The names that everything in the stack agrees on.

/// Default name of the function's source queue.
pub(crate) const ONBOARDING_QUEUE: &str = "onboarding";
/// Suffix of the dead-letter queue's name.
pub(crate) const DEAD_LETTER_SUFFIX: &str = "-dlq";
/// Name of the onboarding function, as in its ARN. Other functions have the name of their file.
pub(crate) const ONBOARDING_FUNCTION: &str = "onboarding";
/// The region in every ARN.
pub(crate) const REGION: &str = "us-east-1";
/// The account in every ARN: obviously nobody's.
pub(crate) const ACCOUNT: &str = "000000000000";
/// Access key and secret, which nobody checks here.
pub(crate) const CREDENTIALS: &str = "test";
