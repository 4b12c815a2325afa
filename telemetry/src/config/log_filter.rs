//! The filter for log lines: `RUST_LOG`, or Lambda's level, or `info`.

use tracing_subscriber::filter::{LevelFilter, Targets};

use super::reader::VariableReader;

/// Expected form of `RUST_LOG`. A word without `=` must be a level: if a misspelt level counted as
/// the name of a target, nothing would be logged, not even a warning about it.
const RUST_LOG_FORM: &str = "a level (off, error, warn, info, debug, trace) or a list of target=level with an optional level for all other targets";
const LAMBDA_FORM: &str = "a level (TRACE, DEBUG, INFO, WARN, ERROR, FATAL)";
/// Characters of targets besides letters and digits. Others show a mistake, such as a list with
/// semicolons or a filter by the fields of a span, which would silence everything as well.
const TARGET_CHARACTERS: [char; 5] = ['_', '-', ':', '.', '/'];

/// Reads the filter. An invalid variable results in the default and not in the value of the next
/// variable, whose level might hide the warning about it.
pub(super) fn read(reader: &mut VariableReader<'_>) -> Targets {
    let filter = match reader.text("RUST_LOG") {
        Some(_) => reader.parse("RUST_LOG", RUST_LOG_FORM, directives),
        None => reader.parse("AWS_LAMBDA_LOG_LEVEL", LAMBDA_FORM, lambda_level),
    };
    filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO))
}

/// Parses a list of directives. Targets without a directive are off, as usual in Rust programs,
/// because the list may select a single target.
fn directives(list: &str) -> Option<Targets> {
    let directives = list.split(',').map(str::trim);
    let mut directives = directives.filter(|text| !text.is_empty()).peekable();
    directives.peek()?;
    directives.try_fold(Targets::new(), |targets, directive| {
        match directive.split_once('=') {
            None => Some(targets.with_default(level(directive)?)),
            Some((name, own_level)) => {
                Some(targets.with_target(target(name.trim())?, level(own_level.trim())?))
            }
        }
    })
}

fn target(name: &str) -> Option<&str> {
    let is_usual =
        |character: char| character.is_alphanumeric() || TARGET_CHARACTERS.contains(&character);
    (!name.is_empty() && name.chars().all(is_usual)).then_some(name)
}

fn level(name: &str) -> Option<LevelFilter> {
    // The parser also accepts an empty text and numbers, which are mistakes here.
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic());
    name.parse().ok().filter(|_| is_name)
}

fn lambda_level(name: &str) -> Option<Targets> {
    let level = match name {
        // Lambda's highest level, which `tracing` does not have.
        fatal if fatal.eq_ignore_ascii_case("fatal") => LevelFilter::ERROR,
        other => level(other).filter(|level| *level != LevelFilter::OFF)?,
    };
    Some(Targets::new().with_default(level))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    /// Returns the filter and the reported problems.
    fn read_from(variables: &[(&str, &str)]) -> (Targets, Vec<String>) {
        let lookup = |name: &str| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some((*value).to_owned())
        };
        let mut reader = VariableReader::new(&lookup);
        let filter = read(&mut reader);
        let problems = reader.into_problems();
        (filter, problems.iter().map(ToString::to_string).collect())
    }

    fn finest(filter: &Targets, target: &str) -> Option<Level> {
        let levels = [
            Level::TRACE,
            Level::DEBUG,
            Level::INFO,
            Level::WARN,
            Level::ERROR,
        ];
        let mut enabled = levels
            .into_iter()
            .filter(|level| filter.would_enable(target, level));
        enabled.next()
    }

    #[test]
    fn an_invalid_filter_is_reported_and_the_default_applies() {
        for wrong in [
            "warning",
            "inf0",
            "my_crate",
            "my_crate::module",
            "warn,my_crate",
            "info; orders=debug",
            "info;orders=debug",
            "orders=",
            "orders=loud",
            "orders=debug=trace",
            "orders[{id}]=debug",
            "=debug",
            "3",
            "orders=3",
            "fatal",
            ",",
        ] {
            let (filter, problems) = read_from(&[("RUST_LOG", wrong)]);
            let started = finest(&filter, "baton_telemetry::telemetry");
            assert_eq!(started, Some(Level::INFO), "{wrong}");
            let expected =
                format!("RUST_LOG: expected {RUST_LOG_FORM}, found {wrong:?}; the default is used");
            assert_eq!(problems, [expected]);
        }
    }

    #[test]
    fn levels_and_lists_are_read_in_any_case_and_with_spaces() {
        for (list, orders, other) in [
            ("off", None, None),
            ("WARN", Some(Level::WARN), Some(Level::WARN)),
            ("Trace", Some(Level::TRACE), Some(Level::TRACE)),
            ("orders=debug", Some(Level::DEBUG), None),
            (
                "warn, orders = DEBUG,",
                Some(Level::DEBUG),
                Some(Level::WARN),
            ),
            ("orders::intake=off,info", None, Some(Level::INFO)),
        ] {
            let (filter, problems) = read_from(&[("RUST_LOG", list)]);
            let found = (finest(&filter, "orders::intake"), finest(&filter, "other"));
            assert_eq!(found, (orders, other), "{list}");
            assert!(problems.is_empty(), "{problems:?}");
        }
    }

    #[test]
    fn lambdas_levels_are_read_in_any_case() {
        for (name, expected) in [
            ("TRACE", Level::TRACE),
            ("debug", Level::DEBUG),
            ("INFO", Level::INFO),
            ("Warn", Level::WARN),
            ("ERROR", Level::ERROR),
            ("FATAL", Level::ERROR),
            ("fatal", Level::ERROR),
        ] {
            let (filter, problems) = read_from(&[("AWS_LAMBDA_LOG_LEVEL", name)]);
            assert_eq!(finest(&filter, "orders"), Some(expected), "{name}");
            assert!(problems.is_empty(), "{problems:?}");
        }
    }

    #[test]
    fn an_invalid_lambda_level_is_reported_and_the_default_applies() {
        for wrong in ["WARNING", "off", "orders=debug", "info,orders=debug", "4"] {
            let (filter, problems) = read_from(&[("AWS_LAMBDA_LOG_LEVEL", wrong)]);
            assert_eq!(finest(&filter, "orders"), Some(Level::INFO), "{wrong}");
            let expected = format!(
                "AWS_LAMBDA_LOG_LEVEL: expected {LAMBDA_FORM}, found {wrong:?}; the default is used"
            );
            assert_eq!(problems, [expected]);
        }
    }

    #[test]
    fn rust_log_takes_precedence_even_if_it_is_invalid() {
        let lambda = ("AWS_LAMBDA_LOG_LEVEL", "ERROR");
        for (rust_log, expected) in [
            ("debug", Level::DEBUG),
            ("warning", Level::INFO),
            ("", Level::ERROR),
        ] {
            let (filter, _) = read_from(&[("RUST_LOG", rust_log), lambda]);
            assert_eq!(finest(&filter, "orders"), Some(expected), "{rust_log}");
        }
    }
}
