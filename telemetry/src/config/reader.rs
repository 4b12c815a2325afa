//! Parsing of variables, and the problems found.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::otlp::Signal;

/// Number of characters of an invalid value that are logged. It may be long, such as the content of
/// a file instead of its name.
const MAX_FOUND: usize = 80;

/// An invalid variable, to be logged in one line. Holds no value that may be secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) variable: &'static str,
    /// The value, or a description if it may be secret.
    found: String,
    expected: &'static str,
    consequence: &'static str,
    /// The signals that are affected, for a variable that is read for each signal.
    signals: Vec<Signal>,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message(self.variable);
        write!(formatter, "{message}; {}", self.consequence)?;
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
    /// Returns the message without the consequence, for callers with another consequence. `name`
    /// replaces the variable's name.
    pub(super) fn message(&self, name: &str) -> String {
        let Self {
            found, expected, ..
        } = self;
        format!("{name}: expected {expected}, found {found}")
    }

    /// Returns `true` if the other problem differs at most in its signals.
    fn is_same(&self, other: &Self) -> bool {
        let key = |problem: &Self| (problem.variable, problem.expected, problem.consequence);
        key(self) == key(other) && self.found == other.found
    }
}

/// Reads variables and collects problems.
pub(super) struct VariableReader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
    /// The signal that variables are being read for.
    signal: Option<Signal>,
}

impl<'a> VariableReader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            lookup,
            problems: Vec::new(),
            signal: None,
        }
    }

    /// Reads variables for one signal, which problems then name.
    pub(super) fn for_signal<T>(&mut self, signal: Signal, read: impl FnOnce(&mut Self) -> T) -> T {
        self.signal = Some(signal);
        let result = read(self);
        self.signal = None;
        result
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Records an invalid value that is not secret.
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

    /// Records an invalid value that may be secret, by a description.
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
        // A variable for all signals is read once for each, but its problem is logged once.
        match self
            .problems
            .iter_mut()
            .find(|known| known.is_same(&problem))
        {
            Some(known) => known.signals.extend(self.signal),
            None => self.problems.push(problem),
        }
    }

    /// Returns the trimmed value. An empty variable counts as unset (OpenTelemetry specification,
    /// "Parsing empty value").
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        let trimmed = value.trim();
        (!trimmed.is_empty()).then(|| trimmed.to_owned())
    }

    /// Returns the variable of the signal if it is set, and the one for all signals otherwise.
    pub(super) fn first_set(&self, [own, general]: [&'static str; 2]) -> &'static str {
        match self.text(own) {
            Some(_) => own,
            None => general,
        }
    }

    pub(super) fn parse<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.parse_or(name, expected, "the default is used", parse)
    }

    /// Parses the variable of the signal or the one for all signals. An invalid value of the
    /// signal's variable counts as unset, so that the one for all signals is used (OpenTelemetry
    /// specification, "Enum" and "Numeric").
    pub(super) fn parse_first<T>(
        &mut self,
        [own, general]: [&'static str; 2],
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let consequence = match self.text(general) {
            Some(_) => "the value is ignored",
            None => "the default is used",
        };
        self.parse_or(own, expected, consequence, &parse)
            .or_else(|| self.parse(general, expected, parse))
    }

    fn parse_or<T>(
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

    /// Parses a number. `expected` should include the bounds of the type: "an integer" would
    /// not help with a number that is too small.
    pub(super) fn number<T: FromStr>(
        &mut self,
        name: &'static str,
        expected: &'static str,
    ) -> Option<T> {
        self.parse(name, expected, |text| text.parse().ok())
    }

    pub(super) fn milliseconds(&mut self, name: &'static str) -> Option<Duration> {
        self.parse(name, MILLISECONDS_FORM, milliseconds)
    }

    /// Parses milliseconds in the variable of the signal or the one for all signals.
    pub(super) fn first_milliseconds(&mut self, names: [&'static str; 2]) -> Option<Duration> {
        self.parse_first(names, MILLISECONDS_FORM, milliseconds)
    }

    /// Parses one of several keywords, which are not case-sensitive (OpenTelemetry specification,
    /// "Enum").
    pub(super) fn choice<T: Copy, const N: usize>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        choices: [(&str, T); N],
    ) -> Option<T> {
        self.parse(name, expected, |text| find_choice(&choices, text))
    }

    /// Parses one of several keywords in the variable of the signal or the one for all signals.
    pub(super) fn first_choice<T: Copy>(
        &mut self,
        names: [&'static str; 2],
        expected: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        self.parse_first(names, expected, |text| find_choice(choices, text))
    }

    /// Parses `true` or `false`, which are not case-sensitive. Any other value is a problem and
    /// counts as false.
    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        let parse = |text: &str| text.to_lowercase().parse().ok();
        self.parse(name, "true or false", parse).unwrap_or(false)
    }
}

const MILLISECONDS_FORM: &str = "a non-negative integer, in milliseconds";

fn milliseconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_millis)
}

fn find_choice<T: Copy>(choices: &[(&str, T)], text: &str) -> Option<T> {
    let is_choice = |(word, _): &&(&str, T)| text.eq_ignore_ascii_case(word);
    choices.iter().find(is_choice).map(|(_, choice)| *choice)
}

/// Parses a percent-encoded list `key=value,key=value`. The error is the first invalid member.
pub(super) fn parse_pairs(list: &str) -> Result<Vec<(String, String)>, String> {
    let members = list.split(',').filter(|member| !member.trim().is_empty());
    members
        .map(|member| parse_pair(member).ok_or_else(|| member.trim().to_owned()))
        .collect()
}

/// Parses `key=value`. The value may contain any unencoded character but a comma, because people
/// write `authorization=Bearer KEY` with a space.
pub(super) fn parse_pair(member: &str) -> Option<(String, String)> {
    let (key, value) = member.split_once('=')?;
    let key = key.trim();
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    (!key.is_empty()).then(|| (key.to_owned(), value.into_owned()))
}

/// Error for an invalid variable that has been recorded as a [`Problem`].
#[derive(Debug)]
pub(super) struct InvalidVariable;
