//! Reading variables one by one and remembering what was wrong with each.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A variable that could not be used, for one line in the log. Holds no value of a variable that may be secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) variable: &'static str,
    /// What was found, or a description of it where it may be secret.
    found: String,
    expected: &'static str,
    consequence: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            variable,
            found,
            expected,
            consequence,
        } = self;
        write!(
            formatter,
            "{variable}: expected {expected}, found {found}; {consequence}"
        )
    }
}

pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            lookup,
            problems: Vec::new(),
        }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Records a value that is not secret.
    pub(super) fn problem(
        &mut self,
        variable: &'static str,
        found: &str,
        expected: &'static str,
        consequence: &'static str,
    ) {
        self.secret_problem(variable, format!("{found:?}"), expected, consequence);
    }

    /// Records a value by a description of it.
    pub(super) fn secret_problem(
        &mut self,
        variable: &'static str,
        found: String,
        expected: &'static str,
        consequence: &'static str,
    ) {
        self.problems.push(Problem {
            variable,
            found,
            expected,
            consequence,
        });
    }

    /// An empty variable counts as unset (OpenTelemetry specification, "Parsing empty value").
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        let trimmed = value.trim();
        (!trimmed.is_empty()).then(|| trimmed.to_owned())
    }

    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = parse(&text);
        if value.is_none() {
            self.problem(name, &text, expected, "the default is used");
        }
        value
    }

    /// `expected` names the bounds of the type as well: "a whole number" would be no help to whoever wrote one that is too small.
    pub(super) fn number<T: FromStr>(
        &mut self,
        name: &'static str,
        expected: &'static str,
    ) -> Option<T> {
        self.parsed(name, expected, |text| text.parse().ok())
    }

    pub(super) fn milliseconds(&mut self, name: &'static str) -> Option<Duration> {
        let form = "a whole number of milliseconds";
        let parse = |text: &str| text.parse().ok().map(Duration::from_millis);
        self.parsed(name, form, parse)
    }

    /// `true` or `false` without regard to case; everything else is false and a problem.
    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        let parse = |text: &str| text.to_lowercase().parse().ok();
        self.parsed(name, "true or false", parse).unwrap_or(false)
    }
}
