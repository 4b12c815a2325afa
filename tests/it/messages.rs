use std::time::Duration;

use aws_sdk_sqs::types::MessageSystemAttributeName;
use serde_json::json;

use crate::support::producer::onboarding;
use crate::support::spans::{PROCESS, SEND};
use crate::support::stack::Stack;

/// What both sides say of addresses, and their tests of it.
const ADDRESS_RULES: [&str; 2] = [
    include_str!("../../services/onboarding-api/src/onboarding/address.rs"),
    include_str!("../../services/onboarding-lambda/src/onboarding/address.rs"),
];
const ADDRESS_TESTS: [&str; 2] = [
    include_str!("../../services/onboarding-api/src/onboarding/address/tests.rs"),
    include_str!("../../services/onboarding-lambda/src/onboarding/address/tests.rs"),
];

/// A batch that is gathered for a second has all that was sent at once.
const GATHERING: [&str; 4] = ["--batching-window", "1s", "--concurrency", "1"];

/// A quick way to the dead-letter queue: two deliveries, as close together as a slow cold start
/// allows.
const IMPATIENT: [&str; 6] = [
    "--max-receive-count",
    "2",
    "--visibility-timeout",
    "3s",
    "--function-timeout",
    "2s",
];

#[tokio::test]
async fn an_accepted_onboarding_is_handled_once_and_deleted() {
    let stack = Stack::up(&[]).await;
    let onboarding = stack.producer().onboard("c-1").await;
    let smoke = stack.producer().smoke_test().await;
    for message in [onboarding, smoke] {
        let trace = stack.spans().trace(&message, 1).await;
        let deliveries = trace.deliveries();
        assert_eq!(deliveries.len(), 1);
        assert_eq!(
            deliveries[0].attribute("messaging.message.id"),
            &json!(message.message_id)
        );
        assert!(!deliveries[0].failed(), "{trace:#?}");
    }
    stack.queue().drained().await;
    stack.stop().await;
}

#[test]
fn the_api_and_the_function_have_one_rule_for_addresses() {
    for [api, function] in [ADDRESS_RULES, ADDRESS_TESTS] {
        assert_eq!(api, function);
    }
}

#[tokio::test]
async fn an_address_is_refused_at_the_door_or_handled() {
    let stack = Stack::up(&[]).await;
    for address in ["\"a b\"@example.com", " <ada@example.com>"] {
        let mut refused = onboarding("c-1");
        refused["email"] = json!(address);
        let refused = refused.to_string();
        stack.producer().try_in_vain("/onboarding", &refused).await;
    }
    for (customer_id, address) in [
        ("c-2", "o'neil+{x}@mail.example.org"),
        ("c-3", "用户@例子.广告"),
    ] {
        let mut sound = onboarding(customer_id);
        sound["email"] = json!(address);
        let accepted = stack.producer().onboard_with(&sound, &[]).await;
        let trace = stack.spans().trace(&accepted, 1).await;
        assert_eq!(trace.failures(), [false], "{address}: {trace:#?}");
    }
    stack.queue().drained().await;
    stack.stop().await;
}

#[tokio::test]
async fn only_the_failed_message_of_a_batch_comes_back_and_not_before_its_visibility_timeout() {
    let visibility = Duration::from_secs(4);
    let options = [
        &GATHERING[..],
        &[
            "--visibility-timeout",
            "4s",
            "--function-timeout",
            "2s",
            "--faults",
            "fail-once=c-2",
        ],
    ]
    .concat();
    let stack = Stack::up(&options).await;
    let accepted = stack.producer().onboard_each(&["c-1", "c-2", "c-3"]).await;
    let retried = stack.spans().trace(&accepted[1], 2).await;
    let counts: Vec<_> = retried
        .deliveries()
        .iter()
        .map(|delivery| delivery.attribute("baton.sqs.receive_count").clone())
        .collect();
    assert_eq!(
        (retried.failures(), counts),
        (vec![true, false], vec![json!(1), json!(2)])
    );
    assert!(
        retried.deliveries()[1].began_after(retried.one(SEND)) >= visibility,
        "{retried:#?}"
    );
    for other in [&accepted[0], &accepted[2]] {
        assert_eq!(stack.spans().trace(other, 1).await.deliveries().len(), 1);
    }
    stack.queue().drained().await;
    stack.stop().await;
}

#[tokio::test]
async fn a_poison_message_ends_in_the_dead_letter_queue_with_its_trace_and_its_origin() {
    let stack = Stack::up(&IMPATIENT).await;
    let poison = stack.producer().onboard_poison("c-1").await;
    let dead = stack.dead_letter_queue().take().await;
    let source = &dead.attributes().unwrap()[&MessageSystemAttributeName::DeadLetterQueueSourceArn];
    assert!(source.ends_with(":000000000000:onboarding"), "{source}");
    assert_eq!(dead.message_id(), Some(poison.message_id.as_str()));
    let traceparent = dead.message_attributes().unwrap()["traceparent"]
        .string_value()
        .unwrap();
    assert!(traceparent.contains(&poison.trace_id), "{traceparent}");
    assert_eq!(
        stack.spans().trace(&poison, 2).await.failures(),
        [true, true]
    );
    stack.queue().drained().await;
    stack.stop().await;
}

#[tokio::test]
async fn a_body_that_is_not_json_harms_only_its_own_message() {
    let stack = Stack::up(&[&IMPATIENT[..], &GATHERING].concat()).await;
    stack.queue().send("{not json").await;
    let sound = stack.queue().send(&onboarding("c-1").to_string()).await;
    let dead = stack.dead_letter_queue().take().await;
    assert_eq!(dead.body(), Some("{not json"));
    stack.queue().drained().await;
    let deliveries = stack.spans().named(PROCESS, 3).await;
    let of_sound: Vec<_> = deliveries
        .iter()
        .filter(|span| span.attribute("messaging.message.id") == &json!(sound))
        .collect();
    assert_eq!(of_sound.len(), 1);
    assert!(!of_sound[0].failed());
    stack.stop().await;
}
