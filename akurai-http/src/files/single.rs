//! One file that the program chose, as a handler's answer.

use std::path::Path;

use super::answer::{is_negotiable, with_resource};
use super::{dir, not_found, unavailable};
use crate::codec::coding::AcceptedCodings;
use crate::codec::media::Media;
use crate::{Reply, Request, Response, Status};

impl Response {
    /// The file at `path`, under the rules of [`Files`](crate::Files): its media type and
    /// validators, conditions, ranges, `HEAD` and sidecars, in constant memory. 404 if it is
    /// missing or no regular file, 503 if the system cannot open it at the moment.
    ///
    /// This opens the file and decides what `request` gets of it. So it gives a [`Reply`], and
    /// fields and a status go first: see [`send_file`](Response::send_file).
    ///
    /// The path is the application's own: nothing confines it to a directory. For paths that
    /// clients choose, use [`Router::files`](crate::Router::files).
    ///
    /// ```
    /// use akurai_http::{Response, Router};
    ///
    /// let router = Router::new().get("/licence", |req| Response::file(req, "/srv/licence.txt"));
    /// # let _ = router;
    /// ```
    pub fn file(request: &Request, path: impl AsRef<Path>) -> Reply {
        Response::new(Status::OK).send_file(request, path)
    }

    /// As [`file`](Response::file), with the fields and the status of this response. The file takes
    /// the place of its body.
    ///
    /// A field that is already set stays, and the file does not add its own. If that is an `ETag`
    /// or a `Last-Modified`, conditions are compared with it. The file itself is sent, and no
    /// sidecar of it, if an `ETag` or a `Content-Encoding` is set, or if this is an
    /// [`attachment`](Response::attachment), which other people may have uploaded. Conditions and
    /// ranges are for `GET` and `HEAD` and for status 200; with another status the whole file is
    /// sent.
    ///
    /// If there is no file, a response with status 200 becomes a 404 without the fields that were
    /// set. With another status, the response is sent as it is, without a body.
    ///
    /// ```
    /// use akurai_http::{Method, Reply, Request, Response, Status};
    ///
    /// fn report(req: &Request) -> Reply {
    ///     Response::new(Status::OK)
    ///         .attachment("Überblick.pdf")
    ///         .with_header("Cache-Control", "private")
    ///         .send_file(req, "/var/log/report.pdf")
    /// }
    /// let reply = report(&Request::new(Method::Get, "/"));
    /// assert_eq!(reply.response().status(), Status::NOT_FOUND);
    /// ```
    pub fn send_file(self, request: &Request, path: impl AsRef<Path>) -> Reply {
        Reply::Response(with_file(self, request, path.as_ref()))
    }
}

fn with_file(response: Response, request: &Request, path: &Path) -> Response {
    // The length comes from the file, not from the handler.
    let response = response.without_header("Content-Length").with_body("");
    let media = Media::of(&path.file_name().unwrap_or_default().to_string_lossy());
    let is_negotiable = is_negotiable(&response, media);
    let codings = AcceptedCodings::of(request.headers());
    let codings = codings.preferred().filter(|_| is_negotiable);
    match dir::find_anywhere(path, codings) {
        Ok(Some(file)) => with_resource(request, response, media, file, is_negotiable),
        // If the page for an error is missing, the handler's own status is still sent.
        Ok(None) if response.status() != Status::OK => response,
        Ok(None) => not_found(),
        Err(_) => unavailable(),
    }
}
