//! The token that requests to the server must have.

use std::fmt;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;

/// Minimum length of a token: too long to be guessed over HTTP, even in hexadecimal digits.
const MIN_LENGTH: usize = 16;
/// Authentication scheme of RFC 6750. Its name ignores case.
const SCHEME: &str = "bearer";

/// A bearer token.
pub(crate) struct Token(String);

/// Error in a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidToken {
    #[error("expected at least {MIN_LENGTH} characters, found {0}")]
    TooShort(usize),
    #[error(
        "expected printable ASCII characters without spaces and line breaks: a file with the token must not end with a line break"
    )]
    Character,
}

impl Token {
    pub(crate) fn new(token: String) -> Result<Self, InvalidToken> {
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidToken::Character);
        }
        if token.len() < MIN_LENGTH {
            return Err(InvalidToken::TooShort(token.len()));
        }
        Ok(Self(token))
    }

    /// Returns true if the headers contain this token and no other. The time that the comparison
    /// takes shows the length of the token, and nothing else.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        let Some((scheme, token)) = value.to_str().ok().and_then(|text| text.split_once(' '))
        else {
            return false;
        };
        let token = token.trim_start_matches(' ').as_bytes();
        scheme.eq_ignore_ascii_case(SCHEME) && bool::from(token.ct_eq(self.0.as_bytes()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn only_one_header_with_the_whole_token_is_accepted() {
        let text = "a".repeat(MIN_LENGTH);
        let token = Token::new(text.clone()).unwrap();
        for accepted in [format!("Bearer {text}"), format!("bearer  {text}")] {
            assert!(token.is_in(&headers(&[&accepted])), "{accepted}");
        }
        let bearer = format!("Bearer {text}");
        for rejected in [
            vec![],
            vec![&*text],
            vec!["Bearer"],
            vec!["Bearer "],
            vec![&bearer[..bearer.len() - 1]],
            vec![&*bearer, &*bearer],
        ] {
            assert!(!token.is_in(&headers(&rejected)), "{rejected:?}");
        }
        let basic = format!("Basic {text}");
        let longer = format!("{bearer}a");
        assert!(!token.is_in(&headers(&[&basic])));
        assert!(!token.is_in(&headers(&[&longer])));
        assert!(!format!("{token:?}").contains(&text));
    }

    #[test]
    fn short_tokens_and_line_breaks_are_invalid() {
        let invalid = |text: String| Token::new(text).unwrap_err();
        assert_eq!(invalid("a".repeat(15)), InvalidToken::TooShort(15));
        assert_eq!(
            invalid(format!("{}\n", "a".repeat(16))),
            InvalidToken::Character
        );
    }
}
