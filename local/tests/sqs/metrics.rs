use std::net::SocketAddr;

use aws_sdk_sqs::types::QueueAttributeName;

use crate::support::{Endpoint, exchange};

const PREFIX: &str = "aws_sqs_approximate_";

#[tokio::test]
async fn both_listeners_serve_the_depth_of_each_queue() {
    let endpoint = Endpoint::start().await;
    let orders = endpoint.queue("orders", &[]).await;
    let delayed = [(QueueAttributeName::DelaySeconds, "900")];
    let later = endpoint.queue("later", &delayed).await;
    for body in ["a", "b", "c"] {
        endpoint.send(&orders, body).await;
    }
    endpoint.send(&later, "d").await;
    let receive = endpoint.client.receive_message().queue_url(&orders);
    receive.send().await.unwrap();
    for address in [endpoint.address, endpoint.metrics] {
        let text = metrics(address).await;
        for (metric, queue, expected) in [
            ("number_of_messages_visible_maximum", "orders", 2),
            ("number_of_messages_not_visible_maximum", "orders", 1),
            ("number_of_messages_delayed_maximum", "orders", 0),
            ("number_of_messages_visible_maximum", "later", 0),
            ("number_of_messages_delayed_maximum", "later", 1),
        ] {
            let series = format!(
                "{PREFIX}{metric}{{account_id=\"000000000000\",dimension_QueueName=\"{queue}\",\
                 name=\"arn:aws:sqs:us-east-1:000000000000:{queue}\",region=\"us-east-1\"}} {expected}\n"
            );
            assert!(text.contains(&series), "{series}{text}");
        }
        let type_line = format!("# TYPE {PREFIX}age_of_oldest_message_maximum gauge\n");
        assert!(text.contains(&type_line), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}

#[tokio::test]
async fn a_deleted_queue_has_no_metrics() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.queue("orders", &[]).await;
    assert!(metrics(endpoint.address).await.contains("orders"));
    let delete = endpoint.client.delete_queue().queue_url(url);
    delete.send().await.unwrap();
    assert!(!metrics(endpoint.address).await.contains("orders"));
}

#[tokio::test]
async fn the_listener_for_metrics_serves_nothing_else() {
    let endpoint = Endpoint::start().await;
    let list = "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSQS.ListQueues\r\n\
                Connection: close\r\nContent-Length: 2\r\n\r\n{}";
    let response = exchange(endpoint.metrics, list).await;
    assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
    let foreign = "GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let response = exchange(endpoint.metrics, foreign).await;
    assert!(response.starts_with("HTTP/1.1 421 "), "{response}");
}

/// Returns the response to a request for the metrics.
async fn metrics(address: SocketAddr) -> String {
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let response = exchange(address, request).await;
    let content_type = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(
        response.starts_with("HTTP/1.1 200 ") && response.contains(content_type),
        "{response}"
    );
    response
}
