//! An application that answers with the request itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use akurai_http::{Limits, Reply, Request, Response, Status, Version};
use akurai_tests::{Client, DEADLINE, TestServer, patient_limits};

/// A server without a router that answers 200 to every request that came whole, with the request's
/// body as body and what was parsed of its head in fields: `X-Method`, `X-Path`, `X-Query`,
/// `X-Authority`, `X-Version`, `X-Fields` (their number), `X-V` (the field of that name in hex) and
/// `X-T` (whether there is a field of that name).
///
/// At `/unread` it does not touch the body.
pub(crate) struct Mirror {
    server: TestServer,
    answered: Arc<AtomicUsize>,
}

impl Mirror {
    #[track_caller]
    pub(crate) fn start() -> Mirror {
        Mirror::limited(
            patient_limits()
                // Long enough for a slow machine to send, byte by byte, the request after a refused
                // one.
                .drain_time(DEADLINE),
        )
    }

    #[track_caller]
    pub(crate) fn limited(limits: Limits) -> Mirror {
        let answered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&answered);
        let server = TestServer::limited(limits, move |request: &Request| {
            let reply = reflect(request);
            if reply.response().status() == Status::OK {
                count.fetch_add(1, Ordering::SeqCst);
            }
            reply
        });
        Mirror { server, answered }
    }

    #[track_caller]
    pub(crate) fn connect(&self) -> Client {
        self.server.connect()
    }

    /// How many whole requests have reached the application.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }
}

fn reflect(request: &Request) -> Reply {
    let body = match request.path() {
        "/unread" => b"not read".to_vec(),
        _ => match request.body() {
            Ok(body) => body,
            Err(error) => return error.into(),
        },
    };
    let headers = request.headers();
    let version = match request.version() {
        Version::Http10 => "1.0",
        _ => "1.1",
    };
    let mut response = Response::new(Status::OK)
        .with_header("X-Method", request.method().as_str())
        .with_header("X-Path", request.path())
        .with_header("X-Authority", request.authority())
        .with_header("X-Version", version)
        .with_header("X-Fields", headers.iter().count().to_string());
    if let Some(query) = request.query() {
        response = response.with_header("X-Query", query);
    }
    if let Some(value) = headers.bytes("x-v") {
        response = response.with_header("X-V", hex(value));
    }
    if headers.bytes("x-t").is_some() {
        response = response.with_header("X-T", "seen");
    }
    response.with_body(body).into()
}

/// `bytes` in hex, two digits each.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
