use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::QueueAttributeName;

use crate::support::{Endpoint, batch_entry, text};

#[tokio::test]
async fn a_missing_queue_is_the_error_of_the_sdk_for_it() {
    let endpoint = Endpoint::start().await;
    let url = format!("http://{}/000000000000/none", endpoint.address);
    let error = endpoint
        .client
        .receive_message()
        .queue_url(&url)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_queue_does_not_exist(), "{error:?}");
    assert_eq!(error.message(), Some("The specified queue does not exist."));
    let error = endpoint
        .client
        .send_message()
        .queue_url(&url)
        .message_body("x")
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_queue_does_not_exist());
}

#[tokio::test]
async fn a_queue_with_different_attributes_exists_already() {
    let endpoint = Endpoint::start().await;
    endpoint
        .queue("q", &[(QueueAttributeName::DelaySeconds, "1")])
        .await;
    let again = endpoint
        .client
        .create_queue()
        .queue_name("q")
        .attributes(QueueAttributeName::DelaySeconds, "2");
    assert!(
        again
            .send()
            .await
            .unwrap_err()
            .into_service_error()
            .is_queue_name_exists()
    );
}

#[tokio::test]
async fn characters_that_sqs_does_not_accept_are_invalid_contents() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.queue("q", &[]).await;
    let error = endpoint
        .client
        .send_message()
        .queue_url(&url)
        .message_body("\u{b}")
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_invalid_message_contents());
}

#[tokio::test]
async fn a_message_and_a_batch_that_are_too_large_have_different_errors() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.queue("q", &[]).await;
    let body = "x".repeat(1_048_576);
    let request = endpoint
        .client
        .send_message()
        .queue_url(&url)
        .message_body(&body);
    let error = request
        .message_attributes("a", text("v"))
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert_eq!(error.code(), Some("InvalidParameterValue"));
    let batch = endpoint
        .client
        .send_message_batch()
        .queue_url(&url)
        .entries(batch_entry("1", &body))
        .entries(batch_entry("2", "x"));
    assert!(
        batch
            .send()
            .await
            .unwrap_err()
            .into_service_error()
            .is_batch_request_too_long()
    );
}

#[tokio::test]
async fn a_garbled_receipt_handle_is_invalid() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.queue("q", &[]).await;
    let delete = endpoint
        .client
        .delete_message()
        .queue_url(&url)
        .receipt_handle("garbage");
    assert!(
        delete
            .send()
            .await
            .unwrap_err()
            .into_service_error()
            .is_receipt_handle_is_invalid()
    );
}

#[tokio::test]
async fn fifo_queues_and_tags_are_unsupported_operations() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.queue("q", &[]).await;
    let fifo = endpoint
        .client
        .create_queue()
        .queue_name("q.fifo")
        .send()
        .await
        .unwrap_err();
    assert!(fifo.into_service_error().is_unsupported_operation());
    let tag = endpoint
        .client
        .tag_queue()
        .queue_url(&url)
        .tags("a", "b")
        .send()
        .await
        .unwrap_err();
    assert!(tag.into_service_error().is_unsupported_operation());
}

#[tokio::test]
async fn a_second_purge_is_already_in_progress() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.queue("q", &[]).await;
    endpoint.purge(&url).await.unwrap();
    let error = endpoint.purge(&url).await.unwrap_err();
    assert!(error.is_purge_queue_in_progress(), "{error:?}");
}
