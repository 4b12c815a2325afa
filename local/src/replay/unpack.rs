//! Text of a log that may be compressed or encoded.

use std::io::Read;

use self::base64_reader::Base64Reader;
use self::members::UnpackReader;
use self::yaml::unfold_yaml;

mod base64_reader;
mod context;
mod format;
mod gzip;
mod members;
mod peek_reader;
mod utf16;
mod yaml;

pub(super) use self::context::UnpackContext;
pub(crate) use self::context::UnreadablePart;

/// Returns the text in data that may be compressed, encoded in base64, or folded as YAML. Lines
/// that a container runtime split are not joined.
pub(super) fn unpack(reader: Box<dyn Read>, context: &UnpackContext) -> Box<dyn Read> {
    let unpacked = UnpackReader::new(reader, context.clone());
    Box::new(Base64Reader::new(
        unfold_yaml(unpacked),
        context.clone(),
        unpack,
    ))
}
