//! One file that the program chose, as a handler's answer.

use std::path::Path;

use super::answer::{is_negotiable, with_resource};
use super::{dir, not_found, unavailable};
use crate::codec::coding::AcceptedCodings;
use crate::codec::media::Media;
use crate::message::response::Body;
use crate::{Reply, Request, Response, Status};

/// If a handler answers with a file, makes that file the response; any other reply stays as it is.
pub(crate) fn settle(request: &Request, reply: Reply) -> Reply {
    match reply {
        Reply::Response(response) => Reply::Response(settle_response(request, response)),
        upgrade => upgrade,
    }
}

/// As [`settle`], for a response.
#[inline]
pub(crate) fn settle_response(request: &Request, mut response: Response) -> Response {
    match &mut response.parts.body {
        Body::File(path) => {
            let path = std::mem::take(path);
            send_file(request, response.with_body(""), &path)
        }
        _ => response,
    }
}

fn send_file(request: &Request, response: Response, path: &Path) -> Response {
    // The length comes from the file, not from the handler.
    let response = response.without_header("Content-Length");
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
