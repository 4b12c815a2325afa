//! Reader that changes a log line by line.

use std::io::{self, BufRead as _, BufReader, Read};

/// Number of bytes per read.
const READ_BYTES: usize = 64 * 1024;

/// A change to the lines of a log.
pub(super) trait LineRewriter {
    /// Limit on the length of a line in bytes. A longer line is passed in parts.
    const MAX_LINE: usize;

    /// Writes the replacement for a line. `line` includes its line break. `is_whole` is false for a
    /// part of a line that is too long.
    fn rewrite(&mut self, line: Vec<u8>, is_whole: bool, out: &mut Vec<u8>);

    /// Writes the remaining text at the end of the log.
    fn finish(&mut self, out: &mut Vec<u8>);
}

/// Reads a log whose lines are changed by a [`LineRewriter`].
pub(super) struct RewriteReader<R, T> {
    input: BufReader<R>,
    rewriter: T,
    /// Output that has not been read yet.
    out: Vec<u8>,
    at: usize,
    /// True inside a line that is too long.
    is_long: bool,
}

impl<R: Read, T: LineRewriter> RewriteReader<R, T> {
    pub(super) fn new(input: R, rewriter: T) -> Self {
        Self {
            input: BufReader::with_capacity(READ_BYTES, input),
            rewriter,
            out: Vec::new(),
            at: 0,
            is_long: false,
        }
    }

    /// Rewrites the next line. Returns false at the end of the log.
    fn rewrite_line(&mut self) -> io::Result<bool> {
        let mut line = Vec::new();
        let mut limited = self.input.by_ref().take(T::MAX_LINE as u64);
        limited.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            self.is_long = false;
            self.rewriter.finish(&mut self.out);
            return Ok(!self.out.is_empty());
        }
        let is_at_end = line.ends_with(b"\n") || line.len() < T::MAX_LINE;
        let is_middle = std::mem::replace(&mut self.is_long, !is_at_end);
        self.rewriter
            .rewrite(line, is_at_end && !is_middle, &mut self.out);
        Ok(true)
    }
}

impl<R: Read, T: LineRewriter> Read for RewriteReader<R, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.out.len() {
            self.out.clear();
            self.at = 0;
            if !self.rewrite_line()? {
                return Ok(0);
            }
            // Short lines are processed together, but only if they are already buffered, so that
            // the reader does not block on a log that is still being written.
            while self.out.len() < READ_BYTES && self.input.buffer().contains(&b'\n') {
                self.rewrite_line()?;
            }
        }
        let length = self.out[self.at..].as_ref().read(buffer)?;
        self.at += length;
        Ok(length)
    }
}
