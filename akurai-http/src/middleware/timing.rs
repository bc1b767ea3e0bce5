//! Shows in the browser's developer tools how long a handler took.

use std::time::Instant;

use super::{add, http_head};
use crate::{Reply, Request};

/// Adds `Server-Timing: app;dur=1.234`: the time until the handler returned, in milliseconds (W3C
/// Server Timing §3). It does not include the time of a stream.
///
/// Everybody who can read the response sees the time. It may show, for example, whether a name was
/// found in a cache.
///
/// ```
/// use akurai_http::{Method, Request, Response, Router, middleware};
///
/// let router = Router::new().get("/", |_| Response::text("")).wrap(middleware::server_timing());
/// let reply = router.handle(&Request::new(Method::Get, "/"));
/// assert!(reply.response().headers().get("Server-Timing").unwrap().starts_with("app;dur="));
/// ```
pub fn server_timing()
-> impl Fn(&Request, &dyn Fn(&Request) -> Reply) -> Reply + Send + Sync + 'static {
    |request, next| {
        let begun = Instant::now();
        let mut reply = next(request);
        let micros = begun.elapsed().as_micros() as u64;
        if let Some(head) = http_head(&mut reply) {
            let (millis, micros) = (micros / 1000, micros % 1000);
            add(
                head,
                "Server-Timing",
                &format!("app;dur={millis}.{micros:03}"),
            );
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Method, Response, Status, Upgrade, sse};

    #[test]
    fn the_time_is_a_number_of_milliseconds() {
        let timed = |reply: Response| {
            let mut reply = Some(Reply::from(reply));
            let next = std::cell::RefCell::new(|| reply.take().expect("called once"));
            server_timing()(&Request::new(Method::Get, "/"), &|_| (next.borrow_mut())())
        };
        let reply = timed(Response::text("").with_header("Server-Timing", "db;dur=53"));
        let fields: Vec<_> = reply.response().headers().all("Server-Timing").collect();
        assert_eq!(fields[0], b"db;dur=53");
        let duration = std::str::from_utf8(fields[1])
            .unwrap()
            .strip_prefix("app;dur=");
        let (whole, fraction) = duration.and_then(|text| text.split_once('.')).unwrap();
        assert!(whole.parse::<u32>().is_ok() && fraction.len() == 3);
    }

    #[test]
    fn upgrades_keep_their_nature() {
        let stream = server_timing()(&Request::new(Method::Get, "/"), &|_| sse(|_| Ok(())));
        assert!(stream.response().headers().get("Server-Timing").is_some());
        assert!(matches!(stream, Reply::Upgrade(_)));
        let switching = server_timing()(&Request::new(Method::Get, "/"), &|_| {
            Upgrade::new(Response::new(Status::SWITCHING_PROTOCOLS), |_| Ok(())).into()
        });
        assert!(switching.response().headers().is_empty());
    }
}
