//! Static files: from a path to the response that the request's conditions and ranges ask for.
//!
//! ```text
//! path ─ codec::path ─► names ─► Source (dir, embedded) ─► Resource ─► answer ─► Response
//!                          │     codec::media, codec::coding            codec::conditional, codec::range
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
pub(crate) use single::{settle, settle_response};

/// What a file may be kept for whose name changes with its content (RFC 8246): a year.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Most entries of a directory that its listing shows.
const LISTED_ENTRIES: usize = 10_000;

/// A tree of files to serve, for [`Router::files`](crate::Router::files): a directory, or files in the program itself.
///
/// A request gets what RFC 9110 promises: validators (`ETag`, `Last-Modified`) and the conditions that go with them (§13),
/// ranges of bytes, one or several (§14), `HEAD`, and a media type by the file's name. Where a file has a sibling of the same
/// name with `.br`, `.zst` or `.gz` behind it that is not older, a client that accepts that coding gets the sibling's bytes
/// (§12.5.3); what is compressed already (most pictures, video, archives) is not looked up.
/// [`without_sidecars`](Files::without_sidecars) switches that off.
///
/// What the path names is opened, and only what really lies below the directory is sent: `..`, a symbolic link that leads
/// out, a hidden file (but for `/.well-known`, RFC 8615), a name that some system reads as more than a name, or anything that is
/// no regular file gets 404, the same as a file that is not there. A directory gets its `index.html`; without its final slash,
/// 301 to the path with it.
/// Segments of one dot count for nothing (RFC 3986 §5.2.4).
///
/// Files are sent in pieces of 256 KiB. One that changes meanwhile, in length or time, ends the connection, so that nobody
/// takes the mixture for a whole; one that is replaced or deleted is sent as it was. So deploy by renaming. A file that cannot be
/// read at the moment, for want of descriptors for example, is 503 and not 404.
///
/// An entity tag is made of the file's length and time (and of its inode's, should the time be one that build tools set:
/// before 1980), and weak until that time lies 2 s back.
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
            sidecars: true,
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
        check_value("Cache-Control", value);
        self.cache_control = Some(value.to_owned());
        self
    }

    /// Lets browsers keep the files for a year, unasked, whose path below the prefix `is_immutable` accepts: those whose
    /// names hold a hash of their content, as bundlers write them. Instead of [`cache_control`](Files::cache_control) they get
    /// `public, max-age=31536000, immutable` (RFC 8246), or `no-cache` while they are younger than 2 s and may still be written.
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

    /// The file that answers where nothing else is found, for an application whose paths are the page's own to read: 200 with
    /// `Cache-Control: no-cache`.
    ///
    /// Only for a request by `GET` or `HEAD` whose `Accept` names `text/html` and whose path has no extension, so that a script
    /// or picture that is missing stays 404. Since it depends on `Accept`, `Vary` says so, on that 404 too. A path that names no
    /// file on some system is 404 as well, fallback or not: one with an empty or hidden segment, with `:`, `\` or an encoded `/`
    /// in it, with a dot or space at a segment's end, or with a device's name, such as `con`.
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
    /// Directories first and then by name; of more than 10,000 entries, those that the system names first. Entries that could not
    /// be asked for are left out.
    pub fn listing(mut self) -> Files {
        self.listing = true;
        self
    }

    /// Has browsers save every file under its name instead of showing it
    /// (`Content-Disposition: attachment`, RFC 6266): for what others have uploaded. It is
    /// [`without_sidecars`](Files::without_sidecars) too, since an `x.html.gz` that somebody
    /// uploaded would be sent in the place of `x.html`.
    pub fn attachments(mut self) -> Files {
        self.attachments = true;
        self.without_sidecars()
    }

    /// Sends every file as it is, whatever lies beside it with `.br`, `.zst` or `.gz` behind its
    /// name. Default: such a sibling that is not older is sent to a client that accepts its coding.
    ///
    /// For directories in which the names of files are not the operator's to choose.
    pub fn without_sidecars(mut self) -> Files {
        self.sidecars = false;
        self
    }

    /// Adds a field to every response about a file that is there: those that carry it or a part of
    /// it, and 304, 412 and 416. `Content-Disposition: attachment` switches sidecars off, as
    /// [`attachments`](Files::attachments) does.
    ///
    /// # Panics
    ///
    /// If it is malformed, or says what differs from file to file (`ETag`, `Last-Modified`, `Content-Type`, `Content-Length`
    /// …), or is `Cache-Control`, for which there is [`cache_control`](Files::cache_control).
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Files {
        check_field(name, value);
        if name.eq_ignore_ascii_case("Content-Disposition") && is_attachment(value.as_bytes()) {
            self.sidecars = false;
        }
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Answers `GET` and `HEAD` for `path`, which begins behind the tree's prefix and its slash, and is still percent-encoded.
    pub(crate) fn respond(&self, request: &Request, path: &str) -> Response {
        // The prefix alone: links in its index count from the directory.
        if path.is_empty() && !request.path().ends_with('/') {
            return redirect_to_directory(request);
        }
        // Whether a file is missing, hidden or out of bounds is not the client's to know.
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

    /// The file at `path`, or what there is in its place.
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
                .header("Cache-Control", "no-cache")
                .header("X-Content-Type-Options", "nosniff")
                .header(
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
                .header("Vary", "Accept"),
            Ok(_) => not_found()
                .header("Vary", "Accept")
                .header("Cache-Control", "no-cache"),
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
        // What is still being written must not be kept for a year.
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

/// To the same path with a slash behind it, without segments of one dot. Without a host in front,
/// and never with two slashes there: a browser would take `//host/` for another site.
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

/// The system could not say what is there, or read it. Nobody is to remember that.
fn unavailable() -> Response {
    Response::plain(
        Status::SERVICE_UNAVAILABLE,
        "the file cannot be read at the moment",
    )
    .header("Cache-Control", "no-store")
    .header("Retry-After", "1")
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

/// Adds a field that was checked, or that we made.
fn add(response: &mut Response, name: &str, value: &str) {
    response
        .add_header(name, value.as_bytes())
        .expect("the field was checked when it was set");
}
