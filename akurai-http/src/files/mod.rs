//! Files of a directory.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::codec::date::imf_fixdate;
use crate::codec::media::content_type;
use crate::codec::path::file_segments;
use crate::{Request, Response, Status};

/// One read of a file, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// A directory whose files are served.
#[derive(Debug)]
pub(crate) struct Files {
    root: PathBuf,
}

impl Files {
    pub(crate) fn new(root: &Path) -> Files {
        Files {
            root: root.to_owned(),
        }
    }

    /// Answers `GET` for `path`, which begins behind the directory's prefix and its slash, and is still percent-encoded.
    pub(crate) fn respond(&self, request: &Request, path: &str) -> Response {
        match self.find(path) {
            Ok(Found::File(path)) => {
                Response::file(path).header("X-Content-Type-Options", "nosniff")
            }
            Ok(Found::Directory) => redirect_into(request),
            // Whether a file is missing, hidden or out of bounds is not the client's to know.
            Err(_) => not_found(),
        }
    }

    fn find(&self, path: &str) -> io::Result<Found> {
        let names = file_segments(path).ok_or(io::ErrorKind::NotFound)?;
        let root = fs::canonicalize(&self.root)?;
        let mut wanted = root.clone();
        wanted.extend(names.iter().map(|name| &**name));
        let mut target = fs::canonicalize(&wanted)?;
        if target.is_dir() {
            if !path.ends_with('/') && !path.is_empty() {
                return Ok(Found::Directory);
            }
            target = fs::canonicalize(target.join("index.html"))?;
        } else if path.ends_with('/') {
            return Err(io::ErrorKind::NotFound.into());
        }
        // A symbolic link may lead anywhere; only what is really below the root is served.
        match target.starts_with(&root) {
            true => Ok(Found::File(target)),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

enum Found {
    File(PathBuf),
    /// Asked for without its final slash, so that relative links in its index would go wrong.
    Directory,
}

/// Makes the file at `path` the body of `response`, or answers 404.
pub(crate) fn send(response: Response, path: &Path) -> Response {
    match open(path) {
        Ok((file, metadata)) => with_file(response, path, file, &metadata),
        Err(_) => not_found(),
    }
}

fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Opening a FIFO would wait for its writer, so the name is asked first, and the handle again.
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok((file, metadata)),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}

fn with_file(mut response: Response, path: &Path, file: File, metadata: &Metadata) -> Response {
    let length = metadata.len();
    if response.headers().bytes("Content-Type").is_none() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        response = response.header("Content-Type", content_type(&name));
    }
    let modified = metadata.modified().ok();
    if let Some(since) = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
        response = response.header("Last-Modified", imf_fixdate(since.as_secs()));
    }
    response
        .with_stream(move |out| copy(file, length, out))
        .content_length(length)
}

fn not_found() -> Response {
    Response::plain(Status::NOT_FOUND, "not found")
}

/// Copies exactly `length` bytes: a file that grew meanwhile is cut, one that shrank is an error.
fn copy(file: File, length: u64, out: &mut impl Write) -> io::Result<()> {
    let mut file = file.take(length);
    // On the stack, which goes back to the system with its thread; what is freed on the heap may stay with the process.
    let mut buffer = [0; READ_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            count => out.write_all(&buffer[..count])?,
        }
    }
}

/// To the same path with a slash behind it. Without a host in front, and never with two slashes there: a browser
/// would take `//host/` for another site.
fn redirect_into(request: &Request) -> Response {
    let path = format!("/{}/", request.path().trim_start_matches('/'));
    let location = match request.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    Response::new(Status::MOVED_PERMANENTLY).header("Location", location)
}
