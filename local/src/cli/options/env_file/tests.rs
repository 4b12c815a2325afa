use super::*;

fn variables(text: &str) -> Vec<(String, String)> {
    parse(text).unwrap().variables
}

fn value(text: &str) -> String {
    let [(_, value)] = variables(text).try_into().unwrap();
    value
}

fn line_error(text: &str) -> LineError {
    parse(text).map(drop).unwrap_err()
}

#[test]
fn comments_quotes_and_export_are_read() {
    let text = "# of the function\nA=1\n\nexport B='two words' # said\nC=\"x\\ny\"\nD=\n";
    let expected = [("A", "1"), ("B", "two words"), ("C", "x\ny"), ("D", "")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(variables(text), expected);
}

#[test]
fn a_byte_order_mark_and_windows_line_breaks_are_accepted() {
    let expected = [("A", "1"), ("B", "2"), ("C", "")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(variables("\u{feff}A=1\r\nB='2'\r\nC=\r\n"), expected);
}

#[test]
fn nothing_is_expanded() {
    for (text, expected) in [
        ("A=pa$HOME", "pa$HOME"),
        ("A=${HOME}\\x", "${HOME}\\x"),
        ("A=\"pa$HOME ${HOME}\"", "pa$HOME ${HOME}"),
        ("A='pa$HOME'", "pa$HOME"),
    ] {
        assert_eq!(value(text), expected);
    }
}

#[test]
fn a_value_without_quotes_is_one_word() {
    for (text, expected) in [
        ("A = 1 # one", "1"),
        ("A= # empty", ""),
        ("A=a#b=c", "a#b=c"),
        ("A=#secret", "#secret"),
        (r#"A={"id":1}"#, r#"{"id":1}"#),
        ("A=it's", "it's"),
    ] {
        assert_eq!(value(text), expected);
    }
}

#[test]
fn escapes_are_read_only_in_double_quotes() {
    assert_eq!(value(r#"A="\"\\\$\n\d""#), "\"\\$\n\\d");
    assert_eq!(value(r#"A='\"\n'"#), r#"\"\n"#);
}

#[test]
fn a_value_in_quotes_may_have_several_lines() {
    let text = "KEY='BEGIN\nx=\nEND' # a key\nB=2\nno assignment\n";
    let before = text.replace("no assignment\n", "");
    assert_eq!(variables(&before)[0].1, "BEGIN\nx=\nEND");
    assert_eq!(variables(&before)[1].1, "2");
    assert_eq!(line_error(text).line, 5);
}

#[test]
fn an_invalid_line_is_reported_by_its_number_and_the_expected_syntax() {
    for (text, line, expected) in [
        ("A=1\n\nno secret here\n", 3, ASSIGNMENT),
        ("A=1\nno secret\nB=2", 2, ASSIGNMENT),
        ("A=1\n=secret\n", 2, ASSIGNMENT),
        ("1A=secret\n", 1, ASSIGNMENT),
        ("A B=secret\n", 1, ASSIGNMENT),
        ("A=1\nY=a b\n", 2, ONE_WORD),
        ("A=1\nB='open\nC=2\n", 2, CLOSING_QUOTE),
        ("A=1\nB=\"open\\\"\nC=2\n", 2, CLOSING_QUOTE),
        ("A=1\nB='a'b\n", 2, END_OF_LINE),
        ("A=1\nB='a'#b\n", 2, END_OF_LINE),
    ] {
        assert_eq!(line_error(text), LineError { line, expected }, "{text:?}");
    }
}

#[test]
fn an_error_names_the_file_and_never_the_value() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "A=1\nPASSWORD=open sesame\n").unwrap();
    let path = file.path().to_str().unwrap();
    let error = read(path).map(drop).unwrap_err();
    assert_eq!(
        error,
        format!("{path}, line 2: expected quotes around a value with spaces")
    );
    let error = read("/no/such.env").map(drop).unwrap_err();
    assert!(error.starts_with("cannot read /no/such.env: "), "{error}");
}
