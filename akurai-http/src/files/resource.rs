//! What a path led to: content that can be sent, and what tells its versions apart.

use std::fs::{File, Metadata};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::codec::coding::ContentCoding;

/// A file that was changed a shorter while ago may change again without its time showing it: systems count time in ticks.
const SETTLED: Duration = Duration::from_secs(2);

/// 1980-01-02, the first day that no archive uses for want of a date; in nanoseconds since 1970.
#[cfg(unix)]
const CONSTANT_TIMES: i128 = 315_619_200 * 1_000_000_000;

/// Room for nearly every entity tag.
const TAG_BYTES: usize = 48;

/// Content, opened.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) content: Content,
    /// In bytes.
    pub(crate) len: u64,
    /// When a file was changed last.
    pub(crate) modified: Option<SystemTime>,
    /// With the length, tells versions apart.
    version: i128,
    /// What the content is coded in: this is a sidecar.
    pub(crate) coding: Option<ContentCoding>,
}

#[derive(Debug)]
pub(crate) enum Content {
    File(File),
    Static(&'static [u8]),
}

impl Resource {
    /// A file that is open, if it is a regular one: a FIFO has no length, and a device no end.
    pub(crate) fn of_file(file: File, coding: Option<ContentCoding>) -> io::Result<Resource> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Resource {
            content: Content::File(file),
            len: metadata.len(),
            modified: metadata.modified().ok(),
            version: version(&metadata),
            coding,
        })
    }

    pub(crate) fn of_bytes(
        bytes: &'static [u8],
        hash: u64,
        coding: Option<ContentCoding>,
    ) -> Resource {
        Resource {
            content: Content::Static(bytes),
            len: bytes.len() as u64,
            modified: None,
            version: hash.into(),
            coding,
        }
    }

    /// Whether a further change would show in the file's time.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        match (&self.content, self.modified) {
            (Content::Static(_), _) => true,
            (Content::File(_), None) => false,
            (Content::File(_), Some(modified)) => {
                let age = now.duration_since(modified);
                age.is_ok_and(|age| age >= SETTLED)
            }
        }
    }

    /// The entity tag of this content (RFC 9110 §8.8.3): weak while the file's time cannot be relied on.
    pub(crate) fn etag(&self, now: SystemTime) -> String {
        let mut tag = String::with_capacity(TAG_BYTES);
        tag.push_str(if self.is_settled(now) { "\"" } else { "W/\"" });
        push_hex(self.len.into(), &mut tag);
        tag.push_str(if self.version < 0 { "--" } else { "-" });
        push_hex(self.version.unsigned_abs(), &mut tag);
        if let Some(coding) = self.coding {
            tag.push('-');
            tag.push_str(coding.name());
        }
        tag.push('"');
        tag
    }

    /// Whether the file is another than when it was opened; what is part of the program never is.
    pub(crate) fn has_changed(&self) -> bool {
        let is_same = |metadata: &Metadata| {
            metadata.len() == self.len && metadata.modified().ok() == self.modified
        };
        match &self.content {
            Content::Static(_) => false,
            Content::File(file) => !file.metadata().is_ok_and(|metadata| is_same(&metadata)),
        }
    }
}

/// Appends the number's hexadecimal digits. `format!` takes its time, and every answer has a tag.
fn push_hex(number: u128, text: &mut String) {
    let digits = (u128::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for at in (0..digits).rev() {
        let digit = (number >> (4 * at)) as usize & 15;
        text.push(char::from(b"0123456789abcdef"[digit]));
    }
}

/// When the file was changed last, in nanoseconds; where build tools have set that time to a constant so as to build the same
/// bytes from the same sources, mixed with the inode's time, which nobody sets.
fn version(metadata: &Metadata) -> i128 {
    let modified = metadata.modified().map_or(0, nanoseconds);
    #[cfg(unix)]
    if modified < CONSTANT_TIMES {
        use std::os::unix::fs::MetadataExt;
        let changed =
            i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
        return modified ^ changed;
    }
    modified
}

/// Since 1970; before it, below zero.
fn nanoseconds(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

/// In seconds since 1970, a part of one left out.
pub(crate) fn seconds(time: SystemTime) -> i64 {
    nanoseconds(time).div_euclid(1_000_000_000) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits() {
        for number in [0, 1, 15, 16, 0xfedc_ba98_7654_3210, 1 << 64, u128::MAX] {
            let mut text = String::new();
            push_hex(number, &mut text);
            assert_eq!(text, format!("{number:x}"));
        }
    }
}
