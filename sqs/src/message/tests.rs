use super::*;

fn text(value: &str) -> AttributeValue {
    AttributeValue::String(value.to_owned())
}

#[test]
fn a_message_within_the_rules_passes() {
    let message = OutgoingMessage::new("tab\t newline\n umlaut ä emoji 🎈")
        .with_attribute("tenant", text("blue"))
        .with_attribute("attempt", AttributeValue::Number("-1.5e3".to_owned()))
        .with_attribute("digest", AttributeValue::Binary(vec![0, 255]));
    assert_eq!(message.check(), Ok(()));
}

#[test]
fn an_empty_body_is_rejected() {
    assert_eq!(
        OutgoingMessage::new("").check(),
        Err(InvalidMessage::EmptyBody)
    );
}

#[test]
fn a_character_that_sqs_rejects_is_named_with_its_place() {
    for (body, character, offset) in [
        ("a\0", 0, 1),
        ("ä\u{1b}", 0x1b, 2),
        ("\u{FFFE}", 0xFFFE, 0),
        ("\u{FFFF}", 0xFFFF, 0),
    ] {
        assert_eq!(
            OutgoingMessage::new(body).check(),
            Err(InvalidMessage::BodyCharacter { character, offset }),
            "{body:?}"
        );
    }
}

#[test]
fn the_size_counts_name_type_and_value() {
    // `tenant` + `String` + `blue` are 16 bytes.
    let full = OutgoingMessage::new("x".repeat(MAX_MESSAGE_BYTES - 16))
        .with_attribute("tenant", text("blue"));
    assert_eq!(full.check(), Ok(()));

    let over = OutgoingMessage::new("x".repeat(MAX_MESSAGE_BYTES - 15))
        .with_attribute("tenant", text("blue"));
    assert_eq!(
        over.check(),
        Err(InvalidMessage::TooLarge {
            size: MAX_MESSAGE_BYTES + 1
        })
    );
}

#[test]
fn the_eleventh_attribute_is_rejected() {
    let ten = (0..10).fold(OutgoingMessage::new("x"), |message, index| {
        message.with_attribute(format!("a{index}"), text("v"))
    });
    assert_eq!(ten.check(), Ok(()));
    let eleven = ten.with_attribute("a10", text("v"));
    assert_eq!(
        eleven.check(),
        Err(InvalidMessage::TooManyAttributes { count: 11 })
    );
}

#[test]
fn names_follow_the_rules_of_sqs() {
    let long = "n".repeat(257);
    for name in [
        "",
        "a b",
        "ümlaut",
        ".a",
        "a.",
        "a..b",
        "AWS.x",
        "aws.x",
        "Amazon.x",
        long.as_str(),
    ] {
        let result = OutgoingMessage::new("x")
            .with_attribute(name, text("v"))
            .check();
        assert!(
            matches!(result, Err(InvalidMessage::AttributeName { .. })),
            "{name}: {result:?}"
        );
    }
    for name in ["a", "a.b-c_D9", "awsome.x", "traceparent"] {
        assert_eq!(
            OutgoingMessage::new("x")
                .with_attribute(name, text("v"))
                .check(),
            Ok(()),
            "{name}"
        );
    }
}

#[test]
fn names_are_unique_and_case_matters() {
    let twice = OutgoingMessage::new("x")
        .with_attribute("a", text("1"))
        .with_attribute("a", text("2"));
    assert_eq!(
        twice.check(),
        Err(InvalidMessage::DuplicateAttribute {
            name: "a".to_owned()
        })
    );
    let cases = OutgoingMessage::new("x")
        .with_attribute("a", text("1"))
        .with_attribute("A", text("2"));
    assert_eq!(cases.check(), Ok(()));
}

#[test]
fn values_follow_the_rules_of_sqs() {
    for value in [
        text(""),
        text("a\0"),
        AttributeValue::Number(String::new()),
        AttributeValue::Number("twelve".to_owned()),
        AttributeValue::Number("NaN".to_owned()),
        AttributeValue::Number("inf".to_owned()),
        AttributeValue::Binary(Vec::new()),
    ] {
        let result = OutgoingMessage::new("x")
            .with_attribute("a", value.clone())
            .check();
        assert!(
            matches!(result, Err(InvalidMessage::AttributeValue { .. })),
            "{value:?}: {result:?}"
        );
    }
}

#[test]
fn debug_output_and_errors_show_neither_body_nor_values() {
    let message = OutgoingMessage::new("secret\0").with_attribute("tenant", text("hidden"));
    let shown = format!("{message:?} {:?}", message.check());
    assert!(
        !shown.contains("secret") && !shown.contains("hidden"),
        "{shown}"
    );
}
