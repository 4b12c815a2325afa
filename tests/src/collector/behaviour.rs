//! How a collector answers.

use std::time::Duration;

/// What one request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Success, at once.
    Ok,
    /// Success, so long after the request.
    After(Duration),
    /// This status: 503, 429, 400 …
    Status(u16),
    /// Nothing, ever.
    Hang,
    /// Nothing, and the connection is closed.
    Disconnect,
}

impl Answer {
    /// Whether whoever sent it may forget the spans.
    pub(super) fn accepts(self) -> bool {
        match self {
            Self::Ok | Self::After(_) => true,
            Self::Status(code) => (200..300).contains(&code),
            Self::Hang | Self::Disconnect => false,
        }
    }
}

/// What request after request gets: one answer to the first few, another to the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    first: usize,
    first_answer: Answer,
    then: Answer,
}

impl Behaviour {
    /// `answer` to the first `count` requests; say with [`then`](Self::then) what the others get.
    #[must_use]
    pub fn first(count: usize, answer: Answer) -> Self {
        Self {
            first: count,
            first_answer: answer,
            then: Answer::Ok,
        }
    }

    /// What all others get; unless said, success.
    #[must_use]
    pub fn then(self, answer: Answer) -> Self {
        Self {
            then: answer,
            ..self
        }
    }

    pub(super) fn next(&mut self) -> Answer {
        match self.first.checked_sub(1) {
            Some(rest) => {
                self.first = rest;
                self.first_answer
            }
            None => self.then,
        }
    }
}

impl From<Answer> for Behaviour {
    fn from(answer: Answer) -> Self {
        Self::first(0, answer).then(answer)
    }
}
