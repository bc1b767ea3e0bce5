//! A name for each request, which logs of several programs have in common.

use std::fmt;

use super::http_head;
use crate::io::random::random;
use crate::{Reply, Request, Response, Status};

/// Longest id that is taken from a request, in bytes.
const ID_BYTES: usize = 128;

/// Gives each request a [`RequestId`], and sends it back in the field of this name: `X-Request-ID`,
/// for example. Handlers read it with [`Request::get`]. It is the field `request_id` of the
/// request's line in the [access log](super::access_log).
///
/// The id is taken from the request's own field of this name, so that a proxy's log and this
/// server's speak of the same request. It is taken only if there is one such field with 1 to 128
/// letters, digits and `-_.:+/=@`: so an id cannot forge a line of a log or a field. Otherwise the
/// server makes one, of 32 hexadecimal digits. A client can choose its id, and the same one for
/// many requests: unless a proxy overwrites the field, never rely on it for more than for a search
/// in the log.
///
/// If the handler sets a field of this name itself, that one stays. A 101 (Switching Protocols)
/// gets no field.
///
/// ```
/// use akurai_http::middleware::{self, RequestId};
/// use akurai_http::{Method, Request, Response, Router};
///
/// let router = Router::new()
///     .get("/", |req| {
///         let id = req.get::<RequestId>().map(RequestId::to_string);
///         Response::text(id.unwrap_or_default())
///     })
///     .wrap(middleware::request_id("X-Request-ID"));
/// let id_of = |request: Request| {
///     let reply = router.handle(&request);
///     reply.response().headers().get("X-Request-ID").map(str::to_owned)
/// };
/// let request = || Request::new(Method::Get, "/");
/// assert_eq!(id_of(request().with_header("X-Request-ID", "a-7")), Some("a-7".to_owned()));
/// assert_eq!(id_of(request()).map(|id| id.len()), Some(32));
/// ```
///
/// # Panics
///
/// If `header` is no field name, or names a field that the server itself sets, such as
/// `Connection`.
#[track_caller]
pub fn request_id(
    header: &str,
) -> impl Fn(&Request, &dyn Fn(&Request) -> Reply) -> Reply + Send + Sync + 'static {
    let mut trial = Response::new(Status::OK);
    let is_plain = trial.headers_mut().append(header, "a").is_ok();
    assert!(
        is_plain && trial.headers().bytes(header).is_some(),
        "{header:?} is no name of a field for ids"
    );
    let header = header.to_owned();
    move |request, next| {
        let id = RequestId::taken(request, &header).unwrap_or_else(RequestId::made);
        request.log("request_id", &id);
        request.insert(id.clone());
        let mut reply = next(request);
        if let Some(head) = http_head(&mut reply) {
            if head.headers().bytes(&header).is_none() {
                super::add(head, &header, id.as_str());
            }
        }
        reply
    }
}

/// The id of a request, from [`request_id`]. `Display` writes it as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(String);

impl RequestId {
    /// The id: 1 to 128 letters, digits and `-_.:+/=@`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id that the request has brought.
    fn taken(request: &Request, header: &str) -> Option<RequestId> {
        let mut fields = request.headers().all(header);
        let id = std::str::from_utf8(fields.next()?).ok()?;
        let is_in = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+/=@".contains(&byte);
        let is_fine = (1..=ID_BYTES).contains(&id.len()) && id.bytes().all(is_in);
        (is_fine && fields.next().is_none()).then(|| RequestId(id.to_owned()))
    }

    fn made() -> RequestId {
        RequestId(format!("{:016x}{:016x}", random(), random()))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Method, Upgrade, sse};
    use std::collections::HashSet;

    const NAME: &str = "X-Request-ID";

    /// The ids that the answer to a request with these has.
    fn echoed(sent: &[&[u8]], answer: impl Fn() -> Reply) -> Vec<String> {
        let with = |request: Request, id: &&[u8]| request.with_header("x-request-id", id);
        let request = sent.iter().fold(Request::new(Method::Get, "/"), with);
        let reply = request_id(NAME)(&request, &|_| answer());
        let ids = reply.response().headers().all(NAME);
        ids.map(|id| String::from_utf8_lossy(id).into_owned())
            .collect()
    }

    fn plain() -> Reply {
        Response::text("").into()
    }

    #[test]
    fn a_well_formed_id_is_taken() {
        for id in ["a", "7", "a-b_c.d:e+f/g=h@i", &"x".repeat(128)] {
            assert_eq!(echoed(&[id.as_bytes()], plain), [id]);
        }
    }

    #[track_caller]
    fn check_made(ids: &[String]) {
        let [id] = ids else {
            panic!("{ids:?}");
        };
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        assert!(id.len() == 32 && id.bytes().all(is_hex), "{id}");
    }

    #[test]
    fn another_id_is_replaced() {
        check_made(&echoed(&[], plain));
        let (long, huge) = ("x".repeat(129), "x".repeat(1_000_000));
        for id in [
            &b""[..],
            b"a b",
            b"a\tb",
            b"a\"b",
            b"a\\b",
            b"a,b",
            b"a;b",
            b"a%0d%0aSet-Cookie",
            b"<script>",
            b"{}",
            "é".as_bytes(),
            b"\xff",
            long.as_bytes(),
            huge.as_bytes(),
        ] {
            check_made(&echoed(&[id], plain));
        }
        check_made(&echoed(&[b"a", b"b"], plain));
        check_made(&echoed(&[b"a", b"a"], plain));
    }

    #[test]
    fn a_handler_reads_the_id_that_the_answer_has() {
        for sent in [&[&b"a-7"[..]][..], &[b"a b"], &[]] {
            let with = |request: Request, id: &&[u8]| request.with_header(NAME, id);
            let request = sent.iter().fold(Request::new(Method::Get, "/"), with);
            let read = std::cell::OnceCell::new();
            let reply = request_id(NAME)(&request, &|request| {
                let id = request.get::<RequestId>().map(RequestId::to_string);
                read.set(id.unwrap_or_default()).expect("it is called once");
                plain()
            });
            let echoed = reply.response().headers().get(NAME);
            assert_eq!(echoed, read.get().map(String::as_str));
        }
    }

    #[test]
    fn no_two_ids_are_the_same() {
        let ids = || (0..1000).map(|_| RequestId::made()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(ids)).collect();
        let made = threads
            .into_iter()
            .flat_map(|t| t.join().expect("no panic"));
        assert_eq!(made.collect::<HashSet<_>>().len(), 4000);
    }

    #[test]
    fn a_handler_s_own_field_stays_and_upgrades_keep_their_nature() {
        let own = || Response::text("").with_header(NAME, "own").into();
        assert_eq!(echoed(&[b"a"], own), ["own"]);
        assert_eq!(echoed(&[b"a"], || sse(|_| Ok(()))), ["a"]);
        let switching = || {
            let head = Response::new(Status::SWITCHING_PROTOCOLS);
            Upgrade::new(head, |_| Ok(())).into()
        };
        assert!(echoed(&[b"a"], switching).is_empty());
    }

    #[test]
    fn what_could_not_be_sent_is_a_panic() {
        let own = ["Connection", "content-length", "Transfer-Encoding", "ETag"];
        for name in ["", "X Request", "X:\r\nY", "é"].into_iter().chain(own) {
            assert!(std::panic::catch_unwind(|| drop(request_id(name))).is_err());
        }
    }
}
