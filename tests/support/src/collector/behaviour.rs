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
    /// 503, and in `Retry-After` how many seconds are to pass.
    RetryAfter(u32),
    /// Nothing, ever: the request is read.
    Hang,
    /// Nothing, and the connection is closed.
    Disconnect,
}

impl Answer {
    /// Whether whoever sent it may forget what was in it.
    #[must_use]
    pub fn accepts(self) -> bool {
        match self {
            Self::Ok | Self::After(_) => true,
            Self::Status(code) => (200..300).contains(&code),
            Self::RetryAfter(_) | Self::Hang | Self::Disconnect => false,
        }
    }
}

/// What request after request of one signal gets. Each signal has its own count: a script for the
/// first request is one for the first request with spans, whatever else is sent beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    exception: Exception,
    answer: Answer,
    then: Answer,
    seen: usize,
}

/// Which requests get another answer than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exception {
    First(usize),
    Every(usize),
}

impl Behaviour {
    /// `answer` to the first `count` requests; say with [`then`](Self::then) what the others get.
    #[must_use]
    pub fn first(count: usize, answer: Answer) -> Self {
        Self::new(Exception::First(count), answer)
    }

    /// `answer` to every `nth` request: with 3 to the third, the sixth, the ninth …
    #[must_use]
    pub fn every(nth: usize, answer: Answer) -> Self {
        Self::new(Exception::Every(nth), answer)
    }

    fn new(exception: Exception, answer: Answer) -> Self {
        Self {
            exception,
            answer,
            then: Answer::Ok,
            seen: 0,
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

    /// Whether some request is accepted, sooner or later.
    #[must_use]
    pub fn accepts(self) -> bool {
        self.answer.accepts() || self.then.accepts()
    }

    pub(super) fn next(&mut self) -> Answer {
        self.seen += 1;
        let is_exception = match self.exception {
            Exception::First(count) => self.seen <= count,
            Exception::Every(nth) => self.seen.is_multiple_of(nth),
        };
        match is_exception {
            true => self.answer,
            false => self.then,
        }
    }
}

impl From<Answer> for Behaviour {
    fn from(answer: Answer) -> Self {
        Self::first(0, answer).then(answer)
    }
}
