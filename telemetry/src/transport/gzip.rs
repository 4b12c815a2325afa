//! Requests made smaller.

use std::io::{self, Write as _};
use std::pin::Pin;

use bytes::Buf as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::task::yield_now;

use crate::transport::client::BufList;

/// Telemetry repeats itself: the fastest level leaves little more of it than the default one does
/// (25 % of three megabytes of spans against 24 %), in an eighth of the time. Setting up costs what
/// 5 KB do, some 70 µs, which is why nothing is compressed unless it is asked for; ten records'
/// spans, 3.5 KB, become 1.2 KB, and a single span is hardly worth it.
const LEVEL: Compression = Compression::fast();
/// How much is compressed at a time: a millisecond or two, after which others on this thread
/// have their turn, and the deadline is looked at.
const CHUNK_BYTES: usize = 128 * 1024;
/// What a request is guessed to shrink to.
const USUAL_RATIO: usize = 4;
/// Header and trailer, and something for what cannot be compressed.
const GZIP_OVERHEAD: usize = 64;

/// A request that is being compressed.
type CompressFuture = Pin<Box<dyn Future<Output = io::Result<BufList>> + Send>>;

/// The request as one gzip member. On the heap: it would be part of every flush's state, also where
/// nothing is compressed.
pub(super) fn compress(request: BufList) -> CompressFuture {
    Box::pin(compress_unboxed(request))
}

async fn compress_unboxed(mut request: BufList) -> io::Result<BufList> {
    let capacity = request.remaining() / USUAL_RATIO + GZIP_OVERHEAD;
    let mut encoder = GzEncoder::new(Vec::with_capacity(capacity), LEVEL);
    let mut budget = CHUNK_BYTES;
    while request.has_remaining() {
        let piece = request.chunk();
        let length = piece.len().min(budget);
        encoder.write_all(&piece[..length])?;
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
