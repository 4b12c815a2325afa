use serde_json::json;

use super::*;

fn fields(body: &Value) -> Fields {
    Fields {
        values: body.as_object().unwrap().clone(),
        duplicates: Vec::new(),
    }
}

fn parse(body: Value) -> Result<Onboarding, Vec<FieldError>> {
    Onboarding::from_fields(&fields(&body))
}

fn valid() -> Value {
    json!({"customer_id": "c-1_A", "email": "ada@example.com", "plan": "team"})
}

fn valid_with(field: &str, value: Value) -> Value {
    let mut body = valid();
    body[field] = value;
    body
}

#[test]
fn a_valid_onboarding_becomes_the_message_that_the_function_expects() {
    let onboarding = parse(valid_with("referrer", json!("c-0"))).unwrap();
    let wire = serde_json::to_value(onboarding.to_wire()).unwrap();
    assert_eq!(
        wire,
        json!({"customer_id": "c-1_A", "email": "ada@example.com", "plan": "team", "referrer": "c-0"})
    );
}

#[test]
fn an_absent_and_a_null_referrer_are_the_same() {
    assert_eq!(parse(valid()), parse(valid_with("referrer", Value::Null)));
    let wire = serde_json::to_value(parse(valid()).unwrap().to_wire()).unwrap();
    assert_eq!(wire, valid());
}

#[test]
fn self_referral_is_accepted() {
    assert!(parse(valid_with("referrer", json!("c-1_A"))).is_ok());
}

#[test]
fn every_invalid_field_is_reported() {
    let errors = parse(json!({"email": 7, "plan": "gold", "colour": "red"})).unwrap_err();
    let found: Vec<(&str, &str)> = errors
        .iter()
        .map(|error| (error.field.as_ref(), error.detail))
        .collect();
    assert_eq!(
        found,
        [
            ("colour", "is not a field of this request"),
            ("customer_id", "is missing"),
            ("email", "must be a string"),
            ("plan", "must be `starter`, `team` or `enterprise`"),
        ]
    );
}

#[test]
fn a_duplicate_field_is_an_error_and_its_name_may_be_hidden() {
    let mut fields = fields(&valid());
    fields.duplicates = vec!["plan".to_owned(), "ada@example.com".to_owned()];
    let errors = Onboarding::from_fields(&fields).unwrap_err();
    let names: Vec<&str> = errors.iter().map(|error| error.field.as_ref()).collect();
    assert_eq!(names, ["plan", HIDDEN_NAME]);
    assert_eq!(errors[0].detail, "occurs more than once");
}

#[test]
fn an_invalid_value_is_reported_with_its_field() {
    let long_id = "c".repeat(65);
    let invalid = [
        ("customer_id", json!("")),
        ("customer_id", json!(long_id)),
        ("customer_id", json!("a b")),
        ("customer_id", json!("ada@example.com")),
        ("customer_id", json!("ümlaut")),
        ("customer_id", Value::Null),
        ("email", json!("")),
        ("email", json!("ada")),
        ("email", json!("\"a b\"@example.com")),
        ("plan", json!("Team")),
        ("plan", json!(["team"])),
        ("referrer", json!("")),
        ("referrer", json!({})),
    ];
    for (field, value) in invalid {
        let errors = parse(valid_with(field, value.clone())).unwrap_err();
        assert_eq!(errors.len(), 1, "{field} = {value}: {errors:?}");
        assert_eq!(errors[0].field, field, "{value}");
    }
}

#[test]
fn a_customer_id_of_maximum_length_is_accepted() {
    assert!(parse(valid_with("customer_id", json!("c".repeat(64)))).is_ok());
}

#[test]
fn errors_and_debug_output_contain_no_address() {
    let errors = parse(
        json!({"ada@example.com": 1, "customer_id": "ada@example.com", "email": "ada@example.com ", "plan": "ada@example.com"}),
    );
    let shown = format!("{errors:?} {:?}", parse(valid()).unwrap());
    assert!(!shown.contains("ada"), "{shown}");
}

#[test]
fn a_smoke_test_accepts_a_customer_id_or_generates_one() {
    let given = parse_smoke_test(&fields(&json!({"customer_id": "c-9"}))).unwrap();
    assert_eq!(given, Some(CustomerId("c-9".to_owned())));
    assert_eq!(parse_smoke_test(&Fields::default()).unwrap(), None);
    assert!(parse_smoke_test(&fields(&json!({"email": "x"}))).is_err());

    let CustomerId(generated) = CustomerId::generate();
    assert!(CustomerId::parse(&generated).is_ok(), "{generated}");
    assert_ne!(CustomerId::generate(), CustomerId::generate());
}
