//! The `baton` command around a function of ours: what it says, and what it leaves behind.

use std::{
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

use crate::{
    queue::Queue,
    support::{eventually, executable, function, process_state},
};

#[tokio::test]
async fn a_response_that_is_refused_is_told() {
    let up = Up::start(&function().binary, &[]).await;
    up.queue.send(&["misname"]).await;

    let warning = up.says("response fails its whole batch").await;
    assert!(
        warning.starts_with("warning: ") && warning.contains(r#"names "somebody else""#),
        "{warning:?}"
    );
    up.stop().await;
}

#[tokio::test]
async fn a_function_that_cannot_be_executed_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let without_interpreter = executable(&folder, "bootstrap", "exec true\n");
    let up = Up::start(&without_interpreter, &[]).await;
    up.queue.send(&["ok"]).await;

    up.says("error: the function cannot start").await;
    up.says("Exec format error").await;
    up.stop().await;
}

#[tokio::test]
async fn an_end_that_is_cut_short_leaves_no_process_behind() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "#!/bin/sh\n'{}' &\necho \"runtime $!\"\nwait\n",
        function().binary.display()
    );
    let wrapper = executable(&folder, "bootstrap", &script);
    let mut up = Up::start(&wrapper, &["--logs", "--function-timeout", "30s"]).await;
    up.queue.send(&["sleep 60000"]).await;
    let line = up.says("runtime ").await;
    let runtime: u32 = line.rsplit(' ').next().unwrap().parse().unwrap();
    up.says("record ").await;

    up.terminate();
    up.says("stopping").await;
    up.terminate();

    assert!(up.baton.wait().await.unwrap().success());
    // Its parent is gone, so whoever has adopted it has to notice its end.
    eventually("the runtime behind the wrapper has ended", || {
        matches!(process_state(runtime), None | Some('Z'))
    })
    .await;
}

/// A `baton up` that runs.
struct Up {
    baton: Child,
    queue: Queue,
    said: Arc<Mutex<Vec<String>>>,
    /// Holds the producer.
    _folder: TempDir,
}

impl Up {
    async fn start(function: &Path, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut baton = Command::new(env!("CARGO_BIN_EXE_baton"))
            .args(["up", "--json", "--function"])
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
        let said = Arc::<Mutex<Vec<String>>>::default();
        let mut stderr = BufReader::new(baton.stderr.take().unwrap()).lines();
        tokio::spawn({
            let said = Arc::clone(&said);
            async move {
                while let Some(line) = stderr.next_line().await.unwrap() {
                    said.lock().unwrap().push(line);
                }
            }
        });
        let mut ready = String::new();
        let mut stdout = BufReader::new(baton.stdout.take().unwrap());
        stdout.read_line(&mut ready).await.unwrap();
        let ready: Value = serde_json::from_str(&ready)
            .unwrap_or_else(|error| panic!("{error}: {ready:?}, {:?}", said.lock().unwrap()));
        let text = |name: &str| ready[name].as_str().unwrap();
        Self {
            queue: Queue::at(text("sqs"), text("queue_url")),
            baton,
            said,
            _folder: folder,
        }
    }

    /// Waits for a line on standard error with `text` in it.
    async fn says(&self, text: &str) -> String {
        let mut found = None;
        let what = format!("baton says {text:?}");
        eventually(&what, || {
            let said = self.said.lock().unwrap();
            found = said.iter().find(|line| line.contains(text)).cloned();
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

/// A producer that only says that it is ready; it ends by itself should baton be killed.
async fn producer(folder: &TempDir) -> std::path::PathBuf {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let ready = axum::Router::new().fallback(|| async {});
    tokio::spawn(async move { axum::serve(listener, ready).await });
    let line = format!(r#"{{"message":"listening","address":"{address}"}}"#);
    let script = format!("#!/bin/sh\necho '{line}'\nexec sleep 120\n");
    executable(folder, "producer", &script)
}
