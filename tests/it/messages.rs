use std::time::Duration;

use aws_sdk_sqs::types::MessageSystemAttributeName;
use serde_json::json;

use crate::support::http;
use crate::support::producer::onboarding;
use crate::support::spans::{PROCESS, SEND};
use crate::support::stack::{Endpoints, Stack};

/// The rules for addresses on both sides, and their tests.
const ADDRESS_RULES: [&str; 2] = [
    include_str!("../../services/onboarding-api/src/onboarding/address.rs"),
    include_str!("../../services/onboarding-lambda/src/onboarding/address.rs"),
];
const ADDRESS_TESTS: [&str; 2] = [
    include_str!("../../services/onboarding-api/src/onboarding/address/tests.rs"),
    include_str!("../../services/onboarding-lambda/src/onboarding/address/tests.rs"),
];

/// Options with which messages that are sent together arrive in one batch.
const BATCHING: [&str; 4] = ["--batching-window", "1s", "--concurrency", "1"];

/// Options with which messages are dead-lettered after two deliveries, as close together as a slow
/// cold start allows.
const FAST_DEAD_LETTERING: [&str; 6] = [
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
        assert!(!deliveries[0].has_failed(), "{trace:#?}");
    }
    stack.queue().wait_until_empty().await;
    stack.stop().await;
}

#[test]
fn the_api_and_the_function_have_one_rule_for_addresses() {
    for [api, function] in [ADDRESS_RULES, ADDRESS_TESTS] {
        assert_eq!(api, function);
    }
}

#[tokio::test]
async fn every_address_that_the_api_accepts_is_handled() {
    let stack = Stack::up(&[]).await;
    for address in ["\"a b\"@example.com", " <ada@example.com>"] {
        let mut invalid = onboarding("c-1");
        invalid["email"] = json!(address);
        let invalid = invalid.to_string();
        stack
            .producer()
            .expect_client_error("/onboarding", &invalid)
            .await;
    }
    for (customer_id, address) in [
        ("c-2", "o'neil+{x}@mail.example.org"),
        ("c-3", "用户@例子.广告"),
    ] {
        let mut valid = onboarding(customer_id);
        valid["email"] = json!(address);
        let accepted = stack.producer().onboard_with(&valid, &[]).await;
        let trace = stack.spans().trace(&accepted, 1).await;
        assert_eq!(trace.failures(), [false], "{address}: {trace:#?}");
    }
    stack.queue().wait_until_empty().await;
    stack.stop().await;
}

#[tokio::test]
async fn only_the_failed_message_is_redelivered_and_after_its_visibility_timeout() {
    let visibility = Duration::from_secs(4);
    let options = [
        &BATCHING[..],
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
        retried.deliveries()[1].start_delay(retried.span(SEND)) >= visibility,
        "{retried:#?}"
    );
    for other in [&accepted[0], &accepted[2]] {
        assert_eq!(stack.spans().trace(other, 1).await.deliveries().len(), 1);
    }
    stack.queue().wait_until_empty().await;
    stack.stop().await;
}

#[tokio::test]
async fn a_poison_message_is_dead_lettered_with_its_trace_and_its_source() {
    let stack = Stack::up(&FAST_DEAD_LETTERING).await;
    let poison = stack.producer().onboard_poison("c-1").await;
    let dead = stack.dead_letter_queue().consume().await;
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
    stack.queue().wait_until_empty().await;
    stack.stop().await;
}

#[tokio::test]
async fn a_body_that_is_not_json_fails_only_its_message() {
    let stack = Stack::up(&[&FAST_DEAD_LETTERING[..], &BATCHING].concat()).await;
    stack.queue().send("{not json").await;
    let valid = stack.queue().send(&onboarding("c-1").to_string()).await;
    let dead = stack.dead_letter_queue().consume().await;
    assert_eq!(dead.body(), Some("{not json"));
    stack.queue().wait_until_empty().await;
    let deliveries = stack.spans().wait_for(PROCESS, 3).await;
    let of_valid: Vec<_> = deliveries
        .iter()
        .filter(|span| span.attribute("messaging.message.id") == &json!(valid))
        .collect();
    assert_eq!(of_valid.len(), 1);
    assert!(!of_valid[0].has_failed());
    stack.stop().await;
}

#[tokio::test]
async fn a_separate_listener_serves_the_depth_of_both_queues() {
    let stack = Stack::up(&["--metrics-address", "0.0.0.0:0"]).await;
    let Endpoints { sqs, metrics, .. } = &stack.endpoints;
    assert!(!metrics.starts_with(sqs), "{metrics}");
    assert!(metrics.starts_with("http://127.0.0.1:"), "{metrics}");
    let depth = http::get(metrics).await.body;
    for queue in ["onboarding", "onboarding-dlq"] {
        let label = format!("dimension_QueueName=\"{queue}\"");
        assert_eq!(depth.matches(&label).count(), 4, "{queue}: {depth}");
    }
    stack.stop().await;
}
