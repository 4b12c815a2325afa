//! The table of AWS's rules.

use super::*;

const BATCH: [&str; 3] = ["a", "b", "c"];

fn partial(failed: &[&str]) -> BatchOutcome {
    BatchOutcome::PartialFailure(failed.iter().copied().map(str::to_owned).collect())
}

fn check(table: &[(&str, BatchOutcome)]) {
    for (response, expected) in table {
        assert_eq!(
            &parse_response(response.as_bytes(), BATCH),
            expected,
            "{response}"
        );
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
        check(&[(response, BatchOutcome::Success)]);
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
fn an_invalid_response_fails_the_whole_batch() {
    let unknown = |index, identifier: &str| InvalidResponse::UnknownIdentifier {
        index,
        identifier: identifier.to_owned(),
    };
    let table: [(InvalidResponse, &[&str]); 8] = [
        (
            InvalidResponse::NotJson,
            &["{", "done", r#"{"batchItemFailures":[]} trailing"#],
        ),
        (
            InvalidResponse::NotAnObject,
            &[r#""done""#, r#""""#, "true", "[]"],
        ),
        (
            InvalidResponse::NotAList,
            &[
                r#"{"batchItemFailures":"b"}"#,
                r#"{"batchItemFailures":{"itemIdentifier":"b"}}"#,
                r#"{"batchItemFailures":false}"#,
            ],
        ),
        (
            InvalidResponse::NoIdentifier { index: 0 },
            &[
                r#"{"batchItemFailures":["b"]}"#,
                r#"{"batchItemFailures":[null]}"#,
                r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
                r#"{"batchItemFailures":[{"itemIdentifier":7}]}"#,
                r#"{"batchItemFailures":[{"ItemIdentifier":"b"}]}"#,
            ],
        ),
        (
            InvalidResponse::NoIdentifier { index: 1 },
            &[r#"{"batchItemFailures":[{"itemIdentifier":"b"},{}]}"#],
        ),
        (
            InvalidResponse::EmptyIdentifier { index: 0 },
            &[r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#],
        ),
        (
            unknown(0, "z"),
            &[r#"{"batchItemFailures":[{"itemIdentifier":"z"}]}"#],
        ),
        (
            unknown(1, "B"),
            &[r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"B"}]}"#],
        ),
    ];
    for (error, responses) in table {
        for response in responses {
            check(&[(response, BatchOutcome::Failure(error.clone()))]);
        }
    }
}
