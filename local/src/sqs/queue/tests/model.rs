//! Any sequence of actions against a model so simple that it is right: a list that is searched from
//! end to end.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Action {
    Send { delay: u64 },
    Receive { most: usize, visibility: u64 },
    Delete { receipt: usize },
    Change { receipt: usize, timeout: u64 },
    Pass { seconds: u64 },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (0..4_u64).prop_map(|delay| Action::Send { delay }),
        (1..=10_usize, 0..6_u64)
            .prop_map(|(most, visibility)| Action::Receive { most, visibility }),
        (0..20_usize).prop_map(|receipt| Action::Delete { receipt }),
        (0..20_usize, 0..6_u64).prop_map(|(receipt, timeout)| Action::Change { receipt, timeout }),
        (0..4_u64).prop_map(|seconds| Action::Pass { seconds }),
    ]
}

/// What the model knows of a message.
struct Known {
    body: String,
    visible_at: u64,
    turn: u32,
}

#[derive(Default)]
struct Model {
    messages: Vec<Known>,
    receipts: Vec<(String, Receipt)>,
    sent: usize,
    now: u64,
}

impl Model {
    fn step(&mut self, queue: &mut Queue, action: Action) {
        match action {
            Action::Send { delay } => self.send(queue, delay),
            Action::Receive { most, visibility } => self.receive(queue, most, visibility),
            Action::Delete { receipt } => self.delete(queue, receipt),
            Action::Change { receipt, timeout } => self.change(queue, receipt, timeout),
            Action::Pass { seconds } => self.now += seconds,
        }
        let visible = self
            .messages
            .iter()
            .filter(|known| known.visible_at <= self.now)
            .count();
        let [ready, in_flight, delayed] =
            counts(queue, self.now).map(|count| count.parse::<usize>().unwrap());
        assert_eq!(
            (ready, in_flight + delayed),
            (visible, self.messages.len() - visible)
        );
    }

    fn send(&mut self, queue: &mut Queue, delay: u64) {
        let body = format!("m{}", self.sent);
        self.sent += 1;
        send(queue, &body, delay, self.now);
        self.messages.push(Known {
            body,
            visible_at: self.now + delay,
            turn: 0,
        });
    }

    fn receive(&mut self, queue: &mut Queue, most: usize, visibility: u64) {
        let hidden_for = Duration::from_secs(visibility);
        let visible = self
            .messages
            .iter()
            .filter(|known| known.visible_at <= self.now)
            .count();
        let deliveries = queue
            .receive(most, hidden_for, None, at(self.now))
            .unwrap()
            .deliveries;
        assert_eq!(deliveries.len(), visible.min(most));
        for delivery in deliveries {
            let body = &delivery.content.body;
            let known = self
                .messages
                .iter_mut()
                .find(|known| known.body == *body)
                .unwrap();
            assert!(
                known.visible_at <= self.now,
                "{body} was hidden until {}",
                known.visible_at
            );
            known.turn += 1;
            assert_eq!(delivery.receives, known.turn);
            known.visible_at = self.now + visibility;
            self.receipts.push((body.clone(), delivery.receipt));
        }
    }

    fn delete(&mut self, queue: &mut Queue, index: usize) {
        let Some((body, receipt)) = self.receipts.get(index) else {
            return;
        };
        queue.delete(*receipt, at(self.now));
        self.messages
            .retain(|known| known.body != *body || known.turn != receipt.turn);
    }

    fn change(&mut self, queue: &mut Queue, index: usize, timeout: u64) {
        let Some((body, receipt)) = self.receipts.get(index) else {
            return;
        };
        let changed = queue.change_visibility(
            "handle",
            *receipt,
            Duration::from_secs(timeout),
            at(self.now),
        );
        let known = self
            .messages
            .iter_mut()
            .find(|known| known.body == *body && known.turn == receipt.turn);
        assert_eq!(changed.is_ok(), known.is_some());
        if let Some(known) = known {
            known.visible_at = self.now + timeout;
        }
    }
}

proptest! {
    #[test]
    fn the_queue_does_what_a_searched_list_would(actions in prop::collection::vec(action(), 0..80)) {
        let mut queue = queue();
        let mut model = Model::default();
        for action in actions {
            model.step(&mut queue, action);
        }
    }
}
