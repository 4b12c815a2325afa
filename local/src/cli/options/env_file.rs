//! Files with variables for the function, in dotenv format.

use std::fs;

/// Variables of a file, in order.
#[derive(Clone, Debug)]
pub(super) struct EnvFile {
    pub(super) variables: Vec<(String, String)>,
}

/// Reads a file. The process's own variables are not changed.
///
/// # Errors
///
/// When the file cannot be read, or a line is not `NAME=VALUE`. The line is named by its number and not repeated: it may hold a secret.
pub(super) fn read(path: &str) -> Result<EnvFile, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    parse(&text).map_err(|line| {
        format!("{path}, line {line}: expected NAME=VALUE, a value in quotes if it has spaces")
    })
}

/// Returns the number of the first line that cannot be read as an error.
fn parse(text: &str) -> Result<EnvFile, usize> {
    let variables = dotenvy::from_read_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    match variables {
        Ok(variables) => Ok(EnvFile { variables }),
        Err(dotenvy::Error::LineParse(failed, _)) => {
            let failed = failed.lines().next().unwrap_or_default().trim();
            let place = text.lines().position(|line| line.trim() == failed);
            Err(place.map_or(1, |index| index + 1))
        }
        // The text is in memory and valid UTF-8, so only the syntax can be wrong.
        Err(_) => Err(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_quotes_and_export_are_read() {
        let text = "# of the function\nA=1\n\nexport B='two words' # said\nC=\"x\\ny\"\nD=\n";
        let variables = parse(text).unwrap().variables;
        let expected = [("A", "1"), ("B", "two words"), ("C", "x\ny"), ("D", "")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(variables, expected);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_by_its_number_alone() {
        assert_eq!(parse("A=1\n\nno secret here\n").map(drop), Err(3));
        assert_eq!(parse("A=1\nB='open\n").map(drop), Err(2));
        let error = read("/no/such.env").map(drop).unwrap_err();
        assert!(error.starts_with("cannot read /no/such.env: "), "{error}");
    }
}
