//! Static files: from a path to the response that the request's conditions and ranges ask for.
//!
//! ```text
//! path ─ codec::path ─► names ─► Source (dir, embedded) ─► Resource ─► answer ─► Response
//!                          │            │                           │
//!                          │       codec::media,            codec::conditional,
//!                          │       codec::coding            codec::range
//!                          └─ fallback, listing, redirect
//! ```

mod answer;
mod dir;
mod embedded;
mod resource;
mod single;
mod transfer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::codec::coding::{AcceptedCodings, accepts_html};
use crate::codec::disposition::attachment;
use crate::codec::listing;
use crate::codec::media::Media;
use crate::codec::path::{FilePath, percent_decode};
use crate::{Headers, Request, Response, Status};
use answer::{is_attachment, with_resource};
use dir::Dir;
use embedded::Embedded;
use resource::Resource;

/// `Cache-Control` of a file whose name changes with its content (RFC 8246): a year.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Most entries of a directory that its listing shows.
const LISTED_ENTRIES: usize = 10_000;

/// A tree of files to serve, for [`Router::files`](crate::Router::files): a directory, or files in
/// the program itself.
///
/// Responses follow RFC 9110: validators (`ETag`, `Last-Modified`) and the conditions that use them
/// (§13), ranges of bytes, one or several (§14), `HEAD`, and a media type by the file's name. A
/// file may have a sidecar: a sibling with the same name and `.br`, `.zst` or `.gz` appended. If
/// the sidecar is not older, a client that accepts its coding gets the sidecar's bytes (§12.5.3).
/// For files that are compressed already (most pictures, video, archives), no sidecar is looked up.
/// [`without_sidecars`](Files::without_sidecars) switches that off.
///
/// Only files whose real path lies below the directory are sent. The answer is 404, as for a file
/// that does not exist, for: `..`, a symbolic link that leads out, a hidden file (except
/// `/.well-known`, RFC 8615), a name that some system reads as more than a name, and anything that
/// is not a regular file. A directory is answered with its `index.html`; without the final slash,
/// with 301 to the path with a slash. Segments of one dot are ignored (RFC 3986 §5.2.4).
///
/// Files are sent in pieces of 256 KiB. If a file's length or time changes meanwhile, the server
/// closes the connection, so that no client takes a mixture of versions for the whole file. A file
/// that is replaced or deleted meanwhile is sent as it was. So deploy by renaming. If a file cannot
/// be read at the moment, for example because no descriptor is free, the answer is 503 and not 404.
///
/// An entity tag is made of the file's length and time. If that time is before 1980-01-02, it is
/// probably a constant that a build tool set, so the inode's time goes in too. The tag is weak
/// until the file's time is 2 s in the past.
///
/// ```
/// use akurai_http::{Files, Router};
///
/// let site = Files::dir("/srv/site")
///     .fallback("index.html")
///     .cache_control("no-cache")
///     .immutable(|path| path.starts_with("assets/"));
/// let router = Router::new().files("/", site).files("/downloads", "/srv/downloads");
/// # let _ = router;
/// ```
#[must_use = "files are not served until `Router::files` gets them"]
pub struct Files {
    source: Source,
    fields: Vec<(String, String)>,
    cache_control: Option<String>,
    immutable: Option<Predicate>,
    fallback: Option<String>,
    listing: bool,
    attachments: bool,
    sidecars: bool,
}

type Predicate = Box<dyn Fn(&str) -> bool + Send + Sync>;

enum Source {
    Dir(Dir),
    Embedded(Embedded),
}

/// The file or directory that a path leads to.
enum Found {
    File(Resource),
    Directory,
}

impl Files {
    /// The files below `root`.
    ///
    /// The root may be replaced while the server runs, for example if it is a symbolic link to the
    /// current release. While it is missing, the answer is 404.
    pub fn dir(root: impl Into<PathBuf>) -> Files {
        Files::of(Source::Dir(Dir::new(root.into())))
    }

    /// Files that are part of the program, each with its path below the prefix. Their entity tags
    /// are computed from their content, and they have no date. A sidecar is one more file:
    /// `app.js.gz`.
    ///
    /// ```
    /// use akurai_http::{Files, Method, Request, Router};
    ///
    /// static PAGE: &[(&str, &[u8])] = &[
    ///     ("index.html", b"<!doctype html><script src=app.js></script>"), // or include_bytes!("../web/index.html")
    ///     ("app.js", b"document.title = 'hello';"),
    /// ];
    /// let router = Router::new().files("/", Files::embedded(PAGE));
    /// let reply = router.handle(&Request::new(Method::Get, "/app.js"));
    /// assert_eq!(reply.response().headers().get("Content-Type"), Some("text/javascript; charset=utf-8"));
    /// ```
    ///
    /// # Panics
    ///
    /// If no request could ask for a path (it begins with a slash, or has `..` or a hidden name),
    /// or if a path occurs twice.
    #[track_caller]
    pub fn embedded(files: &'static [(&'static str, &'static [u8])]) -> Files {
        Files::of(Source::Embedded(Embedded::new(files)))
    }

    fn of(source: Source) -> Files {
        Files {
            source,
            fields: Vec::new(),
            cache_control: None,
            immutable: None,
            fallback: None,
            listing: false,
            attachments: false,
            sidecars: true,
        }
    }

    /// The value of `Cache-Control` for every file (RFC 9111 §5.2). Default: no such field, so that
    /// browsers guess from the file's age. With `no-cache`, browsers ask each time, and an
    /// unchanged file costs a 304.
    ///
    /// # Panics
    ///
    /// If the value is malformed.
    #[track_caller]
    pub fn cache_control(mut self, value: &str) -> Files {
        check_value("Cache-Control", value);
        self.cache_control = Some(value.to_owned());
        self
    }

    /// Lets browsers keep some files for a year without asking again: the files whose path below
    /// the prefix `is_immutable` accepts. Their names should contain a hash of their content, as
    /// bundlers write them. Instead of [`cache_control`](Files::cache_control) they get
    /// `public, max-age=31536000, immutable` (RFC 8246), or `no-cache` while they are younger than
    /// 2 s and may still be written.
    ///
    /// ```
    /// use akurai_http::Files;
    ///
    /// let files = Files::dir("dist").immutable(|path| path.starts_with("assets/"));
    /// # let _ = files;
    /// ```
    pub fn immutable(
        mut self,
        is_immutable: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Files {
        self.immutable = Some(Box::new(is_immutable));
        self
    }

    /// The file to send where no other is found, with 200 and `Cache-Control: no-cache`. For an
    /// application in the browser that interprets its paths itself.
    ///
    /// It only answers `GET` and `HEAD` whose `Accept` names `text/html` and whose path has no
    /// extension, so that a missing script or picture stays 404. Since the answer depends on
    /// `Accept`, `Vary` says so, also on that 404. A path that cannot name a file on some system is
    /// always 404: one with an empty or hidden segment, with `:`, `\` or an encoded `/`, with a dot
    /// or space at a segment's end, or with a device's name, such as `con`.
    ///
    /// # Panics
    ///
    /// If no request could ask for `path` below the tree's root.
    #[track_caller]
    pub fn fallback(mut self, path: &str) -> Files {
        embedded::check_path(path);
        self.fallback = Some(path.to_owned());
        self
    }

    /// Shows the entries of a directory without `index.html` as a page: names, sizes, times.
    /// Default: 404.
    ///
    /// Directories come first, then files, each by name. Of more than 10,000 entries, the page
    /// shows those that the system lists first. Entries that no request could ask for are left out.
    pub fn listing(mut self) -> Files {
        self.listing = true;
        self
    }

    /// Makes browsers save every file under its name instead of showing it
    /// (`Content-Disposition: attachment`, RFC 6266): for files that users have uploaded. It
    /// includes [`without_sidecars`](Files::without_sidecars), since otherwise an uploaded
    /// `x.html.gz` would be sent in the place of `x.html`.
    pub fn attachments(mut self) -> Files {
        self.attachments = true;
        self.without_sidecars()
    }

    /// Sends every file as it is, even if a sibling has its name with `.br`, `.zst` or `.gz`
    /// appended. Default: such a sibling that is not older is sent to a client that accepts its
    /// coding.
    ///
    /// Use it for directories in which users choose the names of files.
    pub fn without_sidecars(mut self) -> Files {
        self.sidecars = false;
        self
    }

    /// Adds a field to every response about an existing file: with the whole file or a part of it,
    /// and 304, 412 and 416. `Content-Disposition: attachment` switches sidecars off, as
    /// [`attachments`](Files::attachments) does.
    ///
    /// # Panics
    ///
    /// If the field is malformed, differs from file to file (`ETag`, `Last-Modified`,
    /// `Content-Type`, `Content-Length` …), or is `Cache-Control`: use
    /// [`cache_control`](Files::cache_control) for that.
    #[track_caller]
    pub fn with_header(mut self, name: &str, value: &str) -> Files {
        check_field(name, value);
        if name.eq_ignore_ascii_case("Content-Disposition") && is_attachment(value.as_bytes()) {
            self.sidecars = false;
        }
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Answers `GET` and `HEAD` for `path`. It begins after the tree's prefix and its slash, and is
    /// still percent-encoded.
    pub(crate) fn respond(&self, request: &Request, path: &str) -> Response {
        // The prefix without its slash: links in its index are relative to the directory.
        if path.is_empty() && !request.path().ends_with('/') {
            return redirect_to_directory(request);
        }
        // A client must not learn whether a file is missing, hidden or out of bounds.
        let Some(FilePath { names, has_slash }) = FilePath::parse(path) else {
            return not_found();
        };
        let below = names.join("/");
        let media = Media::of(&below);
        let found = match self.find(request, &below, media) {
            Ok(Some(Found::Directory)) if has_slash => return self.directory(request, &below),
            Ok(Some(Found::Directory)) if self.holds_directory(&below) => {
                return redirect_to_directory(request);
            }
            Ok(Some(Found::File(file))) if !has_slash => Ok(Some(file)),
            Ok(_) => Ok(None),
            Err(error) => Err(error),
        };
        self.respond_with(request, &below, media, found)
    }

    fn find(&self, request: &Request, path: &str, media: Media) -> io::Result<Option<Found>> {
        let codings = AcceptedCodings::of(request.headers());
        let codings = codings.preferred().filter(|_| self.is_negotiable(media));
        match &self.source {
            Source::Dir(dir) => dir.find(path, codings),
            Source::Embedded(embedded) => Ok(embedded.find(path, codings)),
        }
    }

    fn is_negotiable(&self, media: Media) -> bool {
        self.sidecars && !media.is_compressed
    }

    fn holds_directory(&self, path: &str) -> bool {
        match &self.source {
            Source::Dir(dir) => dir.holds_directory(path),
            Source::Embedded(_) => true,
        }
    }

    fn directory(&self, request: &Request, path: &str) -> Response {
        let index = match path {
            "" => "index.html".to_owned(),
            path => format!("{path}/index.html"),
        };
        let media = Media::of(&index);
        let found = match self.find(request, &index, media) {
            Ok(Some(Found::File(file))) => Ok(Some(file)),
            Ok(_) => match self.list(request, path) {
                Some(response) => return response,
                None => Ok(None),
            },
            Err(error) => Err(error),
        };
        self.respond_with(request, &index, media, found)
    }

    /// Answers with the file at `path`, or with the answer for its absence.
    fn respond_with(
        &self,
        request: &Request,
        path: &str,
        media: Media,
        found: io::Result<Option<Resource>>,
    ) -> Response {
        match found {
            Ok(Some(file)) => {
                let cache_control = self.cache_control_of(path);
                self.send(request, path, media, file, cache_control)
            }
            Ok(None) => self.fall_back(request),
            Err(_) => unavailable(),
        }
    }

    fn list(&self, request: &Request, path: &str) -> Option<Response> {
        if !self.listing {
            return None;
        }
        let (entries, is_whole) = match &self.source {
            Source::Dir(dir) => dir.list(path, LISTED_ENTRIES)?,
            Source::Embedded(embedded) => embedded.list(path, LISTED_ENTRIES),
        };
        let title = percent_decode(request.path()).unwrap_or_default();
        let page = listing::page(&title, entries, is_whole, !path.is_empty());
        Some(
            Response::html(page)
                .with_header("Cache-Control", "no-cache")
                .with_header("X-Content-Type-Options", "nosniff")
                .with_header(
                    "Content-Security-Policy",
                    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
                ),
        )
    }

    fn fall_back(&self, request: &Request) -> Response {
        let last = request.path().trim_end_matches('/').rsplit('/').next();
        let has_extension = last.is_some_and(|last| last.contains('.'));
        let Some(fallback) = self.fallback.as_deref().filter(|_| !has_extension) else {
            return not_found();
        };
        let is_html = accepts_html(request.headers());
        let media = Media::of(fallback);
        match self.find(request, fallback, media) {
            Ok(Some(Found::File(file))) if is_html => self
                .send(request, fallback, media, file, Some("no-cache"))
                .with_header("Vary", "Accept"),
            Ok(_) => not_found()
                .with_header("Vary", "Accept")
                .with_header("Cache-Control", "no-cache"),
            Err(_) => unavailable(),
        }
    }

    fn cache_control_of(&self, path: &str) -> Option<&str> {
        match &self.immutable {
            Some(is_immutable) if is_immutable(path) => Some(IMMUTABLE),
            _ => self.cache_control.as_deref(),
        }
    }

    fn send(
        &self,
        request: &Request,
        path: &str,
        media: Media,
        file: Resource,
        cache_control: Option<&str>,
    ) -> Response {
        let mut response = Response::new(Status::OK);
        for (name, value) in &self.fields {
            add(&mut response, name, value);
        }
        // Browsers must not keep a file for a year that is still being written.
        let cache_control = match cache_control {
            Some(IMMUTABLE) if !file.is_settled(SystemTime::now()) => Some("no-cache"),
            other => other,
        };
        if let Some(value) = cache_control {
            add(&mut response, "Cache-Control", value);
        }
        if self.attachments {
            let name = path.rsplit('/').next().unwrap_or(path);
            add(&mut response, "Content-Disposition", &attachment(name));
        }
        with_resource(request, response, media, file, self.is_negotiable(media))
    }
}

impl<P: AsRef<Path>> From<P> for Files {
    /// [`Files::dir`].
    fn from(root: P) -> Files {
        Files::dir(root.as_ref())
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::Dir(dir) => dir.root().display().to_string(),
            Source::Embedded(_) => "embedded".to_owned(),
        };
        f.debug_tuple("Files").field(&source).finish()
    }
}

/// Redirects to the same path with a slash after it and without segments of one dot. The location
/// has no host, and never begins with two slashes: a browser would take `//host/` for another site.
pub(crate) fn redirect_to_directory(request: &Request) -> Response {
    let is_dot = |segment: &&str| matches!(*segment, "." | "%2e" | "%2E");
    let segments = request.path().split('/').filter(|segment| !is_dot(segment));
    let path = segments.collect::<Vec<_>>().join("/");
    let path = format!("/{}/", path.trim_start_matches('/'));
    let location = match request.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    Response::redirect(Status::MOVED_PERMANENTLY, location)
}

fn not_found() -> Response {
    Response::plain(Status::NOT_FOUND, "not found")
}

/// The system could not tell what is there, or could not read it. No cache may keep this answer.
fn unavailable() -> Response {
    Response::plain(
        Status::SERVICE_UNAVAILABLE,
        "the file cannot be read at the moment",
    )
    .with_header("Cache-Control", "no-store")
    .with_header("Retry-After", "1")
}

#[track_caller]
fn check_field(name: &str, value: &str) {
    const NOT_FOR_ALL: [&str; 9] = [
        "Accept-Ranges",
        "Cache-Control",
        "Content-Encoding",
        "Content-Length",
        "Content-Range",
        "Content-Type",
        "ETag",
        "Last-Modified",
        "Transfer-Encoding",
    ];
    let is_known = |known: &&str| known.eq_ignore_ascii_case(name);
    assert!(
        !NOT_FOR_ALL.iter().any(is_known),
        "header {name:?} is no field that all files have alike"
    );
    check_value(name, value);
}

#[track_caller]
fn check_value(name: &str, value: &str) {
    if let Err(error) = Headers::default().append(name.as_bytes(), value.as_bytes()) {
        panic!("header {name:?}: {error}");
    }
}

/// Adds a field that was checked before, or that this module made.
fn add(response: &mut Response, name: &str, value: &str) {
    response
        .headers_mut()
        .append(name, value.as_bytes())
        .expect("the field was checked when it was set");
}
