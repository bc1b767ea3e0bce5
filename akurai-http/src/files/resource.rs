//! Content that can be sent, and what distinguishes its versions.

use std::fs::{File, Metadata};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::codec::coding::ContentCoding;

/// A file that changed less than this ago may change again without a new time: systems count time
/// in ticks.
const SETTLED: Duration = Duration::from_secs(2);

/// 1980-01-02, the first day after the date that archives use when they have none; in nanoseconds
/// since 1970.
#[cfg(unix)]
const CONSTANT_TIMES: i128 = 315_619_200 * 1_000_000_000;

/// Room for nearly every entity tag.
const TAG_BYTES: usize = 48;

/// Content that is open for reading.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) content: Content,
    /// In bytes.
    pub(crate) len: u64,
    /// When the file was last changed.
    pub(crate) modified: Option<SystemTime>,
    /// Together with the length, it distinguishes versions.
    version: i128,
    /// The content's coding, if this is a sidecar.
    pub(crate) coding: Option<ContentCoding>,
}

#[derive(Debug)]
pub(crate) enum Content {
    File(File),
    Static(&'static [u8]),
}

impl Resource {
    /// An open file, if it is a regular one: a FIFO has no length, and a device no end.
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

    /// The entity tag of this content (RFC 9110 §8.8.3). It is weak while a further change might
    /// not show in the file's time.
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

    /// Whether the file has changed since it was opened. Embedded content never changes.
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

/// Appends the number's hexadecimal digits. `format!` is slower, and every answer has a tag.
fn push_hex(number: u128, text: &mut String) {
    let digits = (u128::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for at in (0..digits).rev() {
        let digit = (number >> (4 * at)) as usize & 15;
        text.push(char::from(b"0123456789abcdef"[digit]));
    }
}

/// When the file was last changed, in nanoseconds. Build tools set that time to a constant so that
/// the same sources give the same bytes. Then the inode's time, which tools do not set, is mixed
/// in.
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

/// Nanoseconds since 1970; negative before it.
fn nanoseconds(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

/// Seconds since 1970, without the fraction.
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
