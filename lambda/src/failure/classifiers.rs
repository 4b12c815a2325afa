//! The classifiers of a consumer.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::chain;
use super::class::Class;

type Classify = Arc<dyn Fn(&(dyn StdError + 'static)) -> Option<Class> + Send + Sync>;

/// Functions that give errors their class, each for one type of error.
#[derive(Clone, Default)]
pub(crate) struct Classifiers(Vec<Classify>);

impl Classifiers {
    pub(crate) fn add<E, C>(&mut self, classify: impl Fn(&E) -> C + Send + Sync + 'static)
    where
        E: StdError + 'static,
        C: Into<Option<Class>>,
    {
        self.0.push(Arc::new(move |error| {
            chain::find::<E>(error).and_then(|error| classify(error).into())
        }));
    }

    /// Returns the class that the first matching function gives to `error` itself, without its
    /// causes.
    pub(super) fn classify(&self, error: &(dyn StdError + 'static)) -> Option<Class> {
        self.0.iter().find_map(|classify| classify(error))
    }
}

impl fmt::Debug for Classifiers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Classifiers({})", self.0.len())
    }
}
