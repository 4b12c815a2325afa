//! Compression of requests.

use std::io::{self, Write as _};
use std::pin::Pin;

use bytes::Buf as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::task::yield_now;

use crate::transport::client::BufList;

/// The fastest level. Telemetry is repetitive: this level compresses three megabytes of spans to
/// 25 %, the default level to 24 % in eight times the time. Setting up the encoder costs about
/// 70 µs, as much as compressing 5 KB, so compression is off by default. The spans of ten records,
/// 3.5 KB, become 1.2 KB; compressing a single span saves little.
const LEVEL: Compression = Compression::fast();
/// Number of bytes compressed between two yields. They take a millisecond or two; then other tasks
/// of the thread can run and the deadline is checked.
const CHUNK_BYTES: usize = 128 * 1024;
/// Estimated compression ratio, for the capacity of the output.
const USUAL_RATIO: usize = 4;
/// Capacity for the gzip header and trailer, and for input that cannot be compressed.
const GZIP_OVERHEAD: usize = 64;

/// The future of [`compress`].
type CompressFuture = Pin<Box<dyn Future<Output = io::Result<BufList>> + Send>>;

/// Compresses the request into one gzip member. The future is boxed, because it would otherwise be
/// part of every flush's state, even without compression.
pub(super) fn compress(request: BufList) -> CompressFuture {
    Box::pin(compress_unboxed(request))
}

async fn compress_unboxed(mut request: BufList) -> io::Result<BufList> {
    let capacity = request.remaining() / USUAL_RATIO + GZIP_OVERHEAD;
    let mut encoder = GzEncoder::new(Vec::with_capacity(capacity), LEVEL);
    let mut budget = CHUNK_BYTES;
    while request.has_remaining() {
        let buffer = request.chunk();
        let length = buffer.len().min(budget);
        encoder.write_all(&buffer[..length])?;
        request.advance(length);
        budget -= length;
        if budget == 0 {
            yield_now().await;
            budget = CHUNK_BYTES;
        }
    }
    let mut compressed = BufList::with_capacity(2);
    compressed.push(encoder.finish()?.into());
    Ok(compressed)
}
