use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use baton_producer::{OutgoingMessage, QueueSendError, QueueSender, SendOutput, WhenFull};
use baton_test_support::{FakeSqs, SqsResponse};
use tokio::time::Instant;

use crate::support::{sender_builder, span_recorder};

/// A sender with one call in flight, which SQS holds.
struct BusySender {
    sqs: FakeSqs,
    sender: QueueSender,
    /// The send of the message in flight.
    first: SendFuture,
}

type SendFuture = Pin<Box<dyn Future<Output = Result<SendOutput, QueueSendError>>>>;

impl BusySender {
    async fn start(buffer_messages: usize, when_full: WhenFull) -> Self {
        let sqs = FakeSqs::start().await.unwrap();
        sqs.respond_with([SqsResponse::Held]);
        let sender = sender_builder(sqs.address, "onboarding", &span_recorder())
            .max_batches_in_flight(NonZeroUsize::MIN)
            .buffer(buffer_messages, 0)
            .when_full(when_full)
            .build();
        let first = start_send(&sender, "first").unwrap();
        sqs.wait_for_call().await;
        Self { sqs, sender, first }
    }
}

/// Starts a send. Returns its error if it fails at once.
fn start_send(sender: &QueueSender, body: &str) -> Result<SendFuture, QueueSendError> {
    let (sender, message) = (sender.clone(), OutgoingMessage::new(body));
    let mut send: SendFuture = Box::pin(async move { sender.send(message).await });
    match send.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => Ok(send),
        Poll::Ready(outcome) => Err(outcome.unwrap_err()),
    }
}

fn is_full(outcome: &Result<SendFuture, QueueSendError>) -> bool {
    matches!(outcome, Err(QueueSendError::BufferFull { .. }))
}

#[tokio::test]
async fn the_room_of_dropped_sends_is_free_while_sqs_does_not_respond() {
    let large = "x".repeat(300 * 1024);
    // One buffer is full of messages, the other one, with 1 MiB, of bytes.
    for (buffer_messages, body) in [(4, "x"), (100, &*large)] {
        let busy = BusySender::start(buffer_messages, WhenFull::Fail).await;
        let waiting: Vec<_> = (0..3)
            .map(|_| start_send(&busy.sender, body).unwrap())
            .collect();
        assert!(is_full(&start_send(&busy.sender, body)));
        drop(waiting);
        let others: Vec<_> = (0..3)
            .map(|_| start_send(&busy.sender, body).unwrap())
            .collect();
        assert!(is_full(&start_send(&busy.sender, body)));
        busy.sqs.release();
        for send in others {
            send.await.unwrap();
        }
        assert_eq!(busy.sqs.accepted().len(), 4);
    }
}

#[tokio::test]
async fn a_send_that_waits_for_room_gets_that_of_a_dropped_one() {
    let busy = BusySender::start(2, WhenFull::Wait(Duration::from_secs(20))).await;
    let second = start_send(&busy.sender, "second").unwrap();
    let sender = busy.sender.clone();
    tokio::spawn(async move { sender.send(OutgoingMessage::new("third")).await });
    tokio::task::yield_now().await;
    drop(second);
    tokio::task::yield_now().await;
    let unsent = busy.sender.close(Instant::now()).await;
    let bodies: Vec<_> = unsent.iter().map(|unsent| unsent.message.body()).collect();
    assert_eq!(bodies, ["third", "first"]);
}

#[tokio::test]
async fn a_dropped_send_keeps_its_room_until_its_call_ends() {
    let busy = BusySender::start(1, WhenFull::Fail).await;
    drop(busy.first);
    assert!(is_full(&start_send(&busy.sender, "second")));
    busy.sqs.release();
    let send = async {
        loop {
            match busy.sender.send(OutgoingMessage::new("third")).await {
                Err(QueueSendError::BufferFull { .. }) => tokio::task::yield_now().await,
                outcome => return outcome,
            }
        }
    };
    let sent = tokio::time::timeout(Duration::from_secs(10), send).await;
    sent.unwrap().unwrap();
    let accepted = busy.sqs.accepted();
    let bodies: Vec<_> = accepted.iter().map(|sent| &sent["MessageBody"]).collect();
    assert_eq!(bodies, ["first", "third"]);
}
