//! Reading variables one by one and remembering what was wrong with each.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::otlp::Signal;

/// Characters of a value that are repeated: enough to know it again, where somebody has set a
/// file's content for its name.
const MAX_FOUND: usize = 80;

/// A variable that could not be used, for one line in the log. Holds no value of a variable that
/// may be secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) variable: &'static str,
    /// What was found, or a description of it where it may be secret.
    found: String,
    expected: &'static str,
    consequence: &'static str,
    /// Those that it hits, where the variable is read for each.
    signals: Vec<Signal>,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong = self.wrong_as(self.variable);
        write!(formatter, "{wrong}; {}", self.consequence)?;
        let signals = &self.signals;
        for (index, signal) in signals.iter().enumerate() {
            let before = match index {
                0 => " for",
                _ if index + 1 == signals.len() => " and",
                _ => ",",
            };
            write!(formatter, "{before} {signal}")?;
        }
        Ok(())
    }
}

impl Problem {
    /// What is wrong, under the name that it was given by, and without the consequence: for those
    /// who draw another.
    pub(super) fn wrong_as(&self, name: &str) -> String {
        let Self {
            found, expected, ..
        } = self;
        format!("{name}: expected {expected}, found {found}")
    }

    /// Whether it is the same for another signal.
    fn is_like(&self, other: &Self) -> bool {
        let key = |problem: &Self| (problem.variable, problem.expected, problem.consequence);
        key(self) == key(other) && self.found == other.found
    }
}

pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
    /// For which the reading is done, where it is done for each.
    signal: Option<Signal>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            lookup,
            problems: Vec::new(),
            signal: None,
        }
    }

    /// Reads what concerns one signal: problems say so.
    pub(super) fn of<T>(&mut self, signal: Signal, read: impl FnOnce(&mut Self) -> T) -> T {
        self.signal = Some(signal);
        let result = read(self);
        self.signal = None;
        result
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
        let end = found.char_indices().nth(MAX_FOUND).map(|(end, _)| end);
        let found = match end {
            Some(end) => format!("{:?}…", &found[..end]),
            None => format!("{found:?}"),
        };
        self.secret_problem(variable, found, expected, consequence);
    }

    /// Records a value by a description of it.
    pub(super) fn secret_problem(
        &mut self,
        variable: &'static str,
        found: String,
        expected: &'static str,
        consequence: &'static str,
    ) {
        let problem = Problem {
            variable,
            found,
            expected,
            consequence,
            signals: Vec::from_iter(self.signal),
        };
        // A general variable is read for every signal, and what is wrong with it told once.
        match self.problems.iter_mut().find(|told| told.is_like(&problem)) {
            Some(told) => told.signals.extend(self.signal),
            None => self.problems.push(problem),
        }
    }

    /// An empty variable counts as unset (OpenTelemetry specification, "Parsing empty value").
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        let trimmed = value.trim();
        (!trimmed.is_empty()).then(|| trimmed.to_owned())
    }

    /// The signal's own variable where it is set, else the general one.
    pub(super) fn first_set(&self, [own, general]: [&'static str; 2]) -> &'static str {
        match self.text(own) {
            Some(_) => own,
            None => general,
        }
    }

    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.parsed_or(name, expected, "the default is used", parse)
    }

    /// Returns the value of the signal's own variable, else of the general one. An invalid value of
    /// the signal's own variable counts as unset, so that the general one is used (OpenTelemetry
    /// specification, "Enum" and "Numeric").
    pub(super) fn first_parsed<T>(
        &mut self,
        [own, general]: [&'static str; 2],
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let consequence = match self.text(general) {
            Some(_) => "it is ignored",
            None => "the default is used",
        };
        self.parsed_or(own, expected, consequence, &parse)
            .or_else(|| self.parsed(general, expected, parse))
    }

    fn parsed_or<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        consequence: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = parse(&text);
        if value.is_none() {
            self.problem(name, &text, expected, consequence);
        }
        value
    }

    /// `expected` names the bounds of the type as well: "a whole number" would be no help to
    /// whoever wrote one that is too small.
    pub(super) fn number<T: FromStr>(
        &mut self,
        name: &'static str,
        expected: &'static str,
    ) -> Option<T> {
        self.parsed(name, expected, |text| text.parse().ok())
    }

    pub(super) fn milliseconds(&mut self, name: &'static str) -> Option<Duration> {
        self.parsed(name, MILLISECONDS_FORM, milliseconds)
    }

    /// Reads milliseconds from the signal's own variable, else from the general one.
    pub(super) fn first_milliseconds(&mut self, names: [&'static str; 2]) -> Option<Duration> {
        self.first_parsed(names, MILLISECONDS_FORM, milliseconds)
    }

    /// One of a few words, without regard to case (OpenTelemetry specification, "Enum").
    pub(super) fn choice<T: Copy, const N: usize>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        choices: [(&str, T); N],
    ) -> Option<T> {
        self.parsed(name, expected, |text| named(&choices, text))
    }

    /// Reads one of several words from the signal's own variable, else from the general one.
    pub(super) fn first_choice<T: Copy>(
        &mut self,
        names: [&'static str; 2],
        expected: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        self.first_parsed(names, expected, |text| named(choices, text))
    }

    /// `true` or `false` without regard to case; everything else is false and a problem.
    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        let parse = |text: &str| text.to_lowercase().parse().ok();
        self.parsed(name, "true or false", parse).unwrap_or(false)
    }
}

const MILLISECONDS_FORM: &str = "a whole number of milliseconds";

fn milliseconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_millis)
}

fn named<T: Copy>(choices: &[(&str, T)], text: &str) -> Option<T> {
    let named = |(word, _): &&(&str, T)| text.eq_ignore_ascii_case(word);
    choices.iter().find(named).map(|(_, choice)| *choice)
}
