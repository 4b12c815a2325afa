//! What is wrong with the collector.

use std::io;

use baton_test_support::{Answer, Behaviour, Collector};

/// How a collector treats whoever exports to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Working,
    /// Nobody listens on its port.
    Refusing,
    Answering(Behaviour),
}

impl Condition {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, number) = text.split_once('=').unwrap_or((text, ""));
        let answering = |behaviour: Behaviour| Some(Self::Answering(behaviour));
        match kind {
            "ok" => Some(Self::Working),
            "refuse" => Some(Self::Refusing),
            "hang" => answering(Answer::Hang.into()),
            "status" => answering(Answer::Status(number.parse().ok()?).into()),
            "retry-after" => answering(Answer::RetryAfter(number.parse().ok()?).into()),
            "flaky" => {
                let nth = number.parse().ok().filter(|nth| *nth > 0)?;
                answering(Behaviour::every(nth, Answer::Status(503)))
            }
            _ => None,
        }
    }

    /// Whether anything at all can still arrive.
    pub(crate) fn accepts(self) -> bool {
        match self {
            Self::Working => true,
            Self::Refusing => false,
            Self::Answering(behaviour) => behaviour.accepts(),
        }
    }

    /// Brings it about.
    pub(crate) async fn befall(self, collector: &Collector) {
        match self {
            Self::Working => {}
            Self::Refusing => collector.down().await,
            Self::Answering(behaviour) => collector.behave(behaviour),
        }
    }

    /// Has the collector work again.
    pub(crate) async fn end(self, collector: &Collector) -> io::Result<()> {
        collector.behave(Answer::Ok);
        match self {
            Self::Refusing => collector.up().await,
            Self::Working | Self::Answering(_) => Ok(()),
        }
    }
}
