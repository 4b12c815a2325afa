//! The `baton` command with a test function: its output, and its exit.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::queue::TestQueue;
use crate::support::{eventually, executable, function, process_state};

/// Options for two concurrent environments with one message each.
const ONE_BY_ONE: [&str; 4] = ["--batch-size", "1", "--concurrency", "2"];

#[tokio::test]
async fn an_invalid_response_is_reported() {
    let up = BatonUp::start(&function().binary, &[]).await;
    up.send(&["misname"]).await;

    let warning = up
        .wait_for_line("invalid response: the whole batch failed")
        .await;
    assert!(
        warning.starts_with("warning: ") && warning.contains(r#"names "somebody else""#),
        "{warning:?}"
    );
    up.stop().await;
}

#[tokio::test]
async fn a_function_that_does_not_initialise_is_reported_with_its_output() {
    let folder = tempfile::tempdir().unwrap();
    let without_interpreter = executable(&folder, "no-interpreter", "exec true\n");
    let exits = "#!/bin/sh\necho 'TABLE_NAME is not set' >&2\nexit 3\n";
    let exits = executable(&folder, "exits", exits);
    for (function, expected) in [
        (without_interpreter, "Exec format error"),
        (exits, "  TABLE_NAME is not set"),
    ] {
        let output = baton(&["up", "--function", function.to_str().unwrap()]).await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{stderr}");
        assert!(
            stderr.contains("error: the function did not initialise: init failed with Runtime."),
            "{stderr}"
        );
        assert!(stderr.contains(expected), "{stderr}");
        assert!(!stderr.contains("everything is ready"), "{stderr}");
    }
}

#[tokio::test]
async fn another_function_needs_neither_a_producer_nor_a_checkout() {
    let folder = tempfile::tempdir().unwrap();
    let variables = folder.path().join("orders.env");
    std::fs::write(
        &variables,
        "# both\nFIRST='of the file'\nSECOND='of the file'\n",
    )
    .unwrap();
    let mut up = Command::new(env!("CARGO_BIN_EXE_baton"));
    up.args([
        "up",
        "--json",
        "--queue",
        "orders",
        "--env",
        "SECOND=given",
        "--env-file",
    ])
    .arg(&variables)
    .arg("--function")
    .arg(function().binary)
    // A cargo that does not exist, so that a build would fail.
    .env("CARGO", "/no/such/cargo")
    .current_dir(&folder)
    .stdout(Stdio::piped())
    .kill_on_drop(true);
    let mut up = up.spawn().unwrap();
    let mut ready = String::new();
    let mut stdout = BufReader::new(up.stdout.take().unwrap());
    stdout.read_line(&mut ready).await.unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!(ready["producer"], Value::Null);
    assert!(ready["queue_url"].as_str().unwrap().ends_with("/orders"));
    let dead_letter_queue = ready["dead_letter_queue_url"].as_str().unwrap();
    assert!(dead_letter_queue.ends_with("/orders-dlq"));
    assert_eq!(ready["variables"]["QUEUE_URL"], ready["queue_url"]);
    let pid = Pid::from_raw(up.id().unwrap().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(up.wait().await.unwrap().success());
}

#[tokio::test]
async fn the_error_without_a_checkout_names_the_options_that_avoid_a_build() {
    let folder = tempfile::tempdir().unwrap();
    symlink(function().binary, folder.path().join("onboarding-lambda")).unwrap();
    for (arguments, alternative) in [
        (&["up"][..], "with --function"),
        (
            &["up", "--function", "./onboarding-lambda"],
            "pass a binary with --producer, or start the function alone with `baton up --no-producer`",
        ),
    ] {
        let mut up = Command::new(env!("CARGO_BIN_EXE_baton"));
        let up = up.args(arguments).current_dir(&folder);
        let output = up.output().await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        assert!(stderr.contains("is not in a checkout of Baton"), "{stderr}");
        assert!(stderr.contains(alternative), "{stderr}");
    }
}

#[tokio::test]
async fn faults_for_a_function_that_does_not_know_them_are_rejected() {
    let function = function().binary;
    let function = function.to_str().unwrap();
    let output = baton(&["up", "--faults", "panic=c-1", "--function", function]).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("--faults works only with the onboarding function"),
        "{stderr}"
    );
}

#[tokio::test]
async fn a_port_for_a_producer_that_is_not_started_is_rejected() {
    let function = function().binary;
    let function = function.to_str().unwrap();
    let output = baton(&["up", "--producer-port", "9", "--function", function]).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("--producer-port requires a producer"),
        "{stderr}"
    );
}

/// A function that prints some of its variables and does not initialise.
const SHOWS_VARIABLES: &str = r#"#!/bin/sh
echo "FIRST=$FIRST SECOND=$SECOND $AWS_LAMBDA_FUNCTION_NAME $AWS_LAMBDA_LOG_GROUP_NAME"
exit 3
"#;

#[tokio::test]
async fn variables_of_a_file_reach_the_function_as_written_and_env_wins() {
    let folder = tempfile::tempdir().unwrap();
    let function = executable(&folder, "orders", SHOWS_VARIABLES);
    let file = folder.path().join("orders.env");
    std::fs::write(&file, "FIRST=pa$HOME\nSECOND='of the file'\n").unwrap();
    let [function, file] = [&function, &file].map(|path| path.to_str().unwrap());
    let arguments = ["up", "--env", "SECOND=given", "--env-file", file];
    let output = baton(&[&arguments[..], &["--function", function]].concat()).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("FIRST=pa$HOME SECOND=given "), "{stderr}");
}

#[tokio::test]
async fn a_function_is_started_under_the_name_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let function = executable(&folder, "orders", SHOWS_VARIABLES);
    let function = function.to_str().unwrap();
    let output = baton(&["up", "--queue", "incoming", "--function", function]).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(" orders /aws/lambda/orders\n"), "{stderr}");
}

async fn baton(arguments: &[&str]) -> std::process::Output {
    let mut baton = Command::new(env!("CARGO_BIN_EXE_baton"));
    baton.args(arguments).output().await.unwrap()
}

#[tokio::test]
async fn a_wrong_path_is_reported_before_the_build() {
    for (option, error) in [
        ("--function", "cannot read the function's binary ./no/such"),
        ("--producer", "cannot start the producer ./no/such"),
    ] {
        for command in ["up", "demo"] {
            let output = Command::new(env!("CARGO_BIN_EXE_baton"))
                .args([command, option, "./no/such"])
                // A build would use this cargo and end with another error.
                .env("CARGO", "/no/such/cargo")
                .output()
                .await
                .unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(
                stderr.starts_with("error: ") && stderr.contains(error),
                "{stderr}"
            );
            assert_eq!(output.status.code(), Some(4));
        }
    }
}

#[tokio::test]
async fn the_example_command_sends_a_message_to_the_function() {
    let mut up = BatonUp::spawn(&function().binary, &["--logs"]).await;
    let mut stdout = BufReader::new(up.baton.stdout.take().unwrap()).lines();
    let mut command = String::new();
    while let Some(line) = stdout.next_line().await.unwrap() {
        if !command.is_empty() || line.contains("curl") {
            command.push_str(&line);
            command.push('\n');
        }
        if line.contains("-d ") {
            break;
        }
    }
    let sent = Command::new("sh")
        .args(["-c", &command])
        .output()
        .await
        .unwrap();
    assert!(sent.status.success(), "{command}: {sent:?}");

    let record = up.wait_for_line("record ").await;
    assert!(record.contains(r#""body":"{\"id\":\"1\"}""#), "{record}");
    up.stop().await;
}

#[tokio::test]
async fn without_logs_only_the_warnings_and_errors_of_the_start_are_printed() {
    let up = BatonUp::start(&function().binary, &["--env", "INIT=warn"]).await;
    let error = up.wait_for_line(r#""level":"ERROR""#).await;
    assert!(error.starts_with("function 1 "), "{error}");
    up.wait_for_line(r#""level":"WARN""#).await;
    let has_info = up
        .stderr_lines
        .lock()
        .unwrap()
        .iter()
        .any(|line| line.contains("INFO"));
    assert!(!has_info, "{:?}", up.stderr_lines);
    up.stop().await;
}

#[tokio::test]
async fn an_early_exit_is_reported_with_the_output_of_that_environment() {
    let up = BatonUp::start(&function().binary, &ONE_BY_ONE).await;
    up.send(&["babble 3000", "die 1000"]).await;

    up.wait_for_line("error: the function exited unexpectedly (environment ")
        .await;
    up.wait_for_line("  dying").await;
    up.wait_for_line("exit status 3").await;
    let babbled = up
        .stderr_lines
        .lock()
        .unwrap()
        .iter()
        .any(|line| line == "  babble");
    assert!(
        !babbled,
        "output of another environment: {:?}",
        up.stderr_lines
    );
    up.stop().await;
}

#[tokio::test]
async fn with_logs_an_early_exit_is_reported_without_output() {
    let up = BatonUp::start(&function().binary, &[&ONE_BY_ONE[..], &["--logs"]].concat()).await;
    up.send(&["die 0"]).await;

    let error = up
        .wait_for_line("error: the function exited unexpectedly")
        .await;
    let (_, environment) = error.split_once("(environment ").unwrap();
    let number = environment.strip_suffix(')').unwrap();
    let shown = up.wait_for_line("dying").await;
    assert!(
        shown.starts_with(&format!("function {number} ")),
        "{shown:?}"
    );
    up.stop().await;
}

#[tokio::test]
async fn an_interrupted_shutdown_leaves_no_process_behind() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "#!/bin/sh\n'{}' &\necho \"runtime $!\"\nwait\n",
        function().binary.display()
    );
    let wrapper = executable(&folder, "bootstrap", &script);
    let mut up = BatonUp::start(&wrapper, &["--logs", "--function-timeout", "30s"]).await;
    up.send(&["sleep 60000"]).await;
    let line = up.wait_for_line("runtime ").await;
    let runtime: u32 = line.rsplit(' ').next().unwrap().parse().unwrap();
    up.wait_for_line("record ").await;

    up.terminate();
    up.wait_for_line("stopping").await;
    up.terminate();

    assert!(up.baton.wait().await.unwrap().success());
    // The parent is gone, so the process remains a zombie until the adopting process waits for it.
    eventually("the runtime behind the wrapper has ended", || {
        matches!(process_state(runtime), None | Some('Z'))
    })
    .await;
}

/// A running `baton up`.
struct BatonUp {
    baton: Child,
    /// The queue that was reported, if `--json` was given.
    queue: Option<TestQueue>,
    stderr_lines: Arc<Mutex<Vec<String>>>,
    /// Folder of the producer.
    _folder: TempDir,
}

impl BatonUp {
    async fn start(function: &Path, options: &[&str]) -> Self {
        let mut up = Self::spawn(function, &[&["--json"], options].concat()).await;
        let mut ready = String::new();
        let mut stdout = BufReader::new(up.baton.stdout.take().unwrap());
        stdout.read_line(&mut ready).await.unwrap();
        let ready: Value = serde_json::from_str(&ready).unwrap_or_else(|error| {
            panic!("{error}: {ready:?}, {:?}", up.stderr_lines.lock().unwrap())
        });
        let text = |name: &str| ready[name].as_str().unwrap();
        up.queue = Some(TestQueue::new(text("sqs"), text("queue_url")));
        up
    }

    async fn spawn(function: &Path, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut baton = Command::new(env!("CARGO_BIN_EXE_baton"))
            .args(["up", "--function"])
            .arg(function)
            .arg("--producer")
            .arg(producer(&folder).await)
            .args(options)
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stderr_lines = Arc::<Mutex<Vec<String>>>::default();
        let mut stderr = BufReader::new(baton.stderr.take().unwrap()).lines();
        tokio::spawn({
            let stderr_lines = Arc::clone(&stderr_lines);
            async move {
                while let Some(line) = stderr.next_line().await.unwrap() {
                    stderr_lines.lock().unwrap().push(line);
                }
            }
        });
        Self {
            baton,
            queue: None,
            stderr_lines,
            _folder: folder,
        }
    }

    async fn send(&self, bodies: &[&str]) {
        self.queue.as_ref().unwrap().send(bodies).await;
    }

    /// Waits for a line with `text` on standard error.
    async fn wait_for_line(&self, text: &str) -> String {
        let mut found = None;
        let condition = format!("baton prints {text:?}");
        eventually(&condition, || {
            let stderr = self.stderr_lines.lock().unwrap();
            found = stderr.iter().find(|line| line.contains(text)).cloned();
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    async fn stop(mut self) {
        self.terminate();
        assert!(self.baton.wait().await.unwrap().success());
    }

    fn terminate(&self) {
        let baton = Pid::from_raw(self.baton.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(baton, Signal::TERM).unwrap();
    }
}

/// Writes a producer that only reports that it is ready. It exits after two minutes in case baton
/// is killed.
async fn producer(folder: &TempDir) -> std::path::PathBuf {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let ready = axum::Router::new().fallback(|| async {});
    tokio::spawn(async move { axum::serve(listener, ready).await });
    let line = format!(r#"{{"message":"listening","address":"{address}"}}"#);
    let script = format!("#!/bin/sh\necho '{line}'\nexec sleep 120\n");
    executable(folder, "producer", &script)
}
