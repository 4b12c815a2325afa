//! Tests of several queues: names, sending, and redrive.

use super::*;
use crate::sqs::message::MessageAttributes;

const LIMIT: ReceiveOptions = ReceiveOptions {
    max_messages: 10,
    visibility: None,
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000).saturating_add(Duration::from_secs(seconds))
}

fn account() -> Account {
    Account::new(AccountConfig {
        region: "us-east-1".to_owned(),
        account_id: "000000000000".to_owned(),
        purge_interval: Duration::from_secs(60),
        recreate_after: Duration::from_secs(60),
    })
}

fn map(pairs: &[(&str, &str)]) -> QueueAttributes {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn message(body: &str, delay_seconds: Option<i64>) -> ValidatedMessage {
    let message = NewMessage {
        body: body.to_owned(),
        attributes: MessageAttributes::new(),
        system_attributes: MessageAttributes::new(),
        inherited_trace_header: None,
        delay_seconds,
        group_id: None,
        deduplication_id: None,
    };
    message
        .validate()
        .map_err(|error| error.to_string())
        .unwrap()
}

fn code<T>(result: Result<T, SqsError>) -> Result<(), &'static str> {
    result.map(drop).map_err(|error| error.codes().code)
}

fn with_dead_letters() -> Account {
    let mut account = account();
    account.create_queue("dead", &map(&[]), at(0)).unwrap();
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":"1"}"#;
    account
        .create_queue(
            "q",
            &map(&[("RedrivePolicy", policy), ("VisibilityTimeout", "5")]),
            at(0),
        )
        .unwrap();
    account
}

#[test]
fn creating_a_queue_again_succeeds_unless_an_attribute_differs() {
    let mut account = account();
    assert!(
        account
            .create_queue("q", &map(&[("DelaySeconds", "5")]), at(0))
            .unwrap()
            .is_some()
    );
    assert!(
        account
            .create_queue("q", &map(&[]), at(0))
            .unwrap()
            .is_none()
    );
    assert!(
        account
            .create_queue("q", &map(&[("DelaySeconds", "5")]), at(0))
            .unwrap()
            .is_none()
    );
    assert_eq!(
        code(account.create_queue("q", &map(&[("DelaySeconds", "6")]), at(0))),
        Err("QueueAlreadyExists")
    );
}

#[test]
fn the_name_of_a_deleted_queue_is_unavailable_for_the_configured_time() {
    let mut account = account();
    account.create_queue("q", &map(&[]), at(0)).unwrap();
    account.delete_queue("q", at(0)).unwrap();
    assert_eq!(
        code(account.queue("q")),
        Err("AWS.SimpleQueueService.NonExistentQueue")
    );
    let refused = account.create_queue("q", &map(&[]), at(59));
    assert_eq!(
        code(refused),
        Err("AWS.SimpleQueueService.QueueDeletedRecently")
    );
    assert!(
        account
            .create_queue("q", &map(&[]), at(60))
            .unwrap()
            .is_some()
    );
}

#[test]
fn queues_are_listed_by_prefix_and_page() {
    let mut account = account();
    for name in ["a", "b-1", "b-2", "b-3", "c"] {
        account.create_queue(name, &map(&[]), at(0)).unwrap();
    }
    assert_eq!(account.list_queues("b-", None, 2), ["b-1", "b-2"]);
    assert_eq!(account.list_queues("b-", Some("b-2"), 2), ["b-3"]);
    assert_eq!(account.list_queues("", None, 9).len(), 5);
    assert!(account.list_queues("z", Some("a"), 9).is_empty());
}

#[test]
fn a_message_received_too_often_is_moved_with_its_source() {
    let mut account = with_dead_letters();
    let sent = account
        .send("q", message("poison", None), SendKind::Single, at(0))
        .unwrap();
    assert_eq!(account.receive("q", LIMIT, at(0)).unwrap().len(), 1);
    assert!(account.receive("dead", LIMIT, at(5)).unwrap().is_empty());
    assert!(account.receive("q", LIMIT, at(5)).unwrap().is_empty());
    let dead = account.receive("dead", LIMIT, at(5)).unwrap();
    assert_eq!(dead[0].content.id, sent.message_id);
    assert_eq!(
        dead[0].source_arn.as_deref(),
        Some("arn:aws:sqs:us-east-1:000000000000:q")
    );
}

#[test]
fn a_message_is_not_moved_if_the_dead_letter_queue_is_deleted() {
    let mut account = with_dead_letters();
    account.delete_queue("dead", at(0)).unwrap();
    account
        .send("q", message("poison", None), SendKind::Single, at(0))
        .unwrap();
    for now in [0, 5, 10] {
        assert_eq!(
            account.receive("q", LIMIT, at(now)).unwrap().len(),
            1,
            "at {now}"
        );
    }
}

#[test]
fn a_redrive_policy_must_name_an_existing_queue() {
    let mut account = account();
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:none","maxReceiveCount":"1"}"#;
    assert_eq!(
        code(account.create_queue("q", &map(&[("RedrivePolicy", policy)]), at(0))),
        Err("InvalidParameterValue")
    );
    account.create_queue("q", &map(&[]), at(0)).unwrap();
    assert_eq!(
        code(account.set_attributes("q", &map(&[("RedrivePolicy", policy)]), at(0))),
        Err("InvalidParameterValue")
    );
    assert_eq!(
        code(account.set_attributes("q", &map(&[("RedrivePolicy", "")]), at(0))),
        Ok(())
    );
}

#[test]
fn size_and_delay_are_limited() {
    let mut account = account();
    account
        .create_queue("q", &map(&[("MaximumMessageSize", "1024")]), at(0))
        .unwrap();
    let mut send =
        |body: &str, delay| code(account.send("q", message(body, delay), SendKind::Single, at(0)));
    assert_eq!(send(&"x".repeat(1_024), None), Ok(()));
    assert_eq!(send(&"x".repeat(1_025), None), Err("InvalidParameterValue"));
    assert_eq!(send("x", Some(900)), Ok(()));
    assert_eq!(send("x", Some(901)), Err("InvalidParameterValue"));
    assert_eq!(send("x", Some(-1)), Err("InvalidParameterValue"));
}

#[test]
fn the_delay_of_the_queue_applies_to_messages_without_one() {
    let mut account = account();
    account
        .create_queue("q", &map(&[("DelaySeconds", "9")]), at(0))
        .unwrap();
    account
        .send("q", message("waits", None), SendKind::Single, at(0))
        .unwrap();
    account
        .send("q", message("comes", Some(0)), SendKind::Single, at(0))
        .unwrap();
    let first = account.receive("q", LIMIT, at(0)).unwrap();
    assert_eq!((first.len(), first[0].content.body.as_str()), (1, "comes"));
    assert_eq!(account.receive("q", LIMIT, at(9)).unwrap().len(), 1);
}

#[test]
fn a_handle_of_another_queue_is_invalid() {
    let mut account = account();
    for name in ["q", "other"] {
        account.create_queue(name, &map(&[]), at(0)).unwrap();
    }
    account
        .send("q", message("x", None), SendKind::Single, at(0))
        .unwrap();
    let handle = account.receive("q", LIMIT, at(0)).unwrap()[0]
        .receipt
        .handle();
    assert_eq!(
        code(account.delete("other", &handle, at(0))),
        Err("ReceiptHandleIsInvalid")
    );
    assert_eq!(
        code(account.change_visibility("q", &handle, 43_201, at(0))),
        Err("InvalidParameterValue")
    );
    assert_eq!(code(account.delete("q", &handle, at(0))), Ok(()));
}

#[test]
fn a_batch_may_be_as_large_as_the_largest_message() {
    let messages = [
        message(&"x".repeat(MAX_MESSAGE_BYTES), None).message,
        message("y", None).message,
    ];
    assert_eq!(check_batch_size(messages[..1].iter()), Ok(()));
    let too_long = SqsError::BatchRequestTooLong {
        limit: 1_048_576,
        sent: 1_048_577,
    };
    assert_eq!(check_batch_size(messages.iter()), Err(too_long));
}
