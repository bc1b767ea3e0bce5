//! One file of the program's own choice, as a handler's answer.

use std::path::Path;

use super::answer::{is_negotiable, with_resource};
use super::{dir, not_found, unavailable};
use crate::codec::coding::AcceptedCodings;
use crate::codec::media::Media;
use crate::message::response::Body;
use crate::{Reply, Request, Response, Status};

/// Makes a file that a handler named the answer to its request; any other reply stays as it is.
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
            send_file(request, response.body(""), &path)
        }
        _ => response,
    }
}

fn send_file(request: &Request, response: Response, path: &Path) -> Response {
    // The file's length is the file's to say.
    let response = response.without_header("Content-Length");
    let media = Media::of(&path.file_name().unwrap_or_default().to_string_lossy());
    let is_negotiable = is_negotiable(&response, media);
    let codings = AcceptedCodings::of(request.headers());
    let codings = codings.preferred().filter(|_| is_negotiable);
    match dir::find_anywhere(path, codings) {
        Ok(Some(file)) => with_resource(request, response, media, file, is_negotiable),
        // The handler's own status goes before what became of the page that explains it.
        Ok(None) if response.status() != Status::OK => response,
        Ok(None) => not_found(),
        Err(_) => unavailable(),
    }
}
