//! The settings of a sender that gathers messages into batches.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::limits::MAX_MESSAGE_BYTES;

/// Behaviour of a send whose message has no room in the buffer.
///
/// ```
/// use std::time::Duration;
///
/// use baton_sqs::WhenFull;
///
/// let when_full = WhenFull::Wait(Duration::from_secs(1));
/// assert_ne!(when_full, WhenFull::Fail);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Wait for room, at most for this time, and then fail.
    Wait(Duration),
    /// Fail immediately.
    Fail,
}

/// Order of the messages of one group on a FIFO queue.
///
/// ```
/// use baton_sqs::GroupOrder;
///
/// assert_eq!(GroupOrder::default(), GroupOrder::Strict);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GroupOrder {
    /// A message is sent once SQS has accepted the previous one, or the send of the previous one
    /// has failed. A group then has at most one message in each batch, so its rate is limited to
    /// one message per call.
    #[default]
    Strict,
    /// Up to ten messages of a group go in one batch, and its next batch follows once all of them
    /// have been accepted or have failed.
    ///
    /// SQS keeps the order of the entries of a batch. If it accepts only some of them, the others
    /// are sent again and arrive after the accepted ones: the order of the group is lost.
    Batched,
}

#[derive(Debug, Clone)]
pub(crate) struct GatherConfig {
    pub(crate) linger: Duration,
    pub(crate) max_batches_in_flight: NonZeroUsize,
    pub(crate) delivery_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) buffer_messages: usize,
    pub(crate) buffer_bytes: usize,
    pub(crate) when_full: WhenFull,
    pub(crate) group_order: GroupOrder,
    pub(crate) call_spans: bool,
}

/// Time for which a message waits for others. Kafka's producer has had the same default since
/// version 4.0.
const DEFAULT_LINGER: Duration = Duration::from_millis(5);

/// Maximum number of calls at the same time, and therefore of connections to SQS.
///
/// With ten messages in each of 32 calls, it limits a sender to 32,000 messages a second if SQS
/// responds after 10 ms, and to 3,200 if it responds after 100 ms. The calls hold at most 32 MiB.
const DEFAULT_MAX_BATCHES_IN_FLIGHT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(31);

/// Time for a message from its send to its confirmation. Clients of a service often wait for 30
/// seconds, and load balancers for 60.
const DEFAULT_DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of messages in the buffer: 300 ms of a sender at its limit of 32,000 messages a
/// second.
const DEFAULT_BUFFER_MESSAGES: usize = 10_000;

/// Maximum size of the messages in the buffer. Kafka's producer has the same default.
const DEFAULT_BUFFER_BYTES: usize = 32 * MAX_MESSAGE_BYTES;

/// A wait of a second: it suffices for a burst, and a longer one would only add to an overload.
const DEFAULT_WHEN_FULL: WhenFull = WhenFull::Wait(Duration::from_secs(1));

/// Longer than any process waits for a message.
const MAX_TIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl GatherConfig {
    /// Quotient of the delivery timeout and the default call timeout. With half of the time for a
    /// call, the other half is left for another attempt.
    pub(crate) const CALL_TIMEOUT_DIVISOR: u32 = 2;

    /// Returns the settings with every time limited to a year, so that it can be added to the
    /// current time.
    pub(crate) fn bounded(self) -> Self {
        let when_full = match self.when_full {
            WhenFull::Wait(longest) => WhenFull::Wait(longest.min(MAX_TIME)),
            WhenFull::Fail => WhenFull::Fail,
        };
        Self {
            linger: self.linger.min(MAX_TIME),
            delivery_timeout: self.delivery_timeout.min(MAX_TIME),
            call_timeout: self.call_timeout.min(MAX_TIME),
            when_full,
            ..self
        }
    }
}

impl Default for GatherConfig {
    fn default() -> Self {
        Self {
            linger: DEFAULT_LINGER,
            max_batches_in_flight: DEFAULT_MAX_BATCHES_IN_FLIGHT,
            delivery_timeout: DEFAULT_DELIVERY_TIMEOUT,
            call_timeout: DEFAULT_DELIVERY_TIMEOUT / Self::CALL_TIMEOUT_DIVISOR,
            buffer_messages: DEFAULT_BUFFER_MESSAGES,
            buffer_bytes: DEFAULT_BUFFER_BYTES,
            when_full: DEFAULT_WHEN_FULL,
            group_order: GroupOrder::default(),
            call_spans: true,
        }
    }
}
