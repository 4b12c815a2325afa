use std::hint::black_box;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use baton_test_support::FakeSqs;
use flate2::read::GzDecoder;
use http::request::Builder;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use prost::Message;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, MutexGuard, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use crate::support::process::ApiProcess;
use crate::support::{TestApi, client};

const PROFILE: &str = "/debug/pprof/profile";

/// Time limit for what takes milliseconds on an idle machine.
const SOON: Duration = Duration::from_secs(20);

/// Lock for tests that take profiles: a process can take only one profile at a time.
static PROFILER: Mutex<()> = Mutex::const_new(());

/// Serves profiles of this process.
struct ProfilingServer {
    address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    server: JoinHandle<()>,
    _profiler: MutexGuard<'static, ()>,
}

impl ProfilingServer {
    async fn start() -> Self {
        let profiler = PROFILER.lock().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, stopped) = oneshot::channel::<()>();
        let shutdown_started = async { drop(stopped.await) };
        let server = onboarding_api::profiling::serve(listener, shutdown_started);
        Self {
            address,
            shutdown,
            server: tokio::spawn(server),
            _profiler: profiler,
        }
    }

    async fn text(&self, path: &str) -> (u16, String) {
        let (status, body) = get(self.address, path).await;
        (status.as_u16(), String::from_utf8(body).unwrap())
    }
}

async fn get(address: SocketAddr, path: &str) -> (StatusCode, Vec<u8>) {
    let host = address.to_string();
    let request = Request::get(path).header("host", host);
    send(address, request).await
}

async fn send(address: SocketAddr, request: Builder) -> (StatusCode, Vec<u8>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, body.to_vec())
}

/// Requests a profile that would take minutes, and waits until it is being taken.
async fn start_long_profile(address: SocketAddr) -> TcpStream {
    let request = format!("GET {PROFILE}?seconds=300 HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let start = async {
        loop {
            let connection = client::connect_and_send(address, &request).await;
            // If this second request came first, the long profile was rejected.
            if short_profile_status(address).await == StatusCode::CONFLICT {
                return connection;
            }
        }
    };
    let started = tokio::time::timeout(SOON, start).await;
    started.expect("the long profile is being taken")
}

async fn short_profile_status(address: SocketAddr) -> StatusCode {
    get(address, &format!("{PROFILE}?seconds=1")).await.0
}

/// The fields of a profile that the tests read, from the format's definition.
#[derive(Message)]
struct Profile {
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    locations: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    functions: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    strings: Vec<String>,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(int64, tag = "12")]
    period: i64,
}

#[derive(Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    locations: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    values: Vec<i64>,
}

#[derive(Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    lines: Vec<Line>,
}

#[derive(Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function: u64,
}

#[derive(Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
}

impl Profile {
    fn from_response(compressed: &[u8]) -> Self {
        let mut bytes = Vec::new();
        GzDecoder::new(compressed).read_to_end(&mut bytes).unwrap();
        Self::decode(&*bytes).unwrap()
    }

    /// Returns the functions of a sample, the running one first.
    fn stack(&self, sample: &Sample) -> Vec<&str> {
        let location = |id: &u64| self.locations.iter().find(|location| location.id == *id);
        let function = |id: u64| self.functions.iter().find(|function| function.id == id);
        let names = sample.locations.iter().map(|id| {
            let function = function(location(id).unwrap().lines[0].function).unwrap();
            &*self.strings[usize::try_from(function.name).unwrap()]
        });
        names.collect()
    }

    /// Returns the CPU time of a function and of those that it calls.
    fn cpu_time(&self, name: &str) -> Duration {
        let with_function = self.samples.iter().filter(|sample| {
            let stack = self.stack(sample);
            stack.iter().any(|function| function.contains(name))
        });
        let nanoseconds: i64 = with_function.map(|sample| sample.values[1]).sum();
        Duration::from_nanos(nanoseconds.try_into().unwrap())
    }
}

/// Uses the CPU until it is told to stop. Returns a result that depends on the computation.
#[inline(never)]
fn burn_cpu_for_the_profile(stop: &AtomicBool) -> u64 {
    let mut state = 1_u64;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..1000 {
            state = black_box(
                state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1),
            );
        }
    }
    state
}

#[tokio::test]
async fn a_profile_contains_the_function_that_used_the_cpu() {
    let server = ProfilingServer::start().await;
    let stop = Arc::new(AtomicBool::new(false));
    let stop_burning = Arc::clone(&stop);
    let burning = std::thread::spawn(move || burn_cpu_for_the_profile(&stop_burning));
    let (status, body) = get(server.address, &format!("{PROFILE}?seconds=2&frequency=50")).await;
    stop.store(true, Ordering::Relaxed);
    assert_ne!(burning.join().unwrap(), 0);
    assert_eq!(status, 200);
    let profile = Profile::from_response(&body);
    assert_eq!(profile.period, 20_000_000);
    assert!(profile.duration_nanos >= 2_000_000_000);
    let burnt = profile.cpu_time("burn_cpu_for_the_profile");
    // Other processes may use most of the CPUs meanwhile.
    assert!(burnt > Duration::from_millis(200), "{burnt:?}");
    assert!(burnt < Duration::from_secs(3), "{burnt:?}");
    // The thread has been walked up to its start.
    let stacks = profile.samples.iter().map(|sample| profile.stack(sample));
    let mut burning = stacks.filter(|stack| stack[0].ends_with("burn_cpu_for_the_profile"));
    let stack = burning.next().unwrap();
    assert!(
        stack.iter().any(|name| name.contains("thread")),
        "{stack:?}"
    );
}

#[tokio::test]
async fn invalid_requests_state_what_is_expected() {
    let server = ProfilingServer::start().await;
    for (path, status, text) in [
        (
            "/debug/pprof/profile?seconds=0",
            400,
            "seconds is \"0\", expected a whole number from 1 to 300\n",
        ),
        (
            "/debug/pprof/profile?hz=9",
            400,
            "unknown parameter \"hz\", expected seconds or frequency\n",
        ),
        (
            "/debug/pprof/profile?seconds=1&seconds=2",
            400,
            "seconds is given more than once, expected one value\n",
        ),
        (
            "/debug/pprof/heap",
            404,
            "unknown path, expected /debug/pprof/profile\n",
        ),
    ] {
        assert_eq!(server.text(path).await, (status, text.to_owned()));
    }
}

/// A path whose response does not take a profile.
const UNKNOWN: &str = "/debug/pprof/heap";

#[tokio::test]
async fn only_names_of_this_machine_and_addresses_are_accepted_as_host() {
    let server = ProfilingServer::start().await;
    for host in [
        "localhost",
        "LOCALHOST:6060",
        "api.localhost:80",
        "127.0.0.1:6060",
        "10.0.0.5",
        "[::1]:6060",
    ] {
        let request = Request::get(UNKNOWN).header("host", host);
        assert_eq!(send(server.address, request).await.0, 404, "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:6060",
        "localhost.evil.example",
        "notlocalhost",
        "127.0.0.1.evil.example",
        "",
    ] {
        let request = Request::get(format!("{PROFILE}?seconds=1")).header("host", host);
        let (status, body) = send(server.address, request).await;
        let expected = format!(
            "the host {host:?} is not allowed: expected localhost, a name under .localhost or an IP address\n"
        );
        assert_eq!((status.as_u16(), body), (421, expected.into_bytes()));
    }
}

#[tokio::test]
async fn requests_of_web_pages_are_rejected() {
    let server = ProfilingServer::start().await;
    let path = format!("{PROFILE}?seconds=1");
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let request = Request::get(&path).header("host", "localhost");
        let (status, body) = send(server.address, request.header(name, value)).await;
        let expected = b"requests from web pages are not allowed\n".to_vec();
        assert_eq!((status.as_u16(), body), (403, expected));
    }
    // A person has opened the address in a browser.
    let request = Request::get(UNKNOWN).header("host", "localhost");
    let request = request.header("sec-fetch-site", "none");
    assert_eq!(send(server.address, request).await.0, 404);
}

#[tokio::test]
async fn methods_other_than_get_take_no_profile() {
    let server = ProfilingServer::start().await;
    for method in ["HEAD", "POST", "OPTIONS"] {
        let request = Request::builder().method(method).uri(PROFILE);
        let request = request.header("host", "localhost");
        let response = tokio::time::timeout(SOON, send(server.address, request)).await;
        assert_eq!(response.unwrap().0, 405, "{method}");
    }
}

#[tokio::test]
async fn a_second_profile_is_rejected_until_the_first_client_disconnects() {
    let server = ProfilingServer::start().await;
    let first = start_long_profile(server.address).await;
    let expected = "another CPU profile is being taken: retry the request when it has ended\n";
    let second = server.text(PROFILE).await;
    assert_eq!(second, (409, expected.to_owned()));
    drop(first);
    let third = async {
        while short_profile_status(server.address).await != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let third = tokio::time::timeout(SOON, third).await;
    third.expect("the first profile has ended");
}

#[tokio::test]
async fn a_shutdown_ends_a_profile_and_closes_the_listener() {
    let server = ProfilingServer::start().await;
    let profile = start_long_profile(server.address).await;
    drop(server.shutdown);
    let head = tokio::time::timeout(SOON, client::read_head(profile)).await;
    let head = head.unwrap();
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    tokio::time::timeout(SOON, server.server)
        .await
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn the_port_of_the_api_serves_no_profile() {
    let api = TestApi::start().await;
    assert_eq!(api.get(PROFILE).await.status, 404);
}

/// Returns the address of profiles from the process's log.
fn profiling_address(process: &ApiProcess) -> SocketAddr {
    let mut lines = process.start_log.iter();
    let line = lines.find(|line| line["message"] == "serving CPU profiles");
    line.unwrap()["address"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_accepts_every_request_while_it_is_profiled() {
    const CLIENTS: usize = 4;
    let sqs = FakeSqs::start().await.unwrap();
    let variables = [
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("PROFILING_ADDR", "0"),
    ];
    let process = ApiProcess::start(&sqs, &variables).await;
    let profiling = profiling_address(&process);
    assert!(profiling.ip().is_loopback());
    let end = Instant::now() + Duration::from_secs(3);
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let address = process.address;
        clients.spawn(async move {
            let mut connection = client::KeptConnection::open(address).await;
            let mut accepted = 0;
            while Instant::now() < end {
                let response = connection
                    .onboard("c-1")
                    .await
                    .expect("the connection is kept");
                assert_eq!(response.status, 202);
                accepted += 1;
            }
            accepted
        });
    }
    let (status, body) = get(profiling, &format!("{PROFILE}?seconds=2&frequency=100")).await;
    let accepted: usize = clients.join_all().await.iter().sum();
    process.terminate().await;
    let log = process.into_log().await;
    assert_eq!((status, sqs.accepted().len()), (StatusCode::OK, accepted));
    let profile = Profile::from_response(&body);
    let serving = profile.cpu_time("onboarding_api");
    assert!(serving > Duration::from_millis(20), "{serving:?}");
    let problems: Vec<_> = log.iter().filter(|line| line["level"] != "INFO").collect();
    assert!(problems.is_empty(), "{problems:?}");
}

#[tokio::test]
async fn a_stop_of_the_process_ends_a_profile() {
    let sqs = FakeSqs::start().await.unwrap();
    let process = ApiProcess::start(&sqs, &[("PROFILING_ADDR", "127.0.0.1:0")]).await;
    let profile = start_long_profile(profiling_address(&process)).await;
    process.terminate().await;
    let head = tokio::time::timeout(SOON, client::read_head(profile)).await;
    assert!(head.unwrap().starts_with("HTTP/1.1 503"));
    let log = process.into_log().await;
    assert!(
        log.iter().any(|line| line["message"] == "stopped"),
        "{log:?}"
    );
}

/// A process that keeps temporary files in a folder of its own.
struct ProfiledProcess {
    _sqs: FakeSqs,
    _process: ApiProcess,
    profiles: SocketAddr,
    parent: TempDir,
    /// `TMPDIR` of the process.
    folder: PathBuf,
}

impl ProfiledProcess {
    async fn start() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("temporary");
        std::fs::create_dir(&folder).unwrap();
        let sqs = FakeSqs::start().await.unwrap();
        let variables = [
            ("PROFILING_ADDR", "0"),
            ("TMPDIR", folder.to_str().unwrap()),
        ];
        let process = ApiProcess::start(&sqs, &variables).await;
        Self {
            profiles: profiling_address(&process),
            _sqs: sqs,
            _process: process,
            parent,
            folder,
        }
    }

    async fn take_profile(&self) {
        assert_eq!(short_profile_status(self.profiles).await, 200);
    }

    /// Asserts that a request fails at once: with success, it would take five minutes.
    async fn assert_fails_at_once(&self, expected: &str) {
        let path = format!("{PROFILE}?seconds=300");
        let response = tokio::time::timeout(SOON, get(self.profiles, &path)).await;
        let (status, body) = response.expect("the request does not wait for a profile");
        let text = String::from_utf8(body).unwrap();
        let expected = expected.replace("FOLDER", self.folder.to_str().unwrap());
        assert_eq!(status, 500, "{text}");
        assert!(text.starts_with(&expected), "{text}");
    }

    /// Renames the folder, because the files in it remain when the process exits.
    fn hide_folder(&self) {
        std::fs::rename(&self.folder, self.hidden()).unwrap();
    }

    fn restore_folder(&self) {
        std::fs::rename(self.hidden(), &self.folder).unwrap();
    }

    fn hidden(&self) -> PathBuf {
        self.parent.path().join("hidden")
    }

    /// Deletes the temporary files of the process, as cleaners of `/tmp` do.
    fn delete_files(&self) {
        for file in std::fs::read_dir(&self.folder).unwrap() {
            // The process deletes files too.
            let _ = std::fs::remove_file(file.unwrap().path());
        }
    }
}

const NO_FOLDER: &str = "cannot take a CPU profile: cannot create a temporary file in FOLDER: No such file or directory (os error 2) at path \"FOLDER/";

#[tokio::test]
async fn profiles_are_possible_again_when_the_temporary_folder_is_back() {
    let process = ProfiledProcess::start().await;
    // Before the first profile, and after one.
    for _ in 0..2 {
        process.hide_folder();
        process.assert_fails_at_once(NO_FOLDER).await;
        process.restore_folder();
        process.take_profile().await;
    }
}

#[tokio::test]
async fn a_temporary_file_that_was_deleted_between_profiles_is_replaced() {
    let process = ProfiledProcess::start().await;
    process.take_profile().await;
    process.delete_files();
    process.take_profile().await;
}

#[tokio::test]
async fn a_temporary_file_that_is_deleted_during_a_profile_is_an_error() {
    let process = ProfiledProcess::start().await;
    let path = format!("{PROFILE}?seconds=2");
    let mut response = std::pin::pin!(get(process.profiles, &path));
    let (status, body) = loop {
        tokio::select! {
            response = &mut response => break response,
            () = tokio::time::sleep(Duration::from_millis(10)) => process.delete_files(),
        }
    };
    let text = String::from_utf8(body).unwrap();
    let expected = "cannot take a CPU profile: cannot read the profiler's temporary file in ";
    assert_eq!(status, 500, "{text}");
    assert!(text.starts_with(expected), "{text}");
    process.take_profile().await;
}

#[tokio::test]
async fn a_restart_is_advised_if_the_folder_disappeared_during_a_profile() {
    let process = ProfiledProcess::start().await;
    let lose_folder = async {
        loop {
            let profile = start_long_profile(process.profiles).await;
            process.hide_folder();
            drop(profile);
            while short_profile_status(process.profiles).await == StatusCode::CONFLICT {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            process.restore_folder();
            // If the folder disappeared before the profiler had started, profiles are possible.
            if short_profile_status(process.profiles).await != StatusCode::OK {
                return;
            }
        }
    };
    tokio::time::timeout(SOON, lose_folder).await.unwrap();
    let expected = "cannot take a CPU profile: the profiler could not create a temporary file in FOLDER at the end of an earlier profile, and cannot start again in this process: restart the service with TMPDIR set to a writable folder, such as /dev/shm";
    process.assert_fails_at_once(expected).await;
}
