//! What a path led to: content that can be sent, and what tells its versions apart.

use std::fs::{File, Metadata};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::codec::coding::{AcceptedCodings, ContentCoding};
use crate::codec::media::Media;
use crate::{Request, Response};

/// A file that was changed a shorter while ago may change again without its time showing it: systems count time in ticks.
const SETTLED: Duration = Duration::from_secs(2);

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
    pub(crate) fn of_file(file: File) -> io::Result<Resource> {
        let metadata = file.metadata()?;
        // A FIFO has no length, and a device no end.
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let modified = metadata.modified().ok();
        Ok(Resource {
            content: Content::File(file),
            len: metadata.len(),
            modified,
            version: modified.map_or(0, nanoseconds),
            coding: None,
        })
    }

    pub(crate) fn of_bytes(bytes: &'static [u8], hash: u64) -> Resource {
        Resource {
            content: Content::Static(bytes),
            len: bytes.len() as u64,
            modified: None,
            version: hash.into(),
            coding: None,
        }
    }

    /// The entity tag of this content (RFC 9110 §8.8.3): weak while the file's time cannot be relied on.
    pub(crate) fn etag(&self, now: SystemTime) -> String {
        let is_settled = match (&self.content, self.modified) {
            (Content::Static(_), _) => true,
            (Content::File(_), None) => false,
            (Content::File(_), Some(modified)) => {
                now.duration_since(modified).is_ok_and(|age| age >= SETTLED)
            }
        };
        let weak = if is_settled { "" } else { "W/" };
        let sign = if self.version < 0 { "-" } else { "" };
        let (dash, coding) = self.coding.map_or(("", ""), |coding| ("-", coding.name()));
        let (len, version) = (self.len, self.version.unsigned_abs());
        format!("{weak}\"{len:x}-{sign}{version:x}{dash}{coding}\"")
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

/// The client refuses content as it is, and there is none in a coding that it accepts.
#[derive(Debug)]
pub(crate) struct NotAcceptable;

/// Whether other codings of the file count: not if it is compressed already, nor if the handler has said which version or
/// coding its bytes are.
pub(crate) fn is_negotiable(response: &Response, media: Media) -> bool {
    let says = |name| response.headers().bytes(name).is_some();
    !media.is_compressed && !says("ETag") && !says("Content-Encoding")
}

/// The variant in a coding that the client prefers to content as it is; `open` gives what lies ready in a coding, by the
/// extension of its name.
pub(crate) fn variant(
    request: &Request,
    response: &Response,
    media: Media,
    open: impl Fn(&str) -> Option<Resource>,
) -> Result<Option<Resource>, NotAcceptable> {
    let accepted = AcceptedCodings::of(request.headers());
    if is_negotiable(response, media) {
        for coding in accepted.preferred() {
            if let Some(mut sidecar) = open(coding.extension()) {
                sidecar.coding = Some(coding);
                return Ok(Some(sidecar));
            }
        }
    }
    match accepted.takes_identity() || response.headers().bytes("Content-Encoding").is_some() {
        true => Ok(None),
        false => Err(NotAcceptable),
    }
}
