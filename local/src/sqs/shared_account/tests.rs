//! Tests of long polls under a paused clock: a poll returns exactly when a message becomes
//! available.

use tokio::task::JoinHandle;

use super::*;
use crate::sqs::account::{AccountConfig, SendKind};
use crate::sqs::limits::MAX_IN_FLIGHT;
use crate::sqs::message::MessageAttributes;
use crate::sqs::new_message::NewMessage;

const WAIT: Duration = Duration::from_secs(20);
const ONE: ReceiveOptions = ReceiveOptions {
    max_messages: 1,
    visibility: None,
};

struct TestAccount {
    account: Arc<SharedAccount>,
    close: watch::Sender<bool>,
    started: Instant,
}

impl TestAccount {
    /// Creates the queues `dead` and `q`. `q` moves a message to `dead` after one receive.
    fn new() -> Self {
        let (close, closing) = watch::channel(false);
        let account = Account::new(AccountConfig {
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
            purge_interval: Duration::ZERO,
            recreate_after: Duration::ZERO,
        });
        let account = Arc::new(SharedAccount::new(
            account,
            "http://127.0.0.1".to_owned(),
            closing,
        ));
        account
            .create_queue("dead", &QueueAttributes::new())
            .unwrap();
        let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":1}"#;
        let attributes = [("RedrivePolicy", policy), ("VisibilityTimeout", "5")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        account
            .create_queue("q", &QueueAttributes::from(attributes))
            .unwrap();
        Self {
            account,
            close,
            started: Instant::now(),
        }
    }

    fn send(&self, queue: &str, delay_seconds: i64) {
        let message = NewMessage {
            body: "body".to_owned(),
            attributes: MessageAttributes::new(),
            system_attributes: MessageAttributes::new(),
            inherited_trace_header: None,
            delay_seconds: Some(delay_seconds),
            group_id: None,
            deduplication_id: None,
        };
        let message = message
            .validate()
            .map_err(|error| error.to_string())
            .unwrap();
        self.account
            .access(|account, now| account.send(queue, message, SendKind::Single, now))
            .unwrap();
    }

    fn take(&self, queue: &str, visibility: u64) -> String {
        let receive = ReceiveOptions {
            max_messages: 1,
            visibility: Some(Duration::from_secs(visibility)),
        };
        let messages = self
            .account
            .access(|account, now| account.receive(queue, receive, now))
            .unwrap();
        messages[0].receipt.handle()
    }

    /// Starts a long poll that returns the number of received messages, and the milliseconds since
    /// the start of the test.
    fn poll(&self, queue: &'static str) -> JoinHandle<Result<(usize, u128), SqsError>> {
        let (account, started) = (Arc::clone(&self.account), self.started);
        tokio::spawn(async move {
            let received = account.receive(queue, ONE, Some(WAIT)).await?;
            Ok((received.len(), started.elapsed().as_millis()))
        })
    }
}

/// Runs every task until it waits.
async fn run_until_idle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_without_messages_ends_when_its_time_is_up() {
    let test = TestAccount::new();
    assert_eq!(test.poll("q").await.unwrap(), Ok((0, 20_000)));
}

#[tokio::test(start_paused = true)]
async fn a_send_wakes_one_waiting_receiver() {
    let test = TestAccount::new();
    let (first, second) = (test.poll("q"), test.poll("q"));
    run_until_idle().await;
    test.send("q", 0);
    assert_eq!(first.await.unwrap(), Ok((1, 0)));
    test.send("q", 0);
    assert_eq!(second.await.unwrap(), Ok((1, 0)));
}

#[tokio::test(start_paused = true)]
async fn messages_sent_before_any_receiver_runs_reach_all_of_them() {
    let test = TestAccount::new();
    let polls = [test.poll("q"), test.poll("q"), test.poll("q")];
    run_until_idle().await;
    for _ in 0..3 {
        test.send("q", 0);
    }
    for poll in polls {
        assert_eq!(poll.await.unwrap(), Ok((1, 0)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_aborted_receiver_does_not_lose_the_notification() {
    let test = TestAccount::new();
    let (aborted, waiting) = (test.poll("q"), test.poll("q"));
    run_until_idle().await;
    test.send("q", 0);
    aborted.abort();
    assert_eq!(waiting.await.unwrap(), Ok((1, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_shorter_delay_wakes_the_receiver_before_a_longer_one() {
    let test = TestAccount::new();
    test.send("q", 15);
    let poll = test.poll("q");
    run_until_idle().await;
    test.send("q", 3);
    assert_eq!(poll.await.unwrap(), Ok((1, 3_000)));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_visibility_timeout_wakes_the_receiver() {
    let test = TestAccount::new();
    test.send("dead", 0);
    test.take("dead", 7);
    assert_eq!(test.poll("dead").await.unwrap(), Ok((1, 7_000)));
}

#[tokio::test(start_paused = true)]
async fn a_shortened_visibility_timeout_wakes_at_its_new_end() {
    let test = TestAccount::new();
    test.send("dead", 0);
    let handle = test.take("dead", 600);
    let poll = test.poll("dead");
    run_until_idle().await;
    test.account
        .access(|account, now| account.change_visibility("dead", &handle, 2, now))
        .unwrap();
    assert_eq!(poll.await.unwrap(), Ok((1, 2_000)));
}

#[tokio::test(start_paused = true)]
async fn a_redriven_message_wakes_the_receiver_of_dead_letters() {
    let test = TestAccount::new();
    test.send("q", 0);
    test.take("q", 5);
    let (source, dead_letters) = (test.poll("q"), test.poll("dead"));
    assert_eq!(dead_letters.await.unwrap(), Ok((1, 5_000)));
    assert_eq!(source.await.unwrap(), Ok((0, 20_000)));
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_waits_for_fewer_messages_in_flight_and_a_short_one_is_rejected() {
    let test = TestAccount::new();
    for _ in 0..=MAX_IN_FLIGHT {
        test.send("dead", 0);
    }
    let all = ReceiveOptions {
        max_messages: MAX_IN_FLIGHT,
        visibility: Some(Duration::from_secs(600)),
    };
    let messages = test
        .account
        .access(|account, now| account.receive("dead", all, now))
        .unwrap();
    let refused = test
        .account
        .receive("dead", ONE, Some(Duration::ZERO))
        .await;
    assert_eq!(
        refused.map(drop).map_err(|error| error.codes().code),
        Err("OverLimit")
    );
    let poll = test.poll("dead");
    run_until_idle().await;
    test.account
        .access(|account, now| account.delete("dead", &messages[0].receipt.handle(), now))
        .unwrap();
    assert_eq!(poll.await.unwrap(), Ok((1, 0)));
}

#[tokio::test(start_paused = true)]
async fn deleting_the_queue_ends_its_polls() {
    let test = TestAccount::new();
    let poll = test.poll("q");
    run_until_idle().await;
    test.account
        .access(|account, now| account.delete_queue("q", now))
        .unwrap();
    assert_eq!(poll.await.unwrap(), Err(SqsError::QueueDoesNotExist));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_created_again_has_its_own_timer() {
    let test = TestAccount::new();
    test.account
        .access(|account, now| account.delete_queue("dead", now))
        .unwrap();
    test.account
        .create_queue("dead", &QueueAttributes::new())
        .unwrap();
    test.send("dead", 4);
    assert_eq!(test.poll("dead").await.unwrap(), Ok((1, 4_000)));
}

#[tokio::test(start_paused = true)]
async fn closing_ends_all_polls_without_messages() {
    let test = TestAccount::new();
    let poll = test.poll("q");
    run_until_idle().await;
    test.close.send_replace(true);
    assert_eq!(poll.await.unwrap(), Ok((0, 0)));
}
