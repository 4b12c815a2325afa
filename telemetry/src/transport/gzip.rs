//! Requests made smaller.

use crate::http::Frames;
use bytes::Buf as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write as _};
use tokio::task::yield_now;

/// Telemetry repeats itself: the fastest level leaves little more of it than the default one does, in a third of the time.
const LEVEL: Compression = Compression::fast();
/// How much is compressed at a stretch: about a millisecond's work, after which others on this thread have their turn and the deadline is
/// looked at.
const STRETCH: usize = 128 * 1024;
/// What a request is guessed to shrink to.
const USUAL_RATIO: usize = 4;
/// Header and trailer, and something for what cannot be compressed.
const ROOM: usize = 64;

/// The request as one gzip member.
pub(super) async fn gzip(mut request: Frames) -> io::Result<Frames> {
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
    let mut compressed = Frames::with_capacity(2);
    compressed.push(encoder.finish()?.into());
    Ok(compressed)
}
