//! The messages of the demo, and the expected counts.

use serde_json::{Value, json};

use super::message_trace::AcceptedMessage;
use crate::stack::{Fault, FaultKind};

/// Number of onboardings: a dozen, so that all traces fit on a few screens.
const MESSAGES: usize = 12;
/// Plan of every customer; it has no effect.
const PLAN: &str = "starter";

/// Kind of an onboarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnboardingKind {
    /// The message is processed.
    Ordinary,
    /// The function has a fault for this message.
    Faulty(FaultKind),
    /// The producer accepts the message, but the function rejects every delivery.
    Poison,
}

/// An onboarding to send.
#[derive(Clone, Debug)]
pub(super) struct Onboarding {
    pub(super) customer_id: String,
    pub(super) kind: OnboardingKind,
}

/// Expected counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ExpectedCounts {
    /// Requests with response 202.
    pub(super) accepted: usize,
    /// Messages that are processed in the end.
    pub(super) processed: usize,
    /// Deliveries after a message's first.
    pub(super) retried: usize,
    /// Messages that go to the dead-letter queue.
    pub(super) dead_lettered: usize,
}

impl ExpectedCounts {
    /// Returns the total number of deliveries.
    pub(super) fn deliveries(&self) -> usize {
        self.accepted + self.retried
    }
}

impl OnboardingKind {
    /// Returns a description for the report.
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Ordinary => "succeeds",
            Self::Faulty(FaultKind::FailOnce) => "fails once",
            Self::Faulty(FaultKind::Panic) => "panics once",
            Self::Faulty(FaultKind::Slow) => "is slow",
            Self::Poison => "is poison",
        }
    }

    fn deliveries(self, max_receive_count: usize) -> usize {
        match self {
            Self::Ordinary | Self::Faulty(FaultKind::Slow) => 1,
            Self::Faulty(FaultKind::FailOnce | FaultKind::Panic) => 2,
            Self::Poison => max_receive_count,
        }
    }
}

/// Returns the onboardings: most are ordinary, and there is one of each other kind.
pub(super) fn onboardings() -> Vec<Onboarding> {
    (1..=MESSAGES)
        .map(|number| Onboarding {
            customer_id: format!("demo-{number:02}"),
            kind: onboarding_kind(number),
        })
        .collect()
}

/// Returns the faults that the function must cause.
pub(super) fn faults(onboardings: &[Onboarding]) -> Vec<Fault> {
    let fault = |onboarding: &Onboarding| match onboarding.kind {
        OnboardingKind::Faulty(kind) => Some(Fault {
            kind,
            customer_id: onboarding.customer_id.clone(),
        }),
        OnboardingKind::Ordinary | OnboardingKind::Poison => None,
    };
    onboardings.iter().filter_map(fault).collect()
}

/// Returns the messages without a fault.
pub(super) fn ordinary_messages(
    onboardings: &[Onboarding],
    accepted: &[AcceptedMessage],
) -> Vec<AcceptedMessage> {
    let is_ordinary = |message: &&AcceptedMessage| {
        onboardings.iter().any(|onboarding| {
            onboarding.kind == OnboardingKind::Ordinary
                && onboarding.customer_id == message.customer_id
        })
    };
    accepted.iter().filter(is_ordinary).cloned().collect()
}

/// Returns the expected counts if a message may be received `max_receive_count` times.
pub(super) fn expected_counts(
    onboardings: &[Onboarding],
    max_receive_count: usize,
) -> ExpectedCounts {
    let deliveries = onboardings
        .iter()
        .map(|onboarding| onboarding.kind.deliveries(max_receive_count))
        .sum::<usize>();
    let poison = onboardings
        .iter()
        .filter(|onboarding| onboarding.kind == OnboardingKind::Poison)
        .count();
    ExpectedCounts {
        accepted: onboardings.len(),
        processed: onboardings.len() - poison,
        retried: deliveries - onboardings.len(),
        dead_lettered: poison,
    }
}

impl Onboarding {
    /// Returns the body of the request. The poison message refers to itself, which the function
    /// rejects.
    pub(super) fn body(&self) -> Value {
        let mut body = json!({ "customer_id": self.customer_id, "email": format!("{}@example.com", self.customer_id), "plan": PLAN });
        if self.kind == OnboardingKind::Poison {
            body["referrer"] = Value::from(self.customer_id.as_str());
        }
        body
    }
}

fn onboarding_kind(number: usize) -> OnboardingKind {
    match number {
        3 => OnboardingKind::Faulty(FaultKind::FailOnce),
        5 => OnboardingKind::Faulty(FaultKind::Panic),
        7 => OnboardingKind::Faulty(FaultKind::Slow),
        9 => OnboardingKind::Poison,
        _ => OnboardingKind::Ordinary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_counts_follow_from_the_onboardings() {
        let expected = expected_counts(&onboardings(), 3);
        assert_eq!(
            expected,
            ExpectedCounts {
                accepted: 12,
                processed: 11,
                retried: 4,
                dead_lettered: 1
            }
        );
        assert_eq!(expected.deliveries(), 16);
    }

    #[test]
    fn only_the_poison_message_refers_to_itself() {
        let referrers = onboardings()
            .iter()
            .filter(|onboarding| onboarding.body().get("referrer").is_some())
            .count();
        assert_eq!(referrers, 1);
        let faults = faults(&onboardings())
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        assert_eq!(
            faults,
            ["fail-once=demo-03", "panic=demo-05", "slow=demo-07"]
        );
    }
}
