//! A reader that stops where a line does not end.
use std::io::{Error, Read, Result};

/// The longest line of a table, in bytes: the pixels of a large picture in digits.
pub(super) const LONGEST_LINE: u64 = if cfg!(any(test, fuzzing)) {
    1 << 14
} else {
    1 << 24
};

/// Passes on what another reader reads, as long as it is told often enough that a line has ended.
pub(super) struct Allowance<R> {
    reader: R,
    left: u64,
}

impl<R> Allowance<R> {
    pub(super) fn new(reader: R) -> Self {
        let left = LONGEST_LINE;
        Self { reader, left }
    }

    /// A line has ended; the next may be as long as the longest.
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
        // What is read ahead may be whole lines, so that only more than is allowed is an error.
        if length == 0 && self.is_used_up() && !buffer.is_empty() {
            return Err(Error::other("the line is too long"));
        }
        Ok(length)
    }
}
