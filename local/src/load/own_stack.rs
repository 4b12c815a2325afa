//! Configuration of the stack that a load test starts for itself.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use super::customers::{FAILING_PREFIX, SLOW_PREFIX};
use crate::AllowedHosts;
use crate::environment::Freeze;
use crate::stack::{Fault, FaultKind, Logging, Ports, QueueConfig, QueueName, StackConfig};

/// Maximum number of messages in a batch: the maximum without a batching window.
const BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(10).expect("not zero");
/// Maximum number of environments, as in `baton up`.
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(2).expect("not zero");
/// Number of deliveries before a message goes to the dead-letter queue, as in `baton up`.
const MAX_RECEIVE_COUNT: NonZeroU32 = NonZeroU32::new(3).expect("not zero");
/// Time for which a failed message stays hidden. The check waits for each delivery of a poison
/// message, so this is shorter than in a deployment. A batch of ten slow messages takes four
/// seconds.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(6);
/// Time limit of an invocation: the maximum that AWS allows with that visibility timeout.
const FUNCTION_TIMEOUT: Duration = VISIBILITY_TIMEOUT;
/// Idle time after which an environment is killed: longer than the pauses of any profile.
const IDLE_AFTER: Duration = Duration::from_secs(300);

/// Returns the configuration of a stack whose function has the demonstration faults.
pub(crate) fn own_stack_config(function: PathBuf, producer: PathBuf) -> StackConfig {
    let fault = |kind, prefix: &str| Fault {
        kind,
        customer_id: format!("{prefix}*"),
    };
    StackConfig {
        function,
        producer: Some(producer),
        ports: Ports::default(),
        queue: QueueConfig {
            name: QueueName::default(),
            visibility_timeout: VISIBILITY_TIMEOUT,
            max_receive_count: MAX_RECEIVE_COUNT,
        },
        batch_size: BATCH_SIZE,
        batching_window: Duration::ZERO,
        concurrency: CONCURRENCY,
        function_timeout: FUNCTION_TIMEOUT,
        idle_after: IDLE_AFTER,
        freeze: Freeze::BetweenInvocations,
        variables: Vec::new(),
        faults: vec![
            fault(FaultKind::Slow, SLOW_PREFIX),
            fault(FaultKind::FailOnce, FAILING_PREFIX),
        ],
        logging: Logging::Default,
        allowed_hosts: AllowedHosts::default(),
        metrics_address: None,
    }
}
