//! Conditions of the collector while the function is measured.

use std::io;

use baton_test_support::{Behaviour, CollectorResponse, TestCollector};

/// The condition of the collector while the function is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Working,
    /// Connections are refused.
    Refusing,
    /// Every request gets this response.
    Responding(CollectorResponse),
    /// Every `n`th request gets status 503.
    Flaky(usize),
}

impl Condition {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, number) = text.split_once('=').unwrap_or((text, ""));
        match kind {
            "ok" => Some(Self::Working),
            "refuse" => Some(Self::Refusing),
            "hang" => Some(Self::Responding(CollectorResponse::Hang)),
            "status" => Some(Self::Responding(CollectorResponse::Status(
                number.parse().ok()?,
            ))),
            "retry-after" => Some(Self::Responding(CollectorResponse::RetryAfter(
                number.parse().ok()?,
            ))),
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
            Self::Responding(response) => response.is_success(),
            // With 1 every request fails.
            Self::Flaky(nth) => nth > 1,
        }
    }

    /// Puts the collector into this condition.
    pub(crate) async fn apply(self, collector: &TestCollector) {
        match self {
            Self::Working => {}
            Self::Refusing => collector.stop_listening().await,
            Self::Responding(response) => collector.set_behaviour(response),
            Self::Flaky(nth) => {
                collector.set_behaviour(Behaviour::every(nth, CollectorResponse::Status(503)));
            }
        }
    }

    /// Makes the collector work again.
    pub(crate) async fn repair(self, collector: &TestCollector) -> io::Result<()> {
        collector.set_behaviour(CollectorResponse::Ok);
        if self == Self::Refusing {
            collector.listen().await?;
        }
        Ok(())
    }
}
