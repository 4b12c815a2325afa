use std::time::{Duration, Instant};

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, MessageAttributeValue, MessageSystemAttributeName,
    MessageSystemAttributeNameForSends, MessageSystemAttributeValue, QueueAttributeName,
    SendMessageBatchRequestEntry,
};

use crate::support::{Endpoint, batch_entry, text};

const TRACE_HEADER: &str =
    "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

fn trace_header() -> MessageSystemAttributeValue {
    MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value(TRACE_HEADER)
        .build()
        .unwrap()
}

fn binary(bytes: &[u8]) -> MessageAttributeValue {
    let value = MessageAttributeValue::builder()
        .data_type("Binary")
        .binary_value(Blob::new(bytes));
    value.build().unwrap()
}

#[tokio::test]
async fn a_message_arrives_as_it_was_sent() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.queue("q", &[]).await;
    let blob = binary(&[0, 255]);
    let sent = endpoint
        .client
        .send_message()
        .queue_url(&url)
        .message_body("body")
        .message_attributes(
            "traceparent",
            text("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        )
        .message_attributes("blob", blob.clone())
        .message_system_attributes(
            MessageSystemAttributeNameForSends::AwsTraceHeader,
            trace_header(),
        )
        .send()
        .await
        .unwrap();
    let received = endpoint.receive(&url).await.remove(0);
    assert_eq!(received.body.as_deref(), Some("body"));
    assert_eq!(
        (&received.message_id, &received.md5_of_body),
        (&sent.message_id, &sent.md5_of_message_body)
    );
    assert_eq!(
        received.md5_of_message_attributes,
        sent.md5_of_message_attributes
    );
    assert_eq!(received.message_attributes.unwrap()["blob"], blob);
    assert_eq!(
        received.attributes.unwrap()[&MessageSystemAttributeName::AwsTraceHeader],
        TRACE_HEADER
    );
}

#[tokio::test]
async fn a_batch_is_sent_received_and_deleted_whole() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.queue("q", &[]).await;
    let mut send = endpoint.client.send_message_batch().queue_url(&url);
    for number in 0..10 {
        let entry = SendMessageBatchRequestEntry::builder()
            .id(number.to_string())
            .message_body(format!("body {number}"))
            .message_system_attributes(
                MessageSystemAttributeNameForSends::AwsTraceHeader,
                trace_header(),
            );
        send = send.entries(entry.build().unwrap());
    }
    assert_eq!(send.send().await.unwrap().successful.len(), 10);
    let received = endpoint.receive(&url).await;
    let mut delete = endpoint.client.delete_message_batch().queue_url(&url);
    for (number, message) in received.iter().enumerate() {
        let attributes = message.attributes.as_ref().unwrap();
        assert_eq!(
            attributes[&MessageSystemAttributeName::AwsTraceHeader],
            TRACE_HEADER
        );
        let handle = message.receipt_handle.as_deref().unwrap();
        let entry = DeleteMessageBatchRequestEntry::builder()
            .id(number.to_string())
            .receipt_handle(handle);
        delete = delete.entries(entry.build().unwrap());
    }
    assert_eq!(delete.send().await.unwrap().successful.len(), 10);
    assert_eq!(
        endpoint
            .attribute(
                &url,
                QueueAttributeName::ApproximateNumberOfMessagesNotVisible
            )
            .await,
        "0"
    );
}

#[tokio::test]
async fn bad_entries_of_a_batch_fail_alone() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.queue("q", &[]).await;
    let send = endpoint.client.send_message_batch().queue_url(&url);
    let response = send
        .entries(batch_entry("good", "x"))
        .entries(batch_entry("bad", "\u{1}"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.successful[0].id, "good");
    let failed = &response.failed[0];
    assert_eq!(
        (
            failed.id.as_str(),
            failed.code.as_str(),
            failed.sender_fault
        ),
        ("bad", "InvalidMessageContents", true)
    );
}

#[tokio::test]
async fn a_waiting_receiver_gets_a_message_immediately() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.queue("q", &[]).await;
    let started = Instant::now();
    let (received, ()) = tokio::join!(endpoint.receive(&url), endpoint.send(&url, "x"));
    assert_eq!(received.len(), 1);
    // Half of the time for which the poll would wait without a message. A loaded machine needs
    // far less.
    assert!(
        started.elapsed() < Duration::from_millis(2_500),
        "took {:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_message_received_too_often_is_moved_with_its_source() {
    let endpoint = Endpoint::start().await;
    let dead = endpoint.queue("dead", &[]).await;
    let dead_arn = endpoint
        .attribute(&dead, QueueAttributeName::QueueArn)
        .await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{dead_arn}","maxReceiveCount":1}}"#);
    let attributes = [
        (QueueAttributeName::RedrivePolicy, policy.as_str()),
        (QueueAttributeName::VisibilityTimeout, "0"),
    ];
    let url = endpoint.queue("q", &attributes).await;
    endpoint.send(&url, "poison").await;
    let first = endpoint.receive(&url).await.remove(0);
    let receive_again = endpoint
        .client
        .receive_message()
        .queue_url(&url)
        .send()
        .await
        .unwrap();
    assert_eq!(receive_again.messages, None);
    let dead_letter = endpoint.receive(&dead).await.remove(0);
    assert_eq!(dead_letter.message_id, first.message_id);
    let attributes = dead_letter.attributes.unwrap();
    let source = endpoint.attribute(&url, QueueAttributeName::QueueArn).await;
    assert_eq!(
        attributes[&MessageSystemAttributeName::DeadLetterQueueSourceArn],
        source
    );
    assert_eq!(
        attributes[&MessageSystemAttributeName::ApproximateReceiveCount],
        "2"
    );
}

#[tokio::test]
async fn a_visibility_timeout_of_zero_makes_a_message_ready() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.queue("q", &[]).await;
    endpoint.send(&url, "x").await;
    let handle = endpoint
        .receive(&url)
        .await
        .remove(0)
        .receipt_handle
        .unwrap();
    let change = endpoint
        .client
        .change_message_visibility()
        .queue_url(&url)
        .receipt_handle(&handle);
    change.visibility_timeout(0).send().await.unwrap();
    assert_eq!(endpoint.receive(&url).await.len(), 1);
}
