//! What the caller decides about the endpoint.

use std::time::Duration;

use crate::AllowedHosts;

/// The account that queue URLs and ARNs name unless told otherwise: obviously nobody's.
const LOCAL_ACCOUNT: &str = "000000000000";

/// The region in ARNs unless told otherwise; SDKs fall back to the same one most often.
const LOCAL_REGION: &str = "us-east-1";

/// AWS allows one `PurgeQueue` a minute and queue.
const AWS_PURGE_INTERVAL: Duration = Duration::from_secs(60);

/// Configuration of the endpoint.
#[derive(Debug, Clone)]
pub struct Config {
    /// Region in queue ARNs.
    pub region: String,
    /// Account in queue URLs and ARNs; twelve digits.
    pub account_id: String,
    /// What queue URLs start with, without a slash at the end; `None` means `http://` and the
    /// listener's address.
    pub base_url: Option<String>,
    /// How long after a `PurgeQueue` another one is refused; 60 seconds on AWS, and here by
    /// default.
    pub purge_interval: Duration,
    /// How long after `DeleteQueue` the name stays taken. AWS says 60 seconds; here it is zero by
    /// default, because a test that starts over should not wait for a minute.
    pub recreate_after: Duration,
    /// Host names that are accepted besides those of SQS on AWS; others get 421.
    pub allowed_hosts: AllowedHosts,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            region: LOCAL_REGION.to_owned(),
            account_id: LOCAL_ACCOUNT.to_owned(),
            base_url: None,
            purge_interval: AWS_PURGE_INTERVAL,
            recreate_after: Duration::ZERO,
            allowed_hosts: AllowedHosts::default(),
        }
    }
}
