//! `CONNECT` tunnels through an HTTP proxy.

use std::io;

use tokio::net::TcpStream;

use super::RequestError;
use super::response::{self, MAX_RESPONSE};
use crate::config::{Endpoint, Proxy};

/// Limit on the head of a proxy's response, well above the usual size.
const READ_BYTES: usize = 512;

/// Requests a connection to the endpoint from the proxy. The connection is then a tunnel to the
/// endpoint.
pub(super) async fn open(
    tcp: &TcpStream,
    proxy: &Proxy,
    endpoint: &Endpoint,
) -> Result<(), RequestError> {
    write(tcp, &request(proxy, endpoint))
        .await
        .map_err(RequestError::Broken)?;
    let malformed = || RequestError::ProxyMalformed(proxy.endpoint.authority());
    let mut received = Vec::new();
    loop {
        if read(tcp, &mut received)
            .await
            .map_err(RequestError::Broken)?
            == 0
        {
            let end = io::ErrorKind::UnexpectedEof.into();
            return Err(RequestError::Broken(end));
        }
        let response = response::status(&received).map_err(|_| malformed())?;
        match response {
            // The endpoint sends nothing before the client does, so extra bytes are an error.
            Some((status, [])) if status.is_success() => return Ok(()),
            Some((status, _)) if status.is_success() => return Err(malformed()),
            Some((status, _)) => {
                let proxy = proxy.endpoint.authority();
                return Err(RequestError::ProxyRejected(proxy, status));
            }
            None if received.len() > MAX_RESPONSE => return Err(malformed()),
            None => {}
        }
    }
}

fn request(proxy: &Proxy, endpoint: &Endpoint) -> Vec<u8> {
    let authority = endpoint.authority();
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"proxy-authorization: ");
        request.extend_from_slice(authorization);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

async fn write(tcp: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        tcp.writable().await?;
        match tcp.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns the number of bytes read; 0 at the end of the connection.
async fn read(tcp: &TcpStream, received: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        tcp.readable().await?;
        let mut bytes = [0; READ_BYTES];
        match tcp.try_read(&mut bytes) {
            Ok(length) => {
                received.extend_from_slice(&bytes[..length]);
                return Ok(length);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
