//! Waiting, under a paused clock: a receiver wakes exactly when there is something, and not before.

use tokio::task::JoinHandle;

use super::*;
use crate::sqs::account::{Identity, SentAs};
use crate::sqs::draft::Draft;
use crate::sqs::limits::MAX_IN_FLIGHT;
use crate::sqs::message::Attributes;

const WAIT: Duration = Duration::from_secs(20);
const ONE: Receive = Receive {
    most: 1,
    visibility: None,
};

struct Bench {
    hub: Arc<Hub>,
    close: watch::Sender<bool>,
    started: Instant,
}

impl Bench {
    /// A hub with the queues `dead` and `q`, the latter moving to the former what was received
    /// once.
    fn new() -> Self {
        let (close, closing) = watch::channel(false);
        let account = Account::new(Identity {
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
            purge_interval: Duration::ZERO,
            recreate_after: Duration::ZERO,
        });
        let hub = Arc::new(Hub::new(account, "http://127.0.0.1".to_owned(), closing));
        hub.create("dead", &AttributeMap::new()).unwrap();
        let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":1}"#;
        let attributes = [("RedrivePolicy", policy), ("VisibilityTimeout", "5")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        hub.create("q", &AttributeMap::from(attributes)).unwrap();
        Self {
            hub,
            close,
            started: Instant::now(),
        }
    }

    fn send(&self, queue: &str, delay_seconds: i64) {
        let draft = Draft {
            body: "body".to_owned(),
            attributes: Attributes::new(),
            system_attributes: Attributes::new(),
            inherited_trace_header: None,
            delay_seconds: Some(delay_seconds),
            group_id: None,
            deduplication_id: None,
        };
        let message = draft.check().map_err(|error| error.to_string()).unwrap();
        self.hub
            .with(|account, now| account.send(queue, message, SentAs::Single, now))
            .unwrap();
    }

    fn take(&self, queue: &str, visibility: u64) -> String {
        let receive = Receive {
            most: 1,
            visibility: Some(Duration::from_secs(visibility)),
        };
        let taken = self
            .hub
            .with(|account, now| account.receive(queue, receive, now))
            .unwrap();
        taken[0].receipt.handle()
    }

    /// Starts a long poll that tells how many messages it got and after how many milliseconds since
    /// the start.
    fn poll(&self, queue: &'static str) -> JoinHandle<Result<(usize, u128), Error>> {
        let (hub, started) = (Arc::clone(&self.hub), self.started);
        tokio::spawn(async move {
            let received = hub.receive(queue, ONE, Some(WAIT)).await?;
            Ok((received.len(), started.elapsed().as_millis()))
        })
    }
}

/// Lets every task run until it waits.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_without_messages_ends_when_its_time_is_up() {
    let bench = Bench::new();
    assert_eq!(bench.poll("q").await.unwrap(), Ok((0, 20_000)));
}

#[tokio::test(start_paused = true)]
async fn a_send_wakes_one_waiting_receiver_at_once() {
    let bench = Bench::new();
    let (first, second) = (bench.poll("q"), bench.poll("q"));
    settle().await;
    bench.send("q", 0);
    assert_eq!(first.await.unwrap(), Ok((1, 0)));
    bench.send("q", 0);
    assert_eq!(second.await.unwrap(), Ok((1, 0)));
}

#[tokio::test(start_paused = true)]
async fn messages_sent_before_anybody_ran_reach_every_waiting_receiver() {
    let bench = Bench::new();
    let polls = [bench.poll("q"), bench.poll("q"), bench.poll("q")];
    settle().await;
    for _ in 0..3 {
        bench.send("q", 0);
    }
    for poll in polls {
        assert_eq!(poll.await.unwrap(), Ok((1, 0)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_aborted_receiver_does_not_take_the_call_with_it() {
    let bench = Bench::new();
    let (aborted, waiting) = (bench.poll("q"), bench.poll("q"));
    settle().await;
    bench.send("q", 0);
    aborted.abort();
    assert_eq!(waiting.await.unwrap(), Ok((1, 0)));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_delay_wakes_at_once_even_if_a_later_one_was_planned() {
    let bench = Bench::new();
    bench.send("q", 15);
    let poll = bench.poll("q");
    settle().await;
    bench.send("q", 3);
    assert_eq!(poll.await.unwrap(), Ok((1, 3_000)));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_visibility_timeout_wakes_at_once() {
    let bench = Bench::new();
    bench.send("dead", 0);
    bench.take("dead", 7);
    assert_eq!(bench.poll("dead").await.unwrap(), Ok((1, 7_000)));
}

#[tokio::test(start_paused = true)]
async fn a_shortened_visibility_timeout_wakes_at_its_new_end() {
    let bench = Bench::new();
    bench.send("dead", 0);
    let handle = bench.take("dead", 600);
    let poll = bench.poll("dead");
    settle().await;
    bench
        .hub
        .with(|account, now| account.change_visibility("dead", &handle, 2, now))
        .unwrap();
    assert_eq!(poll.await.unwrap(), Ok((1, 2_000)));
}

#[tokio::test(start_paused = true)]
async fn a_redriven_message_wakes_who_waits_for_dead_letters() {
    let bench = Bench::new();
    bench.send("q", 0);
    bench.take("q", 5);
    let (source, letters) = (bench.poll("q"), bench.poll("dead"));
    assert_eq!(letters.await.unwrap(), Ok((1, 5_000)));
    assert_eq!(source.await.unwrap(), Ok((0, 20_000)));
}

#[tokio::test(start_paused = true)]
async fn a_poll_waits_until_fewer_messages_are_in_flight_where_a_short_one_is_refused() {
    let bench = Bench::new();
    for _ in 0..=MAX_IN_FLIGHT {
        bench.send("dead", 0);
    }
    let all = Receive {
        most: MAX_IN_FLIGHT,
        visibility: Some(Duration::from_secs(600)),
    };
    let taken = bench
        .hub
        .with(|account, now| account.receive("dead", all, now))
        .unwrap();
    let refused = bench.hub.receive("dead", ONE, Some(Duration::ZERO)).await;
    assert_eq!(
        refused.map(drop).map_err(|error| error.naming().code),
        Err("OverLimit")
    );
    let poll = bench.poll("dead");
    settle().await;
    bench
        .hub
        .with(|account, now| account.delete("dead", &taken[0].receipt.handle(), now))
        .unwrap();
    assert_eq!(poll.await.unwrap(), Ok((1, 0)));
}

#[tokio::test(start_paused = true)]
async fn deleting_the_queue_ends_its_polls() {
    let bench = Bench::new();
    let poll = bench.poll("q");
    settle().await;
    bench
        .hub
        .with(|account, now| account.delete_queue("q", now))
        .unwrap();
    assert_eq!(poll.await.unwrap(), Err(Error::QueueDoesNotExist));
}

#[tokio::test(start_paused = true)]
async fn a_queue_made_anew_has_an_alarm_of_its_own() {
    let bench = Bench::new();
    bench
        .hub
        .with(|account, now| account.delete_queue("dead", now))
        .unwrap();
    bench.hub.create("dead", &AttributeMap::new()).unwrap();
    bench.send("dead", 4);
    assert_eq!(bench.poll("dead").await.unwrap(), Ok((1, 4_000)));
}

#[tokio::test(start_paused = true)]
async fn closing_ends_all_polls_empty() {
    let bench = Bench::new();
    let poll = bench.poll("q");
    settle().await;
    bench.close.send_replace(true);
    assert_eq!(poll.await.unwrap(), Ok((0, 0)));
}
