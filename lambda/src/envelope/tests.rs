use serde_json::json;

use super::*;

fn notification() -> serde_json::Value {
    json!({
        "Type": "Notification",
        "MessageId": "id",
        "TopicArn": "arn:aws:sns:eu-central-1:123456789012:customers",
        "Subject": "sub\"ject",
        "Message": "{\"a\": \"é\"}",
        "MessageAttributes": {"tenant": {"Type": "String", "Value": "blue"}, "none": {"Type": "String"}, "thumb": {"Type": "Binary", "Value": "AAH/"}},
    })
}

fn event() -> serde_json::Value {
    json!({"id": "id", "detail-type": "Onboarded", "source": "com.example.crm", "detail": {"a": [1, "}"]}})
}

#[test]
fn the_names_of_the_variable_are_parsed() {
    assert_eq!("none".parse(), Ok(Envelope::None));
    assert_eq!("sns".parse(), Ok(Envelope::Sns));
    assert_eq!("eventbridge".parse(), Ok(Envelope::EventBridge));
    assert_eq!("SNS".parse(), Ok(Envelope::Sns));
    for unknown in ["", "sqs", " sns"] {
        assert_eq!(unknown.parse::<Envelope>(), Err(UnknownEnvelope));
    }
}

#[test]
fn bodies_are_unwrapped() {
    let body = notification().to_string();
    assert_eq!(Envelope::Sns.unwrap(&body).unwrap(), "{\"a\": \"é\"}");
    assert_eq!(Envelope::None.unwrap(&body).unwrap(), body);
    let body = serde_json::to_string_pretty(&event()).unwrap();
    let detail: serde_json::Value =
        serde_json::from_str(&Envelope::EventBridge.unwrap(&body).unwrap()).unwrap();
    assert_eq!(detail, json!({"a": [1, "}"]}));
}

#[test]
fn a_body_without_the_envelope_is_an_error() {
    let without = |mut value: serde_json::Value, field: &str| {
        value.as_object_mut().unwrap().remove(field);
        value.to_string()
    };
    for body in [
        "SECRET".to_owned(),
        "[]".to_owned(),
        event().to_string(),
        without(notification(), "Type"),
        without(notification(), "Message"),
        notification()
            .to_string()
            .replace("Notification", "SubscriptionConfirmation"),
    ] {
        assert_eq!(
            Envelope::Sns.unwrap(&body),
            Err(MissingEnvelope::Sns),
            "{body}"
        );
        assert_eq!(SnsMetadata::read(&body), None);
    }
    for body in [
        "SECRET".to_owned(),
        notification().to_string(),
        without(event(), "detail"),
        without(event(), "detail-type"),
        without(event(), "source"),
    ] {
        let refused = Envelope::EventBridge.unwrap(&body);
        assert_eq!(refused, Err(MissingEnvelope::EventBridge), "{body}");
        assert_eq!(EventBridgeMetadata::read(&body), None);
    }
}

#[test]
fn metadata_is_read_from_the_envelope() {
    let sns = SnsMetadata::read(&notification().to_string()).unwrap();
    assert_eq!(sns.subject.as_deref(), Some("sub\"ject"));
    assert_eq!(sns.message_id.as_deref(), Some("id"));
    assert!(sns.topic_arn.unwrap().ends_with(":customers"));
    let attributes = [("tenant", "blue"), ("thumb", "AAH/")];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(sns.attributes, attributes);
    let event = EventBridgeMetadata::read(&event().to_string()).unwrap();
    assert_eq!(
        (event.id.as_deref(), &*event.source),
        (Some("id"), "com.example.crm")
    );
    assert_eq!(event.detail_type, "Onboarded");
}
