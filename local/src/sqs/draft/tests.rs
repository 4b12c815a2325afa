//! What a sender may and may not put into a message.

use super::*;

fn draft(body: &str) -> Draft {
    Draft {
        body: body.to_owned(),
        attributes: Attributes::new(),
        system_attributes: Attributes::new(),
        inherited_trace_header: None,
        delay_seconds: None,
        group_id: None,
        deduplication_id: None,
    }
}

fn with(name: &str, data_type: &str, value: Value) -> Draft {
    let mut draft = draft("body");
    draft.attributes.insert(
        name.to_owned(),
        Attribute {
            data_type: data_type.to_owned(),
            value,
        },
    );
    draft
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn code(draft: &Draft) -> Result<(), &'static str> {
    draft.obey().map_err(|error| error.naming().code)
}

#[test]
fn a_body_must_be_there_and_carriable() {
    assert_eq!(code(&draft("x")), Ok(()));
    assert_eq!(code(&draft("")), Err("MissingParameter"));
    assert_eq!(code(&draft("\u{1}")), Err("InvalidMessageContents"));
}

#[test]
fn ten_attributes_pass_and_eleven_do_not() {
    let mut draft = draft("x");
    for number in 0..10 {
        draft.attributes.insert(
            format!("a{number}"),
            Attribute {
                data_type: "String".to_owned(),
                value: text("v"),
            },
        );
    }
    assert_eq!(code(&draft), Ok(()));
    draft.attributes.insert(
        "b".to_owned(),
        Attribute {
            data_type: "String".to_owned(),
            value: text("v"),
        },
    );
    assert_eq!(code(&draft), Err("InvalidParameterValue"));
}

#[test]
fn attribute_names_follow_the_documented_rules() {
    for accepted in ["traceparent", "a.b-c_d", "awsome", "Ä1", &"n".repeat(256)] {
        assert_eq!(
            code(&with(accepted, "String", text("v"))),
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
            code(&with(refused, "String", text("v"))),
            Err("InvalidParameterValue"),
            "{refused}"
        );
    }
}

#[test]
fn attribute_types_are_string_number_or_binary_with_an_optional_label() {
    for accepted in ["String", "String.url", "Number", "Number.int"] {
        assert_eq!(code(&with("a", accepted, text("1"))), Ok(()), "{accepted}");
    }
    assert_eq!(
        code(&with("a", "Binary.gif", Value::Binary(vec![0]))),
        Ok(())
    );
    let long = format!("String.{}", "l".repeat(250));
    for refused in ["", "Text", "string", "Strings", "String.", long.as_str()] {
        assert_eq!(
            code(&with("a", refused, text("1"))),
            Err("InvalidParameterValue"),
            "{refused}"
        );
    }
}

#[test]
fn attribute_values_must_not_be_empty_and_must_fit_their_type() {
    let refused = [
        with("a", "String", text("")),
        with("a", "String", text("\u{8}")),
        with("a", "String", Value::Binary(vec![1])),
        with("a", "Number", text("twelve")),
        with("a", "Binary", Value::Binary(Vec::new())),
        with("a", "Binary", text("x")),
    ];
    for draft in &refused {
        assert_eq!(code(draft), Err("InvalidParameterValue"));
    }
}

#[test]
fn the_trace_header_is_the_only_system_attribute_and_is_not_counted() {
    let mut draft = draft("12345");
    let header = Attribute {
        data_type: "String".to_owned(),
        value: text("Root=1-5759e988-bd862e3fe1be46a994272793"),
    };
    draft
        .system_attributes
        .insert(TRACE_HEADER.to_owned(), header.clone());
    assert_eq!(code(&draft), Ok(()));
    assert_eq!(draft.size(), 5);
    draft
        .system_attributes
        .insert("SenderId".to_owned(), header);
    assert_eq!(code(&draft), Err("InvalidParameterValue"));
}

#[test]
fn attributes_count_with_name_type_and_value() {
    assert_eq!(
        with("name", "String", text("value")).size(),
        "body".len() + "name".len() + "String".len() + "value".len()
    );
}
