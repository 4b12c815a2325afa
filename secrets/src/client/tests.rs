use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

const KEY: &str = "authorization=Bearer top-secret-key";
const SECRET_ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:otlp-AbCdEf";
const PARAMETER_ARN: &str = "arn:aws:ssm:eu-west-1:123456789012:parameter/otlp/key";

/// Received requests: the head in lower case, and the body.
type ReceivedRequests = Arc<Mutex<Vec<(String, Value)>>>;

/// Secrets Manager or SSM on a real socket, with scripted responses.
struct FakeService {
    address: SocketAddr,
    requests: ReceivedRequests,
    server: JoinHandle<()>,
}

impl Drop for FakeService {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeService {
    async fn start(script: Vec<(u16, Value)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = ReceivedRequests::default();
        let server = tokio::spawn(serve(listener, script.into(), Arc::clone(&requests)));
        Self {
            address,
            requests,
            server,
        }
    }

    async fn read(&self, arn: &str) -> Result<Content, FetchError> {
        read(self.address, arn).await
    }
}

async fn read(address: SocketAddr, arn: &str) -> Result<Content, FetchError> {
    let reference = Reference::parse(arn).unwrap();
    let credentials = Credentials::new("AKIDEXAMPLE", "s", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .endpoint_url(format!("http://{address}"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .http_client(Builder::new().build_http())
        .build();
    let client = SecretsClient {
        read: operation(&config, &reference),
    };
    let content = client.read(&reference).await;
    assert!(!format!("{client:?}").contains("top-secret"));
    content
}

/// Handles one request per connection.
async fn serve(
    listener: TcpListener,
    mut script: VecDeque<(u16, Value)>,
    requests: ReceivedRequests,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).await.unwrap(), 0);
        }
        let head = head.to_ascii_lowercase();
        let (_, length) = head.split_once("content-length: ").unwrap();
        let length = length.lines().next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap();
        requests.lock().unwrap().push((head, body));
        let (status, response) = script.pop_front().unwrap();
        let response = response.to_string();
        let length = response.len();
        let head =
            format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        let response = head + &response;
        stream.write_all(response.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_secret_is_requested_by_its_arn_with_a_signature_for_its_region() {
    let service = FakeService::start(vec![(200, json!({"SecretString": KEY}))]).await;
    let content = service.read(SECRET_ARN).await.unwrap();
    assert_eq!(content.as_str(), KEY);
    assert_eq!(format!("{content:?}"), "Content");
    let requests = service.requests.lock().unwrap();
    let (head, body) = &requests[0];
    assert_eq!(*body, json!({"SecretId": SECRET_ARN}));
    for part in [
        "post / http/1.1\r\n",
        "x-amz-target: secretsmanager.getsecretvalue\r\n",
        "content-type: application/x-amz-json-1.1\r\n",
        "credential=akidexample/",
        "/eu-west-1/secretsmanager/aws4_request",
    ] {
        assert!(head.contains(part), "{part}: {head}");
    }
}

#[tokio::test]
async fn a_parameter_is_requested_with_decryption() {
    let service = FakeService::start(vec![(200, json!({"Parameter": {"Value": KEY}}))]).await;
    let content = service.read(PARAMETER_ARN).await.unwrap();
    assert_eq!(content.as_str(), KEY);
    let requests = service.requests.lock().unwrap();
    let (head, body) = &requests[0];
    assert_eq!(
        *body,
        json!({"Name": PARAMETER_ARN, "WithDecryption": true})
    );
    assert!(head.contains("x-amz-target: amazonssm.getparameter\r\n"));
    assert!(head.contains("/eu-west-1/ssm/aws4_request"));
}

#[tokio::test]
async fn a_transient_failure_is_retried() {
    let script = vec![
        (500, json!({"__type": "InternalServiceError"})),
        (200, json!({"SecretString": KEY})),
    ];
    let service = FakeService::start(script).await;
    assert_eq!(service.read(SECRET_ARN).await.unwrap().as_str(), KEY);
}

#[tokio::test]
async fn each_rejection_is_described_in_one_line_without_the_content() {
    let denied = json!({"__type": "com.amazon#AccessDeniedException", "Message": "User: x is not authorized"});
    for (arn, status, response, expected) in [
        (
            SECRET_ARN,
            400,
            denied,
            "access denied (AccessDeniedException): User: x",
        ),
        (
            SECRET_ARN,
            400,
            json!({"__type": "ResourceNotFoundException", "message": "x"}),
            "not found (ResourceNotFoundException)",
        ),
        (
            PARAMETER_ARN,
            400,
            json!({"__type": "ParameterNotFound"}),
            "not found",
        ),
        (
            PARAMETER_ARN,
            400,
            json!({"__type": "ExpiredTokenException"}),
            "credentials not accepted",
        ),
        (SECRET_ARN, 418, json!("a teapot"), "status 418"),
        (
            SECRET_ARN,
            200,
            json!({"SecretBinary": "dG9wLXNlY3JldA=="}),
            "binary",
        ),
        (SECRET_ARN, 200, json!({"Other": KEY}), "unexpected format"),
    ] {
        let service = FakeService::start(vec![(status, response)]).await;
        let error = service.read(arn).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains(arn), "{text}");
        for shown in [text, format!("{error:?}")] {
            assert!(!shown.contains("top-secret"), "{shown}");
            assert!(!shown.contains('\n'), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_refused_connection_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = read(address, SECRET_ARN).await.unwrap_err().to_string();
    assert!(error.contains("failed to send the request"), "{error}");
    assert!(error.to_lowercase().contains("refused"), "{error}");
}
