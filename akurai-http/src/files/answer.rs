//! The response to a request for content that exists: what its conditions, then its range, ask for.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;
use std::time::SystemTime;

use super::add;
use super::resource::{Content, Resource, is_negotiable, seconds};
use super::transfer;
use crate::codec::conditional::{EntityTag, Validators, Verdict, evaluate, range_applies};
use crate::codec::date::{http_date, imf_fixdate};
use crate::codec::media::Media;
use crate::codec::range::{Multipart, Selection, content_range, select, unsatisfied_range};
use crate::response::Body;
use crate::{Method, Request, Response, Status};

/// What describes content and has no place in a response without it.
const CONTENT_FIELDS: [&str; 5] = [
    "Content-Type",
    "Content-Encoding",
    "Content-Disposition",
    "Content-Language",
    "Last-Modified",
];

/// Makes `resource` the content of `response`, whose fields stay where they are set already.
pub(crate) fn answer(
    request: &Request,
    mut response: Response,
    media: Media,
    resource: Resource,
) -> Response {
    let now = SystemTime::now();
    describe(&mut response, media, &resource, now);
    let reads = matches!(request.method(), Method::Get | Method::Head);
    // The conditions are of the resource that the target names; what a handler answers with another status is none
    // (RFC 9110 §13.2.1).
    if !reads || response.status() != Status::OK {
        return whole(request, response, resource);
    }
    add(&mut response, "Accept-Ranges", "bytes");
    let headers = request.headers();
    let now = u64::try_from(seconds(now)).unwrap_or(0);
    let own = validators(&response, now);
    match evaluate(headers, reads, own, now) {
        Verdict::Proceed => {}
        Verdict::NotModified => return not_modified(response),
        Verdict::Failed => {
            return refused(response, Status::PRECONDITION_FAILED, "precondition failed");
        }
    }
    let mut fields = headers.all("Range");
    let selection = match (request.method(), fields.next(), fields.next()) {
        (Method::Get, Some(field), None) if range_applies(headers, own, now) => {
            select(field, resource.len)
        }
        _ => Selection::Whole,
    };
    match selection {
        Selection::Whole => whole(request, response, resource),
        Selection::Parts(parts) => partial(response, resource, parts),
        Selection::Unsatisfiable => {
            let unsatisfied = unsatisfied_range(resource.len);
            refused(
                response,
                Status::RANGE_NOT_SATISFIABLE,
                "range not satisfiable",
            )
            .header("Content-Range", unsatisfied)
        }
    }
}

/// Adds the fields that say what the content is and which version of it.
fn describe(response: &mut Response, media: Media, resource: &Resource, now: SystemTime) {
    let is_negotiable = is_negotiable(response, media);
    let mut set = |name: &str, value: &str| {
        if response.headers().bytes(name).is_none() {
            add(response, name, value);
        }
    };
    set("Content-Type", media.content_type);
    set("X-Content-Type-Options", "nosniff");
    if let Some(coding) = resource.coding {
        set("Content-Encoding", coding.name());
    }
    set("ETag", &resource.etag(now));
    if let Some(modified) = resource.modified {
        // Not later than Date, whatever the file's time says (RFC 9110 §8.8.2.1).
        if let Ok(seconds) = u64::try_from(seconds(modified.min(now))) {
            let date = imf_fixdate(seconds);
            set(
                "Last-Modified",
                std::str::from_utf8(&date).expect("a date is ASCII"),
            );
        }
    }
    let varies = response
        .headers()
        .tokens("Vary")
        .any(|field| field == b"*" || field.eq_ignore_ascii_case(b"Accept-Encoding"));
    if is_negotiable && !varies {
        add(response, "Vary", "Accept-Encoding");
    }
}

/// Those that the response shows, be they the file's or the handler's.
fn validators(response: &Response, now: u64) -> Validators<'_> {
    let headers = response.headers();
    Validators {
        etag: headers.bytes("ETag").and_then(EntityTag::parse),
        last_modified: headers
            .bytes("Last-Modified")
            .and_then(|date| http_date(date, now)),
    }
}

fn whole(request: &Request, response: Response, resource: Resource) -> Response {
    let len = resource.len;
    if request.method() == Method::Head {
        return response.content_length(len);
    }
    with_content(response, resource, 0..len)
}

fn partial(mut response: Response, resource: Resource, mut parts: Vec<Range<u64>>) -> Response {
    response = response.with_status(Status::PARTIAL_CONTENT);
    if let [part] = &mut parts[..] {
        let part = std::mem::take(part);
        let content_range = content_range(&part, resource.len);
        return with_content(
            response.header("Content-Range", content_range),
            resource,
            part,
        );
    }
    let boundary = boundary();
    let media_type = response
        .headers()
        .get("Content-Type")
        .unwrap_or("application/octet-stream");
    let multipart = Multipart::new(&parts, resource.len, &boundary, media_type);
    let len = multipart.body_bytes(&parts);
    let response = response.without_header("Content-Type").header(
        "Content-Type",
        format!("multipart/byteranges; boundary={boundary}"),
    );
    response
        .with_stream(move |out| transfer::send_parts(&resource, &parts, &multipart, out))
        .content_length(len)
}

fn with_content(mut response: Response, resource: Resource, part: Range<u64>) -> Response {
    let len = part.end - part.start;
    match resource.content {
        Content::Static(bytes) => {
            response.body = Body::Static(&bytes[part.start as usize..part.end as usize]);
            response
        }
        Content::File(_) => response
            .with_stream(move |out| transfer::send_part(&resource, part, out))
            .content_length(len),
    }
}

/// 304 says which version it speaks of, and what caches need to know (RFC 9110 §15.4.5).
fn not_modified(response: Response) -> Response {
    let response = without(response, &CONTENT_FIELDS).without_header("Accept-Ranges");
    response.with_status(Status::NOT_MODIFIED)
}

/// An answer without the content, which must not be kept in its place.
fn refused(response: Response, status: Status, message: &str) -> Response {
    let response = without(response, &CONTENT_FIELDS);
    without(response, &["ETag", "Cache-Control", "Accept-Ranges"])
        .with_status(status)
        .header("Content-Type", "text/plain; charset=utf-8")
        .body(format!("{message}\n"))
}

fn without(response: Response, names: &[&str]) -> Response {
    names
        .iter()
        .fold(response, |response, name| response.without_header(name))
}

/// 64 characters that nobody can foresee, so that no content holds them.
fn boundary() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!(
        "{:016x}{:016x}{:016x}{:016x}",
        random(),
        random(),
        random(),
        random()
    )
}
