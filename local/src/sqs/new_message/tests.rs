//! Tests of the rules for a message that is sent.

use super::*;

fn new_message(body: &str) -> NewMessage {
    NewMessage {
        body: body.to_owned(),
        attributes: MessageAttributes::new(),
        system_attributes: MessageAttributes::new(),
        inherited_trace_header: None,
        delay_seconds: None,
        group_id: None,
        deduplication_id: None,
    }
}

fn with_attribute(name: &str, data_type: &str, value: AttributeValue) -> NewMessage {
    let mut message = new_message("body");
    message.attributes.insert(
        name.to_owned(),
        TypedAttribute {
            data_type: data_type.to_owned(),
            value,
        },
    );
    message
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::Text(value.to_owned())
}

fn code(message: &NewMessage) -> Result<(), &'static str> {
    message.check().map_err(|error| error.codes().code)
}

#[test]
fn a_body_must_not_be_empty_and_must_have_valid_characters() {
    assert_eq!(code(&new_message("x")), Ok(()));
    assert_eq!(code(&new_message("")), Err("MissingParameter"));
    assert_eq!(code(&new_message("\u{1}")), Err("InvalidMessageContents"));
}

#[test]
fn ten_attributes_pass_and_eleven_do_not() {
    let mut message = new_message("x");
    for number in 0..10 {
        message.attributes.insert(
            format!("a{number}"),
            TypedAttribute {
                data_type: "String".to_owned(),
                value: text("v"),
            },
        );
    }
    assert_eq!(code(&message), Ok(()));
    message.attributes.insert(
        "b".to_owned(),
        TypedAttribute {
            data_type: "String".to_owned(),
            value: text("v"),
        },
    );
    assert_eq!(code(&message), Err("InvalidParameterValue"));
}

#[test]
fn attribute_names_follow_the_documented_rules() {
    for accepted in ["traceparent", "a.b-c_d", "awsome", "Ä1", &"n".repeat(256)] {
        assert_eq!(
            code(&with_attribute(accepted, "String", text("v"))),
            Ok(()),
            "{accepted}"
        );
    }
    for refused in [
        "",
        ".a",
        "a.",
        "a..b",
        "aWs.x",
        "AMAZON.x",
        "a b",
        "a!",
        "a§",
        &"n".repeat(257),
    ] {
        assert_eq!(
            code(&with_attribute(refused, "String", text("v"))),
            Err("InvalidParameterValue"),
            "{refused}"
        );
    }
}

#[test]
fn attribute_types_are_string_number_or_binary_with_an_optional_label() {
    for accepted in ["String", "String.url", "Number", "Number.int"] {
        assert_eq!(
            code(&with_attribute("a", accepted, text("1"))),
            Ok(()),
            "{accepted}"
        );
    }
    assert_eq!(
        code(&with_attribute(
            "a",
            "Binary.gif",
            AttributeValue::Binary(vec![0])
        )),
        Ok(())
    );
    let long = format!("String.{}", "l".repeat(250));
    for refused in ["", "Text", "string", "Strings", "String.", long.as_str()] {
        assert_eq!(
            code(&with_attribute("a", refused, text("1"))),
            Err("InvalidParameterValue"),
            "{refused}"
        );
    }
}

#[test]
fn attribute_values_must_not_be_empty_and_must_fit_their_type() {
    let refused = [
        with_attribute("a", "String", text("")),
        with_attribute("a", "String", text("\u{8}")),
        with_attribute("a", "String", AttributeValue::Binary(vec![1])),
        with_attribute("a", "Number", text("twelve")),
        with_attribute("a", "Binary", AttributeValue::Binary(Vec::new())),
        with_attribute("a", "Binary", text("x")),
    ];
    for message in &refused {
        assert_eq!(code(message), Err("InvalidParameterValue"));
    }
}

#[test]
fn the_trace_header_is_the_only_system_attribute_and_is_not_counted() {
    let mut message = new_message("12345");
    let header = TypedAttribute {
        data_type: "String".to_owned(),
        value: text("Root=1-5759e988-bd862e3fe1be46a994272793"),
    };
    message
        .system_attributes
        .insert(TRACE_HEADER.to_owned(), header.clone());
    assert_eq!(code(&message), Ok(()));
    assert_eq!(message.size(), 5);
    message
        .system_attributes
        .insert("SenderId".to_owned(), header);
    assert_eq!(code(&message), Err("InvalidParameterValue"));
}

#[test]
fn attributes_count_with_name_type_and_value() {
    assert_eq!(
        with_attribute("name", "String", text("value")).size(),
        "body".len() + "name".len() + "String".len() + "value".len()
    );
}
