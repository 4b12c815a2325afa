//! A function in plain `std`, which speaks the Runtime API over one connection and does what the
//! event says.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{env, process, thread};

use serde_json::{Value, json};

/// Interval of the background thread, which stands for a telemetry exporter that runs between
/// invocations.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// Name of the test that runs this role, for the start script.
pub(crate) const ROLE: &str = "function::runs_as_the_function";

#[test]
#[ignore = "not a test: the start script runs this as the function"]
fn runs_as_the_function() {
    if env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        TestFunction::new().run();
    }
}

struct TestFunction {
    connection: BufReader<TcpStream>,
    ticks: Arc<AtomicU64>,
    /// Number of pauses between a response and the next event.
    lingered: u64,
}

struct HttpMessage {
    status: u16,
    headers: HashMap<String, String>,
    body: String,
}

impl TestFunction {
    fn new() -> Self {
        let address = env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
        let connection = TcpStream::connect(address).unwrap();
        connection.set_nodelay(true).unwrap();
        Self {
            connection: BufReader::new(connection),
            ticks: Arc::default(),
            lingered: 0,
        }
    }

    fn run(mut self) {
        eprintln!("initialising");
        let ticks = Arc::clone(&self.ticks);
        thread::spawn(move || {
            loop {
                thread::sleep(TICK);
                ticks.fetch_add(1, Ordering::SeqCst);
            }
        });
        if let Ok(registration) = env::var("EXTENSION") {
            self.register(&registration);
        }
        match env::var("INIT").as_deref() {
            Ok("error") => {
                let document = json!({ "errorType": "NoConfiguration", "errorMessage": "nothing to work with" });
                self.call("POST", "init/error", "", document.to_string().as_bytes());
                exit(1)
            }
            Ok("exit") => exit(7),
            Ok("hang") => sleep("60000"),
            Ok("warn") => {
                for level in ["INFO", "WARN", "ERROR"] {
                    println!("{}", json!({ "level": level, "message": "from the start" }));
                }
            }
            _ => {}
        }
        loop {
            let event = self.call("GET", "invocation/next", "", b"");
            if event.status == 200 {
                self.handle(&event);
            }
        }
    }

    /// Registers an extension, and makes a call that the local stack does not support.
    fn register(&mut self, registration: &str) {
        for (path, name) in [
            (
                "/2020-01-01/extension/register",
                "Lambda-Extension-Name: own\r\n",
            ),
            ("/2022-07-01/telemetry", ""),
        ] {
            let response = self.request("POST", path, name, registration.as_bytes());
            println!("{path} {} {}", response.status, response.body);
        }
    }

    fn handle(&mut self, event: &HttpMessage) {
        if event.body.starts_with(r#"{"Records":"#) {
            return self.handle_records(event);
        }
        let (verb, rest) = event.body.split_once(' ').unwrap_or((&event.body, ""));
        println!("handling {verb}");
        match verb {
            "echo" => self.respond(event, rest),
            "headers" => self.respond(event, &json!(event.headers).to_string()),
            "variables" => self.respond(
                event,
                &json!(env::vars().collect::<HashMap<_, _>>()).to_string(),
            ),
            "ticks" => self.respond(event, &self.ticks.load(Ordering::SeqCst).to_string()),
            "lingered" => self.respond(event, &self.lingered.to_string()),
            "linger" => {
                self.respond(event, "");
                sleep(rest);
                self.lingered += 1;
            }
            "introduce" => {
                println!(
                    "introduce {}",
                    event.headers["lambda-runtime-aws-request-id"]
                );
                self.respond(event, "");
            }
            "babble" => loop {
                println!("babble");
            },
            "sleep" => {
                sleep(rest);
                self.respond(event, "awake");
            }
            "exit" => exit(rest.parse().unwrap()),
            "panic" => panic!("as asked"),
            "respond-and-exit" => {
                self.respond(event, "last words");
                exit(0)
            }
            "error" => {
                let document = json!({ "errorType": "Asked", "errorMessage": rest });
                self.post_result(event, "error", "", document.to_string().as_bytes());
            }
            "large" => {
                let response =
                    self.post_result(event, "response", "", &vec![b'x'; rest.parse().unwrap()]);
                println!("status {}", response.status);
            }
            "stream" => self.stream(event, ""),
            "stream-error" => {
                self.stream(event, "Lambda-Runtime-Function-Error-Type: Streamed\r\n")
            }
            "confused" => self.confuse(event),
            "skip" => self.skip(event),
            "child" => self.start_child(event),
            _ => self.respond(event, ""),
        }
    }

    /// Does what the bodies of the records say, and reports the failed ones.
    fn handle_records(&mut self, event: &HttpMessage) {
        let document: Value = serde_json::from_str(&event.body).unwrap();
        let records = document["Records"].as_array().unwrap();
        println!("batch {}", records.len());
        let mut failures = Vec::new();
        for record in records {
            println!("record {record}");
            let first_time = record["attributes"]["ApproximateReceiveCount"] == "1";
            let body = record["body"].as_str().unwrap();
            match body.split_once(' ').unwrap_or((body, "")) {
                ("fail", _) => failures.push(json!({ "itemIdentifier": record["messageId"] })),
                ("fail-once", _) if first_time => {
                    failures.push(json!({ "itemIdentifier": record["messageId"] }))
                }
                ("exit-once", _) if first_time => exit(1),
                ("misname", _) => failures.push(json!({ "itemIdentifier": "somebody else" })),
                ("sleep", milliseconds) => sleep(milliseconds),
                ("die", milliseconds) => {
                    sleep(milliseconds);
                    println!("dying");
                    exit(3)
                }
                ("babble", times) => {
                    for _ in 0..times.parse().unwrap() {
                        println!("babble");
                        sleep("1");
                    }
                }
                _ => {}
            }
        }
        self.respond(event, &json!({ "batchItemFailures": failures }).to_string());
    }

    /// Responds to an unknown event, then to its own, then to its own again.
    fn confuse(&mut self, event: &HttpMessage) {
        let unknown = self.call(
            "POST",
            "invocation/00000000-0000-0000-0000-000000000000/response",
            "",
            b"",
        );
        let statuses = [
            unknown.status,
            self.post_result(event, "response", "", b"mine").status,
            self.post_result(event, "response", "", b"again").status,
        ];
        println!("statuses {statuses:?}");
    }

    /// Polls for the next event before it responds to this one, then responds.
    fn skip(&mut self, event: &HttpMessage) {
        let status = self.call("GET", "invocation/next", "", b"").status;
        self.respond(event, &status.to_string());
    }

    #[expect(
        clippy::zombie_processes,
        reason = "that it is left behind is what is tested"
    )]
    fn start_child(&mut self, event: &HttpMessage) {
        let child = process::Command::new("sleep").arg("600").spawn().unwrap();
        self.respond(event, &child.id().to_string());
    }

    fn stream(&mut self, event: &HttpMessage, trailers: &str) {
        let id = &event.headers["lambda-runtime-aws-request-id"];
        let head = format!(
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
             Lambda-Runtime-Function-Response-Mode: streaming\r\nTrailer: Lambda-Runtime-Function-Error-Type\r\n\r\n"
        );
        let body = format!("4\r\none \r\n3\r\ntwo\r\n0\r\n{trailers}\r\n");
        self.connection
            .get_mut()
            .write_all(format!("{head}{body}").as_bytes())
            .unwrap();
        self.read();
    }

    fn respond(&mut self, event: &HttpMessage, body: &str) {
        self.post_result(event, "response", "", body.as_bytes());
    }

    fn post_result(
        &mut self,
        event: &HttpMessage,
        kind: &str,
        headers: &str,
        body: &[u8],
    ) -> HttpMessage {
        let id = &event.headers["lambda-runtime-aws-request-id"];
        self.call("POST", &format!("invocation/{id}/{kind}"), headers, body)
    }

    fn call(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> HttpMessage {
        self.request(
            method,
            &format!("/2018-06-01/runtime/{path}"),
            headers,
            body,
        )
    }

    fn request(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> HttpMessage {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        self.connection
            .get_mut()
            .write_all(head.as_bytes())
            .unwrap();
        self.connection.get_mut().write_all(body).unwrap();
        self.read()
    }

    fn read(&mut self) -> HttpMessage {
        let status = self.line().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HashMap::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        self.connection.read_exact(&mut body).unwrap();
        HttpMessage {
            status,
            headers,
            body: String::from_utf8(body).unwrap(),
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        if self.connection.read_line(&mut line).unwrap() == 0 {
            // The Runtime API was closed: the environment is gone.
            exit(0);
        }
        line.trim_end().to_owned()
    }
}

fn sleep(milliseconds: &str) {
    thread::sleep(Duration::from_millis(milliseconds.parse().unwrap()));
}

#[expect(
    clippy::exit,
    reason = "a function may end its process, and what follows from that is tested"
)]
fn exit(code: i32) -> ! {
    process::exit(code)
}
