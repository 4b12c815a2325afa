//! Conditions of the collector while the function is measured.

use std::io;

use baton_test_support::{Answer, Behaviour, TestCollector};

/// The condition of the collector while the function is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Working,
    /// Connections are refused.
    Refusing,
    /// Every request gets this answer.
    Answering(Answer),
    /// Every `n`th request is answered with status 503.
    Flaky(usize),
}

impl Condition {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, number) = text.split_once('=').unwrap_or((text, ""));
        match kind {
            "ok" => Some(Self::Working),
            "refuse" => Some(Self::Refusing),
            "hang" => Some(Self::Answering(Answer::Hang)),
            "status" => Some(Self::Answering(Answer::Status(number.parse().ok()?))),
            "retry-after" => Some(Self::Answering(Answer::RetryAfter(number.parse().ok()?))),
            "flaky" => {
                let nth = number.parse().ok().filter(|nth| *nth > 0)?;
                Some(Self::Flaky(nth))
            }
            _ => None,
        }
    }

    /// Returns `true` if the collector acknowledges at least some requests.
    pub(crate) fn can_accept(self) -> bool {
        match self {
            Self::Working => true,
            Self::Refusing => false,
            Self::Answering(answer) => answer.is_success(),
            // With 1 every request fails.
            Self::Flaky(nth) => nth > 1,
        }
    }

    /// Puts the collector into this condition.
    pub(crate) async fn apply(self, collector: &TestCollector) {
        match self {
            Self::Working => {}
            Self::Refusing => collector.stop_listening().await,
            Self::Answering(answer) => collector.set_behaviour(answer),
            Self::Flaky(nth) => {
                collector.set_behaviour(Behaviour::every(nth, Answer::Status(503)));
            }
        }
    }

    /// Makes the collector work again.
    pub(crate) async fn repair(self, collector: &TestCollector) -> io::Result<()> {
        collector.set_behaviour(Answer::Ok);
        if self == Self::Refusing {
            collector.listen().await?;
        }
        Ok(())
    }
}
