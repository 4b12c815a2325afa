use super::*;

#[tokio::test]
async fn a_fifo_group_stops_at_its_first_failure_and_other_groups_continue() {
    let fifo = |id, body, group| record(FIFO, id, body, group, None);
    let records = [
        fifo("a1", "ok", "a"),
        fifo("b1", "ok", "b"),
        fifo("a2", "fail", "a"),
        fifo("a3", "ok", "a"),
        fifo("b2", "ok", "b"),
    ];
    let (failed, spans) = process(handle, &records).await;
    assert_eq!(failed, ["a2", "a3"]);
    assert_eq!(
        attribute(&record_span(&spans, "a3"), "error.type"),
        Some("message_group_blocked".into())
    );
    assert_eq!(
        attribute(&record_span(&spans, "b2"), "baton.sqs.message_group_id"),
        Some("b".into())
    );
}

#[tokio::test]
async fn groups_run_concurrently_and_are_separate_per_queue() {
    let other = "arn:aws:sqs:eu-central-1:123456789012:returns.fifo";
    let records = [
        record(FIFO, "1", "waits", "a", None),
        record(FIFO, "2", "waits", "b", None),
        // A group with the same name on another queue is independent.
        record(other, "3", "waits", "a", None),
        record(FIFO, "4", "waits", "a", None),
    ];
    let running = Arc::new(Mutex::new((0, 0)));
    let counted = Arc::clone(&running);
    let handler = move |_: Message<String>| {
        let running = Arc::clone(&counted);
        async move {
            {
                let (now, most) = &mut *running.lock().unwrap();
                *now += 1;
                *most = (*most).max(*now);
            }
            tokio::task::yield_now().await;
            running.lock().unwrap().0 -= 1;
            Ok::<(), Failure>(())
        }
    };
    let (failed, _) = process(handler, &records).await;
    assert!(failed.is_empty());
    assert_eq!(running.lock().unwrap().1, 3);
}

#[tokio::test]
async fn groups_on_a_standard_queue_are_ignored() {
    let (failed, _) = process(handle, &[plain("a", "fail"), plain("b", "ok")]).await;
    assert_eq!(failed, ["a"]);
}

#[tokio::test]
async fn a_drained_fifo_group_is_returned() {
    let fifo = |id, group| record(FIFO, id, "ok", group, None);
    let cancellation = never_cancelled();
    cancellation.drain(StopReason::Shutdown);
    let records = [fifo("a1", "a"), fifo("b1", "b"), fifo("a2", "a")];
    let (failed, spans) =
        process_with(ConsumerConfig::default(), handle, &records, &cancellation).await;
    assert_eq!(failed, ["a1", "b1", "a2"]);
    assert_eq!(
        attribute(&record_span(&spans, "a2"), "error.type"),
        Some("shutdown".into())
    );
}

#[tokio::test(start_paused = true)]
async fn messages_after_a_cancelled_one_of_their_group_have_the_same_reason() {
    let fifo = |id| record(FIFO, id, "ok", "a", None);
    let cancellation = never_cancelled();
    let hangs = |_: Message<String>| std::future::pending::<Result<(), Failure>>();
    let records = [fifo("a1"), fifo("a2")];
    let processing = process_with(ConsumerConfig::default(), hangs, &records, &cancellation);
    let ((failed, spans), ()) = tokio::join!(processing, async {
        cancellation.cancel(StopReason::Deadline)
    });
    assert_eq!(failed, ["a1", "a2"]);
    for id in ["a1", "a2"] {
        let error_type = attribute(&record_span(&spans, id), "error.type");
        assert_eq!(error_type, Some("deadline_exceeded".into()), "{id}");
    }
}
