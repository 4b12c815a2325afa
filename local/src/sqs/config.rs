//! Configuration of the endpoint.

use std::time::Duration;

use crate::AllowedHosts;

/// Default account id in queue URLs and ARNs, which no account on AWS has.
const LOCAL_ACCOUNT: &str = "000000000000";

/// Default region in ARNs, which most SDKs use as their default too.
const LOCAL_REGION: &str = "us-east-1";

/// Interval between two purges of a queue on AWS.
const AWS_PURGE_INTERVAL: Duration = Duration::from_secs(60);

/// Configuration of the endpoint.
///
/// ```
/// use baton_local::sqs::SqsConfig;
///
/// let config = SqsConfig {
///     region: "eu-central-1".to_owned(),
///     ..SqsConfig::default()
/// };
/// assert_eq!(config.account_id, "000000000000");
/// ```
#[derive(Debug, Clone)]
pub struct SqsConfig {
    /// Region in queue ARNs.
    pub region: String,
    /// Account id in queue URLs and ARNs; twelve digits.
    pub account_id: String,
    /// Base of the queue URLs; `None` for `http://` and the listener's address.
    pub base_url: Option<String>,
    /// Time after a `PurgeQueue` in which another one is rejected. The default is 60 seconds, as on
    /// AWS.
    pub purge_interval: Duration,
    /// Time after a `DeleteQueue` in which the name cannot be used again. The default is zero
    /// instead of AWS's 60 seconds, so that a test that starts again need not wait.
    pub recreate_after: Duration,
    /// Accepted host names in addition to those of SQS on AWS. A request for another host gets 421.
    pub allowed_hosts: AllowedHosts,
}

impl Default for SqsConfig {
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
