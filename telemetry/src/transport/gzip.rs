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
/// How much is compressed at a stretch: a millisecond or two, after which others on this thread
/// have their turn, and the deadline is looked at.
const STRETCH: usize = 128 * 1024;
/// What a request is guessed to shrink to.
const USUAL_RATIO: usize = 4;
/// Header and trailer, and something for what cannot be compressed.
const ROOM: usize = 64;

/// A request that is being compressed.
type Compressing = Pin<Box<dyn Future<Output = io::Result<BufList>> + Send>>;

/// The request as one gzip member. On the heap: it would be part of every flush's state, also where
/// nothing is compressed.
pub(super) fn gzip(request: BufList) -> Compressing {
    Box::pin(compressed(request))
}

async fn compressed(mut request: BufList) -> io::Result<BufList> {
    let room = request.remaining() / USUAL_RATIO + ROOM;
    let mut encoder = GzEncoder::new(Vec::with_capacity(room), LEVEL);
    let mut stretch = STRETCH;
    while request.has_remaining() {
        let piece = request.chunk();
        let length = piece.len().min(stretch);
        encoder.write_all(&piece[..length])?;
        request.advance(length);
        stretch -= length;
        if stretch == 0 {
            yield_now().await;
            stretch = STRETCH;
        }
    }
    let mut compressed = BufList::with_capacity(2);
    compressed.push(encoder.finish()?.into());
    Ok(compressed)
}
