//! Property test: random actions on the queue and on a model of it, which is a list that is
//! searched from end to end.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Action {
    Send {
        delay: u64,
    },
    Receive {
        max_messages: usize,
        visibility: u64,
    },
    Delete {
        receipt: usize,
    },
    Change {
        receipt: usize,
        timeout: u64,
    },
    Pass {
        seconds: u64,
    },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (0..4_u64).prop_map(|delay| Action::Send { delay }),
        (1..=10_usize, 0..6_u64).prop_map(|(max_messages, visibility)| Action::Receive {
            max_messages,
            visibility
        }),
        (0..20_usize).prop_map(|receipt| Action::Delete { receipt }),
        (0..20_usize, 0..6_u64).prop_map(|(receipt, timeout)| Action::Change { receipt, timeout }),
        (0..4_u64).prop_map(|seconds| Action::Pass { seconds }),
    ]
}

/// Expected state of a message.
struct ModelMessage {
    body: String,
    visible_at: u64,
    receive_number: u32,
}

#[derive(Default)]
struct QueueModel {
    messages: Vec<ModelMessage>,
    receipts: Vec<(String, Receipt)>,
    sent: usize,
    now: u64,
}

impl QueueModel {
    fn step(&mut self, queue: &mut StandardQueue, action: Action) {
        match action {
            Action::Send { delay } => self.send(queue, delay),
            Action::Receive {
                max_messages,
                visibility,
            } => self.receive(queue, max_messages, visibility),
            Action::Delete { receipt } => self.delete(queue, receipt),
            Action::Change { receipt, timeout } => self.change(queue, receipt, timeout),
            Action::Pass { seconds } => self.now += seconds,
        }
        let visible = self
            .messages
            .iter()
            .filter(|message| message.visible_at <= self.now)
            .count();
        let [ready, in_flight, delayed] =
            counts(queue, self.now).map(|count| count.parse::<usize>().unwrap());
        assert_eq!(
            (ready, in_flight + delayed),
            (visible, self.messages.len() - visible)
        );
    }

    fn send(&mut self, queue: &mut StandardQueue, delay: u64) {
        let body = format!("m{}", self.sent);
        self.sent += 1;
        send(queue, &body, delay, self.now);
        self.messages.push(ModelMessage {
            body,
            visible_at: self.now + delay,
            receive_number: 0,
        });
    }

    fn receive(&mut self, queue: &mut StandardQueue, max_messages: usize, visibility: u64) {
        let hidden_for = Duration::from_secs(visibility);
        let visible = self
            .messages
            .iter()
            .filter(|message| message.visible_at <= self.now)
            .count();
        let received = queue
            .receive(max_messages, hidden_for, None, at(self.now))
            .unwrap()
            .messages;
        assert_eq!(received.len(), visible.min(max_messages));
        for received in received {
            let body = &received.content.body;
            let message = self
                .messages
                .iter_mut()
                .find(|message| message.body == *body)
                .unwrap();
            assert!(
                message.visible_at <= self.now,
                "{body} was hidden until {}",
                message.visible_at
            );
            message.receive_number += 1;
            assert_eq!(received.receive_count, message.receive_number);
            message.visible_at = self.now + visibility;
            self.receipts.push((body.clone(), received.receipt));
        }
    }

    fn delete(&mut self, queue: &mut StandardQueue, index: usize) {
        let Some((body, receipt)) = self.receipts.get(index) else {
            return;
        };
        queue.delete(*receipt, at(self.now));
        self.messages.retain(|message| {
            message.body != *body || message.receive_number != receipt.receive_number
        });
    }

    fn change(&mut self, queue: &mut StandardQueue, index: usize, timeout: u64) {
        let Some((body, receipt)) = self.receipts.get(index) else {
            return;
        };
        let changed = queue.change_visibility(
            "handle",
            *receipt,
            Duration::from_secs(timeout),
            at(self.now),
        );
        let message = self.messages.iter_mut().find(|message| {
            message.body == *body && message.receive_number == receipt.receive_number
        });
        assert_eq!(changed.is_ok(), message.is_some());
        if let Some(message) = message {
            message.visible_at = self.now + timeout;
        }
    }
}

proptest! {
    #[test]
    fn the_queue_behaves_like_a_searched_list(actions in prop::collection::vec(action(), 0..80)) {
        let mut queue = queue();
        let mut model = QueueModel::default();
        for action in actions {
            model.step(&mut queue, action);
        }
    }
}
