use aws_sdk_sqs::types::QueueAttributeName;
use baton_local::sqs::SqsConfig;

use crate::support::Endpoint;

#[tokio::test]
async fn a_queue_url_has_the_address_the_account_and_the_name() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.queue("orders", &[]).await;
    assert_eq!(
        url,
        format!("http://{}/000000000000/orders", endpoint.address)
    );
    let found = endpoint
        .client
        .get_queue_url()
        .queue_name("orders")
        .send()
        .await
        .unwrap();
    assert_eq!(found.queue_url.unwrap(), url);
}

#[tokio::test]
async fn the_configuration_decides_region_account_and_base_url() {
    let config = SqsConfig {
        region: "eu-central-1".to_owned(),
        account_id: "123456789012".to_owned(),
        base_url: Some("http://sqs.test:1/".to_owned()),
        ..SqsConfig::default()
    };
    let endpoint = Endpoint::start_with(config).await;
    let url = endpoint.queue("orders", &[]).await;
    assert_eq!(url, "http://sqs.test:1/123456789012/orders");
    let arn = endpoint.attribute(&url, QueueAttributeName::QueueArn).await;
    assert_eq!(arn, "arn:aws:sqs:eu-central-1:123456789012:orders");
}

#[tokio::test]
async fn queues_are_listed_page_by_page() {
    let endpoint = Endpoint::start().await;
    for name in ["a", "b", "c"] {
        endpoint.queue(name, &[]).await;
    }
    let pages = endpoint
        .client
        .list_queues()
        .into_paginator()
        .page_size(2)
        .items()
        .send();
    let urls = pages.collect::<Result<Vec<_>, _>>().await.unwrap();
    assert_eq!(urls.len(), 3);
    assert!(urls.is_sorted());
}

#[tokio::test]
async fn attributes_that_are_set_are_read_back() {
    let endpoint = Endpoint::start().await;
    let url = endpoint
        .queue("q", &[(QueueAttributeName::VisibilityTimeout, "7")])
        .await;
    assert_eq!(
        endpoint
            .attribute(&url, QueueAttributeName::VisibilityTimeout)
            .await,
        "7"
    );
    let request = endpoint.client.set_queue_attributes().queue_url(&url);
    request
        .attributes(QueueAttributeName::VisibilityTimeout, "9")
        .send()
        .await
        .unwrap();
    assert_eq!(
        endpoint
            .attribute(&url, QueueAttributeName::VisibilityTimeout)
            .await,
        "9"
    );
}

#[tokio::test]
async fn a_purged_queue_is_empty_and_a_deleted_one_is_gone() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.queue("q", &[]).await;
    endpoint.send(&url, "x").await;
    endpoint.purge(&url).await.unwrap();
    assert_eq!(
        endpoint
            .attribute(&url, QueueAttributeName::ApproximateNumberOfMessages)
            .await,
        "0"
    );
    endpoint
        .client
        .delete_queue()
        .queue_url(&url)
        .send()
        .await
        .unwrap();
    let error = endpoint
        .client
        .get_queue_url()
        .queue_name("q")
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_queue_does_not_exist());
}
