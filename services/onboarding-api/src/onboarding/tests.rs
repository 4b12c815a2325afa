use serde_json::json;

use super::*;

fn check(body: Value) -> Result<Onboarding, Vec<FieldError>> {
    Onboarding::from_fields(body.as_object().unwrap())
}

fn valid() -> Value {
    json!({"customer_id": "c-1_A", "email": "ada@example.com", "plan": "team"})
}

fn with(field: &str, value: Value) -> Value {
    let mut body = valid();
    body[field] = value;
    body
}

#[test]
fn a_valid_onboarding_becomes_the_message_of_the_contract() {
    let onboarding = check(with("referrer", json!("c-0"))).unwrap();
    let wire = serde_json::to_value(onboarding.to_wire()).unwrap();
    assert_eq!(
        wire,
        json!({"customer_id": "c-1_A", "email": "ada@example.com", "plan": "team", "referrer": "c-0"})
    );
}

#[test]
fn an_absent_and_a_null_referrer_are_the_same() {
    assert_eq!(check(valid()), check(with("referrer", Value::Null)));
    let wire = serde_json::to_value(check(valid()).unwrap().to_wire()).unwrap();
    assert_eq!(wire, valid());
}

#[test]
fn a_customer_may_name_himself_as_referrer() {
    assert!(check(with("referrer", json!("c-1_A"))).is_ok());
}

#[test]
fn all_faults_are_reported_at_once() {
    let errors = check(json!({"email": 7, "plan": "gold", "colour": "red"})).unwrap_err();
    let named: Vec<(&str, &str)> = errors
        .iter()
        .map(|error| (error.field.as_ref(), error.detail))
        .collect();
    assert_eq!(
        named,
        [
            ("colour", "is not a field of this request"),
            ("customer_id", "is missing"),
            ("email", "must be a string"),
            ("plan", "must be `starter`, `team` or `enterprise`"),
        ]
    );
}

#[test]
fn values_outside_the_rules_name_their_field() {
    let long_id = "c".repeat(65);
    let table = [
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
    for (field, value) in table {
        let errors = check(with(field, value.clone())).unwrap_err();
        assert_eq!(errors.len(), 1, "{field} = {value}: {errors:?}");
        assert_eq!(errors[0].field, field, "{value}");
    }
}

#[test]
fn the_longest_customer_id_passes() {
    assert!(check(with("customer_id", json!("c".repeat(64)))).is_ok());
}

#[test]
fn neither_faults_nor_debug_output_show_an_address() {
    let errors = check(
        json!({"ada@example.com": 1, "customer_id": "ada@example.com", "email": "ada@example.com ", "plan": "ada@example.com"}),
    );
    let shown = format!("{errors:?} {:?}", check(valid()).unwrap());
    assert!(!shown.contains("ada"), "{shown}");
}

#[test]
fn a_smoke_test_takes_a_customer_id_or_makes_one() {
    let given = smoke_customer(json!({"customer_id": "c-9"}).as_object().unwrap()).unwrap();
    assert_eq!(given, Some(CustomerId("c-9".to_owned())));
    assert_eq!(smoke_customer(&Map::new()).unwrap(), None);
    assert!(smoke_customer(json!({"email": "x"}).as_object().unwrap()).is_err());

    let CustomerId(generated) = CustomerId::generated();
    assert!(CustomerId::parse(&generated).is_ok(), "{generated}");
    assert_ne!(CustomerId::generated(), CustomerId::generated());
}
