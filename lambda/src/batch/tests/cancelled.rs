use super::*;

/// Handlers that have begun, and those whose future was dropped before its end.
#[derive(Debug, Clone, Default)]
struct Seen {
    begun: Arc<Mutex<Vec<String>>>,
    dropped: Arc<Mutex<Vec<String>>>,
}

struct Guard(String, Seen);

impl Drop for Guard {
    fn drop(&mut self) {
        self.1.dropped.lock().unwrap().push(self.0.clone());
        assert_ne!(self.0, "panics when dropped");
    }
}

#[tokio::test]
async fn at_the_end_nothing_starts_what_runs_is_cancelled_and_what_finished_stays_done() {
    let seen = Seen::default();
    let handler = {
        let seen = seen.clone();
        move |message: Message<String>| {
            let seen = seen.clone();
            async move {
                seen.begun.lock().unwrap().push(message.body.clone());
                if message.body == "done" {
                    return Ok::<(), Failure>(());
                }
                let _guard = Guard(message.body, seen);
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
    let config = Config {
        concurrency: 3.try_into().unwrap(),
        ..Config::default()
    };
    let cancellation = never_cancelled();
    let processing = process_with(config, handler, &records, &cancellation);
    let ending = async {
        // The first four have begun when this is polled, one of them in the place of the first.
        cancellation.drain(StopReason::Deadline);
        tokio::task::yield_now().await;
        cancellation.cancel(StopReason::Deadline);
    };
    let ((failed, spans), ()) = tokio::join!(processing, ending);
    assert_eq!(failed, ["2", "3", "4", "5"]);
    assert!(
        !seen
            .begun
            .lock()
            .unwrap()
            .contains(&"never begins".to_owned())
    );
    assert_eq!(seen.dropped.lock().unwrap().len(), 3);
    let error_type =
        |id: &str| attribute(&record_span(&spans, id), "error.type").map(|value| value.to_string());
    assert_eq!(error_type("1"), None);
    assert_eq!(error_type("2").as_deref(), Some("deadline_exceeded"));
    assert_eq!(error_type("3").as_deref(), Some("panic"));
    assert_eq!(error_type("5").as_deref(), Some("deadline_exceeded"));
}

#[tokio::test]
async fn handlers_that_never_wait_let_others_run() {
    let records: Vec<_> = (0..1000)
        .map(|number| plain(&format!("m{number}"), "ok"))
        .collect();
    let cancellation = never_cancelled();
    let processing = process_with(Config::default(), handle, &records, &cancellation);
    let ((failed, _), ()) = tokio::join!(processing, async {
        cancellation.drain(StopReason::Deadline)
    });
    // Without a pause all would be done before the mark is looked at.
    assert!(
        !failed.is_empty() && failed.len() < 1000,
        "{}",
        failed.len()
    );
}
