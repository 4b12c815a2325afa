use super::*;

/// Handlers that have begun, and handlers whose future was dropped before its end.
#[derive(Debug, Clone, Default)]
struct HandlerLog {
    begun: Arc<Mutex<Vec<String>>>,
    dropped: Arc<Mutex<Vec<String>>>,
}

struct DropGuard(String, HandlerLog);

impl Drop for DropGuard {
    fn drop(&mut self) {
        self.1.dropped.lock().unwrap().push(self.0.clone());
        assert_ne!(self.0, "panics when dropped");
    }
}

#[tokio::test]
async fn a_cancelled_batch_skips_new_records_cancels_running_ones_and_keeps_finished_ones() {
    let log = HandlerLog::default();
    let handler = {
        let log = log.clone();
        move |message: Message<String>| {
            let log = log.clone();
            async move {
                log.begun.lock().unwrap().push(message.body.clone());
                if message.body == "done" {
                    return Ok::<(), Failure>(());
                }
                let _guard = DropGuard(message.body, log);
                std::future::pending().await
            }
        }
    };
    let records = [
        plain("1", "done"),
        plain("2", "hangs"),
        plain("3", "panics when dropped"),
        plain("4", "hangs as well"),
        plain("5", "never begins"),
    ];
    let config = ConsumerConfig {
        concurrency: 3.try_into().unwrap(),
        ..ConsumerConfig::default()
    };
    let cancellation = never_cancelled();
    let processing = process_with(config, handler, &records, &cancellation);
    let ending = async {
        // When this is polled, the first record is done and the next three have begun.
        cancellation.drain(StopReason::Deadline);
        tokio::task::yield_now().await;
        cancellation.cancel(StopReason::Deadline);
    };
    let ((failed, spans), ()) = tokio::join!(processing, ending);
    assert_eq!(failed, ["2", "3", "4", "5"]);
    assert!(
        !log.begun
            .lock()
            .unwrap()
            .contains(&"never begins".to_owned())
    );
    assert_eq!(log.dropped.lock().unwrap().len(), 3);
    let error_type =
        |id: &str| attribute(&record_span(&spans, id), "error.type").map(|value| value.to_string());
    assert_eq!(error_type("1"), None);
    assert_eq!(error_type("2").as_deref(), Some("deadline_exceeded"));
    assert_eq!(error_type("3").as_deref(), Some("panic"));
    assert_eq!(error_type("5").as_deref(), Some("deadline_exceeded"));
}

#[tokio::test]
async fn handlers_that_never_wait_let_other_tasks_run() {
    let records: Vec<_> = (0..1000)
        .map(|number| plain(&format!("m{number}"), "ok"))
        .collect();
    let cancellation = never_cancelled();
    let processing = process_with(ConsumerConfig::default(), handle, &records, &cancellation);
    let ((failed, _), ()) = tokio::join!(processing, async {
        cancellation.drain(StopReason::Deadline)
    });
    // Without a yield, all records would be done before the drain.
    assert!(
        !failed.is_empty() && failed.len() < 1000,
        "{}",
        failed.len()
    );
}
