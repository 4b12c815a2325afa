//! Reading and writing of W3C Baggage.

use opentelemetry::baggage::KeyValueMetadata;

use super::*;

/// Returns the entries that are read from a header, as `key=value;properties` with decoded values,
/// sorted by key.
fn read(header: &str) -> Vec<String> {
    let context = extract(&[(BAGGAGE, header)]);
    let entries = context.baggage().iter();
    let mut read: Vec<String> = entries
        .map(|(key, (value, metadata))| format!("{key}={value};{metadata}"))
        .collect();
    read.sort_unstable();
    read
}

fn write(entries: impl IntoIterator<Item = (String, String, &'static str)>) -> String {
    let entries = entries.into_iter();
    let members: Vec<_> = entries
        .map(|(key, value, metadata)| KeyValueMetadata::new(key, value, metadata))
        .collect();
    let context = Context::new().with_baggage(members);
    inject(&context).remove(BAGGAGE).unwrap_or_default()
}

#[test]
fn members_are_parsed_by_the_grammar() {
    let table: &[(&str, &str, &[&str])] = &[
        ("simple", "SomeKey=SomeValue", &["SomeKey=SomeValue;"]),
        ("several", "a=1,b=2", &["a=1;", "b=2;"]),
        ("no value", "a=", &["a=;"]),
        ("equals signs in the value", "a=b=c==", &["a=b=c==;"]),
        ("percent-encoded", "a=blue%20sky%2C%3b", &["a=blue sky,;;"]),
        ("UTF-8", "a=Am%C3%A9lie", &["a=Am\u{e9}lie;"]),
        ("not UTF-8", "a=x%ffy", &["a=x\u{fffd}y;"]),
        ("cut short within UTF-8", "a=%C3", &["a=\u{fffd};"]),
        (
            "percent sign without digits",
            "a=100%,b=%g1",
            &["a=100%;", "b=%g1;"],
        ),
        ("whitespace", " a \t= 1 \t,\tb =\t2 ", &["a=1;", "b=2;"]),
        (
            "every character of a token",
            "!#$%&'*+-.^_`|~9Az=1",
            &["!#$%&'*+-.^_`|~9Az=1;"],
        ),
        ("property", "a=1;p", &["a=1;p"]),
        ("properties", "a=1;p=2;q;p=%20", &["a=1;p=2;q;p=%20"]),
        (
            "properties with whitespace",
            "a=1 \t; p\t= 2 ; q ,b=2",
            &["a=1;p=2;q", "b=2;"],
        ),
        ("property with equals signs", "a=1;p==2", &["a=1;p==2"]),
        ("empty property", "a=1;;p;", &["a=1;p"]),
        ("duplicate key", "a=1,a=2", &["a=2;"]),
        ("empty members", ",a=1, ,\t,", &["a=1;"]),
        ("empty", "", &[]),
        ("no key", "=1,b=2", &["b=2;"]),
        ("no '='", "a,b=2", &["b=2;"]),
        ("no '=' but in a property", "a;p=1,b=2", &["b=2;"]),
        (
            "key that is not a token",
            "a b=1,a/b=1,\u{e9}=1,b=2",
            &["b=2;"],
        ),
        (
            "value that is not encoded",
            "a=x y,c=\"x\",d=\u{e9},e=\\,b=2",
            &["b=2;"],
        ),
        ("control character", "a=x\u{1}y,b=2", &["b=2;"]),
        (
            "property that is none",
            "a=1;p q,c=1;p=\",d=1;=,b=2",
            &["b=2;"],
        ),
    ];
    for (case, header, expected) in table {
        assert_eq!(read(header), *expected, "{case}");
    }
}

#[test]
fn ignored_members_are_reported() {
    use InvalidBaggage::{Member, NoMembers, TooLong, TooMany};
    let members = |count: usize| "k=v,".repeat(count);
    let long = |length: usize| "v".repeat(length);
    let table: [(&str, String, bool, &[InvalidBaggage]); 14] = [
        ("valid", "a=1;p=2;q, b=".into(), true, &[]),
        ("the same key twice", "a=1,a=2".into(), true, &[]),
        ("empty", String::new(), false, &[]),
        ("nothing but separators", " ,\t,, ".into(), false, &[]),
        ("no valid member", "a b=1".into(), false, &[NoMembers]),
        ("no '='", "a".into(), false, &[NoMembers]),
        ("one of two", "a=1,b c=2".into(), true, &[Member]),
        ("for its property", "a=1,b=2;p q".into(), true, &[Member]),
        ("64", members(64), true, &[]),
        ("70", members(70), true, &[TooMany]),
        (
            "one too long",
            format!("a={}", long(9000)),
            false,
            &[TooLong, NoMembers],
        ),
        (
            "the last too long",
            format!("a=1,b={}", long(9000)),
            true,
            &[TooLong],
        ),
        (
            "only empty members beyond the limit",
            format!("a=1{}", ",".repeat(9000)),
            true,
            &[],
        ),
        (
            "everything",
            format!("{},b c,b={}", members(65), long(9000)),
            true,
            &[Member, TooMany, TooLong],
        ),
    ];
    for (case, header, counts, expected) in table {
        let mut reasons = Vec::new();
        let found = check_baggage(&header, |reason| reasons.push(reason));
        assert_eq!((found, &reasons[..]), (counts, expected), "{case}");
        assert_eq!(read(&header).is_empty(), !counts, "{case}");
    }
}

#[test]
fn baggage_is_written_as_it_was_read() {
    for header in [
        "a=1,b=2;p=x%2Cy;q",
        "k=Am%C3%A9lie%20%22x%22%2C%3B%5C%25",
        "k=a=b",
        "k=",
    ] {
        assert_eq!(inject(&extract(&[(BAGGAGE, header)]))[BAGGAGE], header);
    }
}

#[test]
fn headers_in_several_lines_are_joined() {
    let context = extract(&[(BAGGAGE, "a=1"), (BAGGAGE, "b=2")]);
    assert_eq!(context.baggage().len(), 2);
}

#[test]
fn only_the_first_64_members_are_read() {
    let members: Vec<String> = (0..65).map(|number| format!("k{number:02}=v;")).collect();
    assert_eq!(read(&members[..64].join(",")).len(), 64);
    assert_eq!(read(&members.join(",")), members[..64]);
}

#[test]
fn only_complete_members_within_the_length_limit_are_read() {
    // The header of 8192 bytes is `a=…,b=2`, and `tail` follows it.
    let exact = format!("a={},b=2", "v".repeat(8192 - 6));
    let table: [(&str, &[&str]); 4] = [
        ("", &["a", "b"]),
        (",c=3", &["a", "b"]),
        ("3", &["a"]),
        (";p", &["a"]),
    ];
    for (tail, keys) in table {
        let context = extract(&[(BAGGAGE, &(exact.clone() + tail))]);
        let mut read: Vec<&str> = context
            .baggage()
            .iter()
            .map(|(key, _)| key.as_str())
            .collect();
        read.sort_unstable();
        assert_eq!(read, keys, "{tail:?}");
    }
    assert!(read(&format!("a={}", "v".repeat(8191))).is_empty());
    // A limit within a character must not panic.
    assert!(read(&"\u{20ac}".repeat(3000)).is_empty());
}

#[test]
fn complete_members_are_written_up_to_the_limits() {
    // Each value has 100 characters in memory and 300 when encoded.
    let value = "\"".repeat(100);
    let entry = |number: usize| (format!("k{number:02}"), value.clone(), "");
    let header = write((0..64).map(entry));
    assert!(header.len() <= 8192, "{}", header.len());
    let member = format!("={}", "%22".repeat(100));
    let expected: Vec<String> = (0..26)
        .map(|number| format!("k{number:02}{member}"))
        .collect();
    assert_eq!(header, expected.join(","));
    let small = |number: usize| (format!("k{number:02}"), "v".to_owned(), "");
    assert_eq!(write((0..70).map(small)).split(',').count(), 64);
}

#[test]
fn a_member_that_does_not_fit_is_skipped() {
    let large = ("a".to_owned(), "\"".repeat(3000), "");
    let small = ("b".to_owned(), "1".to_owned(), "p");
    assert_eq!(write([large, small]), "b=1;p");
}

#[test]
fn metadata_that_are_not_properties_are_not_sent() {
    let entry = |metadata| ("a".to_owned(), "1".to_owned(), metadata);
    assert_eq!(write([entry("p = 1 ; q")]), "a=1;p=1;q");
    for metadata in ["p,b=2", "two words", "p=\u{e9}", "\u{1}"] {
        assert_eq!(write([entry(metadata)]), "a=1", "{metadata:?}");
    }
}
