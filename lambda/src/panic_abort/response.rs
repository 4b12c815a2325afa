//! Sends the response to an invocation from inside the panic hook, where the runtime's async client
//! cannot run.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use serde_json::json;

/// Time limit for each step of the exchange: connect, write and read. The Runtime API is on the
/// same machine, so a longer wait means it is stuck.
const TIMEOUT: Duration = Duration::from_millis(500);
const ACCEPTED: &[u8] = b"HTTP/1.1 202";

/// Reports the messages `failed` as the failures of the batch. Returns `true` if the Runtime API
/// accepted the response.
pub(super) fn send(runtime_api: &str, request_id: &str, failed: &[&str]) -> bool {
    exchange(runtime_api, &request(runtime_api, request_id, failed)).unwrap_or(false)
}

fn request(runtime_api: &str, request_id: &str, failed: &[&str]) -> String {
    let failures = failed.iter().map(|id| json!({"itemIdentifier": id}));
    let body = json!({"batchItemFailures": failures.collect::<Vec<_>>()}).to_string();
    format!(
        "POST /2018-06-01/runtime/invocation/{request_id}/response HTTP/1.1\r\n\
         Host: {runtime_api}\r\n\
         Content-Type: application/json\r\n\
         Content-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn exchange(runtime_api: &str, request: &str) -> io::Result<bool> {
    let mut addresses = runtime_api.to_socket_addrs()?;
    let address = addresses.next().ok_or(io::ErrorKind::NotFound)?;
    let mut connection = TcpStream::connect_timeout(&address, TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    connection.write_all(request.as_bytes())?;
    let mut status = [0; ACCEPTED.len()];
    connection.read_exact(&mut status)?;
    Ok(status == ACCEPTED)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Responds to one request with `status`. Returns the result of `send` and the request.
    fn send_to_server(status: &'static str) -> (bool, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut received = String::new();
            while !received.ends_with("]}") {
                let mut buffer = [0; 512];
                let length = connection.read(&mut buffer).unwrap();
                received.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
            }
            connection.write_all(status.as_bytes()).unwrap();
            received
        });
        let accepted = send(&address, "request-1", &["m-1", "m-2"]);
        (accepted, server.join().unwrap())
    }

    #[test]
    fn the_failures_are_posted_as_the_response() {
        let (accepted, received) =
            send_to_server("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
        assert!(accepted);
        let (head, body) = received.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("POST /2018-06-01/runtime/invocation/request-1/response HTTP/1.1")
        );
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            body,
            json!({"batchItemFailures": [{"itemIdentifier": "m-1"}, {"itemIdentifier": "m-2"}]})
        );
    }

    #[test]
    fn a_rejected_or_undelivered_response_is_not_accepted() {
        assert!(!send_to_server("HTTP/1.1 400 Bad Request\r\n\r\n").0);
        assert!(!send_to_server("").0);
        let unused = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        assert!(!send(&unused.to_string(), "request-1", &[]));
    }
}
