//! The response to a request for content that exists. The request's conditions decide first, then
//! its range.

use std::ops::Range;
use std::time::SystemTime;

use super::add;
use super::resource::{Content, Resource, seconds};
use super::transfer;
use crate::codec::coding::AcceptedCodings;
use crate::codec::conditional::{has_conditions, range_applies};
use crate::codec::date::imf_fixdate;
use crate::codec::media::Media;
use crate::codec::parameters::essence;
use crate::codec::range::{ByteRanges, Selection, content_range, select, unsatisfied_range};
use crate::io::random::random;
use crate::message::conditions::{meet_conditions, validators};
use crate::message::response::Body;
use crate::{Headers, Method, Request, Response, Status};

/// Makes `resource` the content of `response`. Fields that are already set stay. `is_negotiable`
/// says that another request may get the content in another coding.
pub(crate) fn with_resource(
    request: &Request,
    mut response: Response,
    media: Media,
    resource: Resource,
    is_negotiable: bool,
) -> Response {
    if is_negotiable {
        let accepted = AcceptedCodings::of(request.headers());
        if resource.coding.is_none() && !accepted.takes_identity() {
            return not_acceptable();
        }
        response.vary_by_coding();
    }
    let now = SystemTime::now();
    describe(&mut response, media, &resource, now);
    let reads = matches!(request.method(), Method::Get | Method::Head);
    // The conditions are about the resource that the target names. A handler's answer with another
    // status is not that resource (RFC 9110 §13.2.1).
    if !reads || response.status() != Status::OK {
        return whole(request, response, resource);
    }
    add_if_absent(&mut response, "Accept-Ranges", "bytes");
    let headers = request.headers();
    if !asks_for_less(headers) {
        return whole(request, response, resource);
    }
    let now = u64::try_from(seconds(now)).unwrap_or(0);
    let response = match meet_conditions(request, response, now) {
        Ok(response) => response,
        Err(answer) => return answer,
    };
    let selection = match only_range(headers) {
        Some(field)
            if request.method() == Method::Get
                && response.headers().bytes("Accept-Ranges") == Some(b"bytes")
                && range_applies(headers, validators(&response, now), now) =>
        {
            select(field, resource.len)
        }
        _ => Selection::Whole,
    };
    match selection {
        Selection::Whole => whole(request, response, resource),
        // Content-Encoding would seem to describe the multipart body instead of its parts.
        Selection::Parts(parts) if parts.len() > 1 && is_coded(&response) => {
            whole(request, response, resource)
        }
        Selection::Parts(parts) => partial(response, resource, parts),
        Selection::Unsatisfiable => {
            let unsatisfied = unsatisfied_range(resource.len);
            let status = Status::RANGE_NOT_SATISFIABLE;
            response
                .refused(status, "range not satisfiable")
                .with_header("Content-Range", unsatisfied)
        }
    }
}

/// Whether the file may be sent in another coding. Not if it is compressed already; nor if the
/// handler has set the version or the coding of its bytes; nor if it is a download, which is mostly
/// a file that users have uploaded.
pub(crate) fn is_negotiable(response: &Response, media: Media) -> bool {
    let says_version = response.headers().bytes("ETag").is_some();
    let disposition = response.headers().bytes("Content-Disposition");
    let is_download = disposition.is_some_and(is_attachment);
    !media.is_compressed && !says_version && !is_coded(response) && !is_download
}

// content-disposition = disposition-type *( ";" disposition-parm )      RFC 6266 §4.1
pub(crate) fn is_attachment(disposition: &[u8]) -> bool {
    essence(disposition).eq_ignore_ascii_case(b"attachment")
}

fn is_coded(response: &Response) -> bool {
    response.headers().bytes("Content-Encoding").is_some()
}

/// Adds the fields that say what the content is and which version of it this is.
fn describe(response: &mut Response, media: Media, resource: &Resource, now: SystemTime) {
    add_if_absent(response, "Content-Type", media.content_type);
    add_if_absent(response, "X-Content-Type-Options", "nosniff");
    if let Some(coding) = resource.coding {
        add_if_absent(response, "Content-Encoding", coding.name());
    }
    add_if_absent(response, "ETag", &resource.etag(now));
    // Never later than Date, even if the file's time is (RFC 9110 §8.8.2.1).
    let modified = resource.modified.map(|modified| seconds(modified.min(now)));
    if let Some(Ok(seconds)) = modified.map(u64::try_from) {
        let date = imf_fixdate(seconds);
        let date = std::str::from_utf8(&date).expect("a date is ASCII");
        add_if_absent(response, "Last-Modified", date);
    }
}

fn add_if_absent(response: &mut Response, name: &str, value: &str) {
    if response.headers().bytes(name).is_none() {
        add(response, name, value);
    }
}

/// Whether a field may change the answer to something other than the whole content: a range or a
/// condition.
fn asks_for_less(headers: &Headers) -> bool {
    headers.bytes("Range").is_some() || has_conditions(headers)
}

/// The value of `Range`. It is not a list, so two such fields are ignored.
fn only_range(headers: &Headers) -> Option<&[u8]> {
    let mut values = headers.all("Range");
    let first = values.next();
    first.filter(|_| values.next().is_none())
}

fn whole(request: &Request, response: Response, resource: Resource) -> Response {
    let len = resource.len;
    if request.method() == Method::Head {
        return response.content_length(len);
    }
    with_content(response, resource, 0..len)
}

fn partial(mut response: Response, resource: Resource, parts: Vec<Range<u64>>) -> Response {
    response = response.with_status(Status::PARTIAL_CONTENT);
    if let [part] = &parts[..] {
        let response = response.with_header("Content-Range", content_range(part, resource.len));
        return with_content(response, resource, part.clone());
    }
    let boundary = boundary();
    let content_type = response.headers().get("Content-Type");
    let media_type = content_type.unwrap_or("application/octet-stream");
    let byte_ranges = ByteRanges::new(&parts, resource.len, &boundary, media_type);
    let len = byte_ranges.body_bytes(&parts);
    let media_type = format!("multipart/byteranges; boundary={boundary}");
    response
        .without_header("Content-Type")
        .with_header("Content-Type", media_type)
        .with_stream(move |out| transfer::send_parts(&resource, &parts, &byte_ranges, out))
        .content_length(len)
}

fn with_content(mut response: Response, resource: Resource, part: Range<u64>) -> Response {
    let len = part.end - part.start;
    match resource.content {
        Content::Static(bytes) => {
            response.parts.body = Body::Static(&bytes[part.start as usize..part.end as usize]);
            response
        }
        Content::File(_) => response
            .with_stream(move |out| transfer::send_part(&resource, part, out))
            .content_length(len),
    }
}

fn not_acceptable() -> Response {
    let told = "no coding of this file is acceptable";
    Response::plain(Status::NOT_ACCEPTABLE, told).with_header("Vary", "Accept-Encoding")
}

/// 64 characters that nobody can predict, so that no content can contain them.
fn boundary() -> String {
    format!(
        "{:016x}{:016x}{:016x}{:016x}",
        random(),
        random(),
        random(),
        random()
    )
}
