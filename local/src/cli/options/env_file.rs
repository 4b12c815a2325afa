//! Parser of files with variables for the function.
//!
//! Each line is `NAME=VALUE`, `export NAME=VALUE`, a comment after `#`, or empty. A comment after a
//! value needs a space before its `#`. A value without quotes is one word. A value in single quotes
//! is used unchanged; in double quotes, `\n`, `\"`, `\\` and `\$` stand for a line break, `"`, `\`
//! and `$`. A value in quotes may have several lines. Variables are not expanded: `$HOME` stays as
//! it is.

use std::fs;

/// Variables of a file, in their order.
#[derive(Clone, Debug)]
pub(super) struct EnvFile {
    pub(super) variables: Vec<(String, String)>,
}

/// A line with a syntax error: its number, and the expected syntax.
///
/// The error does not contain the line itself, which may be a secret.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: expected {expected}")]
struct LineError {
    /// Number of the line, counted from 1. For a value of several lines, the number of its first
    /// line.
    line: usize,
    expected: &'static str,
}

const ASSIGNMENT: &str = "NAME=VALUE, with a name of letters, digits, dots and underscores";
const ONE_WORD: &str = "quotes around a value with spaces";
const CLOSING_QUOTE: &str = "a closing quote after the value";
const END_OF_LINE: &str = "the end of the line or a comment after the closing quote";

/// A variable, if the line has one, and the text after the line.
type ParsedLine<'a> = (Option<(String, String)>, &'a str);

/// Reads a file. Variables of this process are neither read nor changed.
///
/// # Errors
///
/// Fails if the file cannot be read or a line has a syntax error. The error contains the number of
/// the line.
pub(super) fn read(path: &str) -> Result<EnvFile, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    parse(&text).map_err(|error| format!("{path}, {error}"))
}

fn parse(text: &str) -> Result<EnvFile, LineError> {
    // Editors on Windows begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while !rest.is_empty() {
        let (variable, after) =
            parse_line(rest).map_err(|expected| LineError { line, expected })?;
        variables.extend(variable);
        line += rest[..rest.len() - after.len()].matches('\n').count();
        rest = after;
    }
    Ok(EnvFile { variables })
}

/// Parses one line, or several lines if they belong to a quoted value.
fn parse_line(text: &str) -> Result<ParsedLine<'_>, &'static str> {
    let (line, after) = split_line(text);
    if is_blank(line) {
        return Ok((None, after));
    }
    let equals = line.find('=').ok_or(ASSIGNMENT)?;
    let name = variable_name(&text[..equals])?;
    let text = &text[equals + 1..];
    let quoted = text.trim_start_matches([' ', '\t']);
    let (value, after) = if let Some(value) = quoted.strip_prefix('\'') {
        single_quoted(value)?
    } else if let Some(value) = quoted.strip_prefix('"') {
        double_quoted(value)?
    } else {
        unquoted(text)?
    };
    Ok((Some((name.to_owned(), value)), after))
}

fn split_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// Returns true if a line is empty or a comment.
fn is_blank(line: &str) -> bool {
    let line = line.trim_ascii_start();
    line.is_empty() || line.starts_with('#')
}

/// Returns true if the rest of a line, after `=` or a quote, is empty or a comment with a space
/// before it.
fn is_blank_rest(rest: &str) -> bool {
    is_blank(rest) && !rest.starts_with('#')
}

/// Returns the name in the text before `=`.
fn variable_name(text: &str) -> Result<&str, &'static str> {
    let mut words = text.split_ascii_whitespace();
    let name = match (words.next(), words.next(), words.next()) {
        (Some("export"), Some(name), None) | (Some(name), None, None) => name,
        _ => return Err(ASSIGNMENT),
    };
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    if name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_allowed) {
        return Err(ASSIGNMENT);
    }
    Ok(name)
}

fn unquoted(text: &str) -> Result<(String, &str), &'static str> {
    let (line, after) = split_line(text);
    if is_blank_rest(line) {
        return Ok((String::new(), after));
    }
    let line = line.trim_ascii();
    let (value, rest) = line
        .split_once(|c: char| c.is_ascii_whitespace())
        .unwrap_or((line, ""));
    if is_blank(rest) {
        Ok((value.to_owned(), after))
    } else {
        Err(ONE_WORD)
    }
}

fn single_quoted(text: &str) -> Result<(String, &str), &'static str> {
    let (value, rest) = text.split_once('\'').ok_or(CLOSING_QUOTE)?;
    Ok((value.to_owned(), text_after_quote(rest)?))
}

fn double_quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let mut ahead = chars.clone();
        match (c, ahead.next()) {
            ('"', _) => return Ok((value, text_after_quote(chars.as_str())?)),
            ('\\', Some('n')) => {
                value.push('\n');
                chars = ahead;
            }
            ('\\', Some(escaped @ ('"' | '\\' | '$'))) => {
                value.push(escaped);
                chars = ahead;
            }
            _ => value.push(c),
        }
    }
    Err(CLOSING_QUOTE)
}

/// Returns the text after the line that a closing quote is on.
fn text_after_quote(text: &str) -> Result<&str, &'static str> {
    let (line, after) = split_line(text);
    is_blank_rest(line).then_some(after).ok_or(END_OF_LINE)
}

#[cfg(test)]
mod tests;
