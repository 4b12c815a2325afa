//! The table of AWS's rules.

use super::*;

const BATCH: [&str; 3] = ["a", "b", "c"];

fn partial(failed: &[&str]) -> Outcome {
    Outcome::Partial(failed.iter().copied().map(str::to_owned).collect())
}

fn check(table: &[(&str, Outcome)]) {
    for (response, expected) in table {
        assert_eq!(&outcome(response.as_bytes(), BATCH), expected, "{response}");
    }
}

#[test]
fn success_has_several_shapes() {
    for response in [
        "",
        " \n",
        "null",
        "{}",
        r#"{"batchItemFailures":[]}"#,
        r#"{"batchItemFailures":null}"#,
        r#"{"statusCode":200}"#,
        r#"{"batchItemFailures":[],"more":[1]}"#,
    ] {
        check(&[(response, Outcome::Success)]);
    }
}

#[test]
fn named_records_fail() {
    check(&[
        (
            r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#,
            partial(&["b"]),
        ),
        (
            r#"{"batchItemFailures":[{"itemIdentifier":"c"},{"itemIdentifier":"a"}]}"#,
            partial(&["a", "c"]),
        ),
        (
            r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"b"}]}"#,
            partial(&["b"]),
        ),
        (
            r#"{"batchItemFailures":[{"itemIdentifier":"b","reason":"x"}]}"#,
            partial(&["b"]),
        ),
        (
            r#" {"batchItemFailures" : [ {"itemIdentifier":"\u0062"} ] } "#,
            partial(&["b"]),
        ),
    ]);
}

#[test]
fn anything_unclear_fails_the_whole_batch() {
    let unknown = |index, identifier: &str| Refusal::UnknownIdentifier {
        index,
        identifier: identifier.to_owned(),
    };
    let table = [
        ("{", Refusal::NotJson),
        ("done", Refusal::NotJson),
        (r#"{"batchItemFailures":[]} trailing"#, Refusal::NotJson),
        (r#""done""#, Refusal::NotAnObject),
        (r#""""#, Refusal::NotAnObject),
        ("true", Refusal::NotAnObject),
        ("[]", Refusal::NotAnObject),
        (r#"{"batchItemFailures":"b"}"#, Refusal::NotAList),
        (
            r#"{"batchItemFailures":{"itemIdentifier":"b"}}"#,
            Refusal::NotAList,
        ),
        (r#"{"batchItemFailures":false}"#, Refusal::NotAList),
        (
            r#"{"batchItemFailures":["b"]}"#,
            Refusal::NoIdentifier { index: 0 },
        ),
        (
            r#"{"batchItemFailures":[null]}"#,
            Refusal::NoIdentifier { index: 0 },
        ),
        (
            r#"{"batchItemFailures":[{"itemIdentifier":"b"},{}]}"#,
            Refusal::NoIdentifier { index: 1 },
        ),
        (
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            Refusal::NoIdentifier { index: 0 },
        ),
        (
            r#"{"batchItemFailures":[{"itemIdentifier":7}]}"#,
            Refusal::NoIdentifier { index: 0 },
        ),
        (
            r#"{"batchItemFailures":[{"ItemIdentifier":"b"}]}"#,
            Refusal::NoIdentifier { index: 0 },
        ),
        (
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            Refusal::EmptyIdentifier { index: 0 },
        ),
        (
            r#"{"batchItemFailures":[{"itemIdentifier":"z"}]}"#,
            unknown(0, "z"),
        ),
        (
            r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"B"}]}"#,
            unknown(1, "B"),
        ),
    ];
    for (response, refusal) in table {
        check(&[(response, Outcome::Failure(refusal))]);
    }
}
