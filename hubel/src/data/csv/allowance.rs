//! A reader that limits the length of lines.
use std::io::{Error, Read, Result};

/// The longest line of a table, in bytes: the pixels of a large picture as text.
pub(super) const LONGEST_LINE: u64 = if cfg!(any(test, fuzzing)) {
    1 << 14
} else {
    1 << 24
};

/// Reads from another reader, and fails if no end of a line is reported within the limit.
pub(super) struct Allowance<R> {
    reader: R,
    left: u64,
}

impl<R> Allowance<R> {
    pub(super) fn new(reader: R) -> Self {
        let left = LONGEST_LINE;
        Self { reader, left }
    }

    /// Reports the end of a line; the limit starts again.
    pub(super) fn renew(&mut self) {
        self.left = LONGEST_LINE;
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.left == 0
    }
}

impl<R: Read> Read for Allowance<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let length = self.reader.by_ref().take(self.left).read(buffer)?;
        self.left -= length as u64;
        // Data that is read ahead may be complete lines, so only exceeding the limit is an error.
        if length == 0 && self.is_used_up() && !buffer.is_empty() {
            return Err(Error::other("the line is too long"));
        }
        Ok(length)
    }
}
