//! Static files: from a path to the response that the request's conditions and ranges ask for.
//!
//! ```text
//! path ─ codec::path ─► names ─► Source (dir, embedded) ─► Resource ─► variant (sidecars) ─► answer ─► Response
//!                          │                                            codec::coding      codec::conditional
//!                          └─ fallback, listing, redirect                                   codec::range
//! ```

mod answer;
mod dir;
mod embedded;
mod resource;
mod transfer;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::codec::coding::accepts_html;
use crate::codec::disposition::attachment;
use crate::codec::listing;
use crate::codec::media::{self, Media};
use crate::codec::path::{file_segments, percent_decode};
use crate::error::HeaderError;
use crate::response::Body;
use crate::{Headers, Reply, Request, Response, Status};
use answer::answer;
use dir::Dir;
use embedded::Embedded;
use resource::{NotAcceptable, Resource, variant};

/// What a file may be kept for whose name changes with its content (RFC 8246): a year.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Most entries of a directory that its listing shows.
const LISTED_ENTRIES: usize = 10_000;

/// A tree of files to serve, for [`Router::files`](crate::Router::files): a directory, or files in the program itself.
///
/// A request gets what RFC 9110 promises: validators (`ETag`, `Last-Modified`) and the conditions that go with them (§13),
/// ranges of bytes, one or several (§14), `HEAD`, and a media type by the file's name. Where a file has a sibling of the same
/// name with `.br`, `.zst` or `.gz` behind it that is not older, a client that accepts that coding gets the sibling's bytes
/// (§12.5.3); types that are compressed already (images, video, archives) are not looked up.
///
/// What the path names is opened, and only what really lies below the directory is sent: `..`, a symbolic link that leads
/// out, a hidden file (but for `/.well-known`, RFC 8615), a name that some system reads as more than a name, or anything that is
/// no regular file gets 404, the same as a file that is not there. A directory gets its `index.html`; without its final slash,
/// 301 to the path with it.
///
/// Large files are sent in pieces of 256 KiB. A file that changes meanwhile ends the connection, so that nobody takes the
/// mixture for a whole.
///
/// ```
/// use akurai_http::{Files, Router};
///
/// let site = Files::dir("/srv/site")
///     .fallback("index.html")
///     .cache_control("no-cache")
///     .immutable(Files::is_hashed);
/// let router = Router::new().files("/", site).files("/downloads", "/srv/downloads");
/// # let _ = router;
/// ```
pub struct Files {
    source: Source,
    fields: Vec<(String, String)>,
    cache_control: Option<String>,
    immutable: Option<Predicate>,
    fallback: Option<String>,
    listing: bool,
    attachments: bool,
}

type Predicate = Box<dyn Fn(&str) -> bool + Send + Sync>;

enum Source {
    Dir(Dir),
    Embedded(Embedded),
}

/// What a path leads to.
enum Found {
    File(Resource),
    Directory,
}

impl Files {
    /// The files below `root`.
    ///
    /// It may be replaced while the server runs, a symbolic link to the current release for example. One that is missing
    /// answers 404 until it is there.
    pub fn dir(root: impl Into<PathBuf>) -> Files {
        Files::of(Source::Dir(Dir::new(root.into())))
    }

    /// Files that are part of the program, each with its path below the prefix. Their entity tags come from their content; they
    /// have no date. A sidecar is one more file: `app.js.gz`.
    ///
    /// ```
    /// use akurai_http::{Files, Request, Router};
    ///
    /// static PAGE: &[(&str, &[u8])] = &[
    ///     ("index.html", b"<!doctype html><script src=app.js></script>"), // or include_bytes!("../web/index.html")
    ///     ("app.js", b"document.title = 'hello';"),
    /// ];
    /// let router = Router::new().files("/", Files::embedded(PAGE));
    /// let reply = router.handle(&Request::get("/app.js"));
    /// assert_eq!(reply.response().headers().get("Content-Type"), Some("text/javascript; charset=utf-8"));
    /// ```
    ///
    /// # Panics
    ///
    /// If a path could never be asked for (it begins with a slash, or holds `..` or a hidden name) or occurs twice.
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
        }
    }

    /// The value of `Cache-Control` for every file (RFC 9111 §5.2). Default: no such field, so that browsers guess from the
    /// file's age; `no-cache` has them ask each time, which costs a 304.
    ///
    /// # Panics
    ///
    /// If the value is malformed.
    #[track_caller]
    pub fn cache_control(mut self, value: &str) -> Files {
        check_field("Cache-Control", value);
        self.cache_control = Some(value.to_owned());
        self
    }

    /// Lets browsers keep the files for a year, unasked, whose path below the prefix `is_immutable` accepts: those whose
    /// names change with their content. Instead of [`cache_control`](Files::cache_control) they get `public, max-age=31536000,
    /// immutable` (RFC 8246).
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

    /// Whether the name at the end of this path holds a hash of the file's content, as bundlers write it: for
    /// [`immutable`](Files::immutable).
    ///
    /// That is a part before the extension and behind a `-` or `.`, either of 8 or more hexadecimal digits with letters and
    /// numerals among them, or of exactly 8 characters of the base64url alphabet with a capital, a small letter and a numeral.
    /// A hash that happens to have no numeral is not seen, and a date is none.
    ///
    /// ```
    /// use akurai_http::Files;
    ///
    /// assert!(Files::is_hashed("assets/app.3f2a9c1b.js") && Files::is_hashed("index-BxYz12_3.css"));
    /// assert!(!Files::is_hashed("index.html") && !Files::is_hashed("report-20261125.pdf"));
    /// ```
    pub fn is_hashed(path: &str) -> bool {
        media::is_hashed(path)
    }

    /// The file that answers where nothing else is found, for an application whose paths are the page's own to read: 200 with
    /// `Cache-Control: no-cache`.
    ///
    /// Only for a request by `GET` or `HEAD` whose `Accept` names `text/html` and whose path has no extension, so that a script
    /// or picture that is missing stays 404.
    ///
    /// # Panics
    ///
    /// If `path`, below the tree's root, could never be asked for.
    #[track_caller]
    pub fn fallback(mut self, path: &str) -> Files {
        embedded::check_path(path);
        self.fallback = Some(path.to_owned());
        self
    }

    /// Shows the entries of a directory without `index.html` as a page: names, sizes, times. Default: 404.
    ///
    /// At most 10,000 entries, directories first and then by name. Those that could not be asked for are left out.
    pub fn listing(mut self) -> Files {
        self.listing = true;
        self
    }

    /// Has browsers save every file under its name instead of showing it (`Content-Disposition: attachment`, RFC 6266): for
    /// what others have uploaded.
    pub fn attachments(mut self) -> Files {
        self.attachments = true;
        self
    }

    /// Adds a field to every response that carries a file, or says that it did not change.
    ///
    /// # Panics
    ///
    /// If it is malformed, or `Content-Length` or `Transfer-Encoding`, which are the server's.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Files {
        check_field(name, value);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Answers `GET` and `HEAD` for `path`, which begins behind the tree's prefix and its slash, and is still percent-encoded.
    pub(crate) fn respond(&self, request: &Request, path: &str) -> Response {
        // Whether a file is missing, hidden or out of bounds is not the client's to know.
        let Some(names) = file_segments(path) else {
            return not_found();
        };
        let path_below = names.join("/");
        let has_slash = path.is_empty() || path.ends_with('/');
        match (self.find(&path_below), has_slash) {
            (Some(Found::File(file)), false) => self.send(
                request,
                &path_below,
                file,
                self.cache_control_of(&path_below),
            ),
            (Some(Found::Directory), false) if self.holds_directory(&path_below) => {
                redirect_to_directory(request)
            }
            (Some(Found::Directory), true) => self.directory(request, &path_below),
            _ => self.fall_back(request, &path_below),
        }
    }

    fn find(&self, path: &str) -> Option<Found> {
        match &self.source {
            Source::Dir(dir) => dir.find(path),
            Source::Embedded(embedded) => embedded.find(path),
        }
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
        if let Some(Found::File(file)) = self.find(&index) {
            return self.send(request, &index, file, self.cache_control_of(&index));
        }
        if self.listing {
            if let Some(response) = self.list(request, path) {
                return response;
            }
        }
        self.fall_back(request, path)
    }

    fn list(&self, request: &Request, path: &str) -> Option<Response> {
        let (entries, left_out) = match &self.source {
            Source::Dir(dir) => dir.list(path, LISTED_ENTRIES)?,
            Source::Embedded(embedded) => embedded.list(path, LISTED_ENTRIES),
        };
        let title = percent_decode(request.path()).unwrap_or_default();
        let page = listing::page(&title, entries, left_out, !path.is_empty());
        Some(
            Response::html(page)
                .header("Cache-Control", "no-cache")
                .header("X-Content-Type-Options", "nosniff")
                .header(
                    "Content-Security-Policy",
                    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
                ),
        )
    }

    fn fall_back(&self, request: &Request, path: &str) -> Response {
        let last = path.rsplit('/').next().unwrap_or(path);
        match &self.fallback {
            Some(fallback) if !last.contains('.') && accepts_html(request.headers()) => {
                match self.find(fallback) {
                    Some(Found::File(file)) => self.send(request, fallback, file, Some("no-cache")),
                    _ => not_found(),
                }
            }
            _ => not_found(),
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
        file: Resource,
        cache_control: Option<&str>,
    ) -> Response {
        let mut response = Response::new(Status::OK);
        let own = self
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(cache_control.map(|value| ("Cache-Control", value))) {
            add(&mut response, name, value);
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        if self.attachments {
            add(&mut response, "Content-Disposition", &attachment(name));
        }
        let open = |extension: &str| match &self.source {
            Source::Dir(dir) => dir.sidecar(path, extension, &file),
            Source::Embedded(embedded) => embedded.sidecar(path, extension),
        };
        let media = Media::of(name);
        match variant(request, &response, media, open) {
            Ok(Some(sidecar)) => answer(request, response, media, sidecar),
            Ok(None) => answer(request, response, media, file),
            Err(NotAcceptable) => not_acceptable(),
        }
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

/// Makes a file that a handler named the answer to its request; any other reply stays as it is.
pub(crate) fn settle(request: &Request, reply: Reply) -> Reply {
    match reply {
        Reply::Response(response) => Reply::Response(settle_response(request, response)),
        upgrade => upgrade,
    }
}

/// As [`settle`], for a response.
pub(crate) fn settle_response(request: &Request, mut response: Response) -> Response {
    let Body::File(path) = &mut response.body else {
        return response;
    };
    let path = std::mem::take(path);
    response.body = Body::Bytes(Vec::new());
    let Some(file) = dir::open_regular(&path) else {
        return not_found();
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let media = Media::of(&name);
    let open = |extension: &str| dir::open_sidecar(&path, extension, &file);
    match variant(request, &response, media, open) {
        Ok(Some(sidecar)) => answer(request, response, media, sidecar),
        Ok(None) => answer(request, response, media, file),
        Err(NotAcceptable) => not_acceptable(),
    }
}

/// To the same path with a slash behind it. Without a host in front, and never with two slashes there: a browser
/// would take `//host/` for another site.
pub(crate) fn redirect_to_directory(request: &Request) -> Response {
    let path = format!("/{}/", request.path().trim_start_matches('/'));
    let location = match request.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    Response::new(Status::MOVED_PERMANENTLY).header("Location", location)
}

fn not_found() -> Response {
    Response::plain(Status::NOT_FOUND, "not found")
}

fn not_acceptable() -> Response {
    Response::plain(
        Status::NOT_ACCEPTABLE,
        "no coding of this file is acceptable",
    )
    .header("Vary", "Accept-Encoding")
}

#[track_caller]
fn check_field(name: &str, value: &str) {
    let framing = ["Content-Length", "Transfer-Encoding"];
    let is_framing = framing.iter().any(|known| known.eq_ignore_ascii_case(name));
    let checked = match is_framing {
        true => Err(HeaderError::Framing),
        false => Headers::default().append(name.as_bytes(), value.as_bytes()),
    };
    if let Err(error) = checked {
        panic!("header {name:?}: {error}");
    }
}

/// Adds a field that was checked, or that we made.
fn add(response: &mut Response, name: &str, value: &str) {
    response
        .add_header(name, value.as_bytes())
        .expect("the field was checked when it was set");
}
