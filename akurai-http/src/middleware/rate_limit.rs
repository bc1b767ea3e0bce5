//! Bounds how many requests each client address may send.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{Reply, Request, Response, Status};

/// Bounds the requests of each [client address](Request::client_addr). The answer beyond the limit
/// is 429 with `Retry-After` in whole seconds (RFC 6585 §4, RFC 9110 §10.2.3); no handler runs.
///
/// Each address has a bucket of tokens, and each request takes one. The bucket is full in the
/// beginning, and fills evenly: with 60 requests a minute, a client may send 60 at once and then
/// one a second. A refused request takes nothing. An event stream or a WebSocket counts once.
///
/// An IPv6 client often has a whole network of 64 bits, so all addresses of such a /64 share one
/// bucket. Requests without an address, as on a Unix socket, share one too. Behind a proxy,
/// [trust](crate::Server::trust) it: otherwise all clients share the proxy's bucket.
///
/// # Memory
///
/// At most [`max_addresses`](RateLimit::max_addresses) are remembered, about 170 bytes each. The
/// limiter forgets an address when its bucket is full again. If too many are not, it forgets the
/// one whose bucket is the fullest. So to make it forget one address that has used up its tokens,
/// a client must use up as many tokens from as many other addresses as the limiter remembers. A
/// client that has more addresses than that, in as many /64 networks, is not limited; the server's
/// [`Limits`](crate::Limits) still hold.
///
/// ```
/// use akurai_http::middleware::RateLimit;
/// use akurai_http::{Method, Request, Response, Router, Status};
/// use std::time::Duration;
///
/// // A login is tried at most 5 times at once, and then once each 12 s.
/// let login = Router::new()
///     .get("/login", |_| Response::text("who is there?\n"))
///     .wrap(RateLimit::new(5, Duration::from_secs(60)).middleware());
///
/// for _ in 0..5 {
///     assert_eq!(login.handle(&Request::new(Method::Get, "/login")).response().status(), Status::OK);
/// }
/// let reply = login.handle(&Request::new(Method::Get, "/login"));
/// assert_eq!(reply.response().status(), Status::TOO_MANY_REQUESTS);
/// assert_eq!(reply.response().headers().get("Retry-After"), Some("12"));
/// ```
#[derive(Debug, Clone)]
#[must_use = "it limits nothing until a router wraps its `middleware()`"]
pub struct RateLimit {
    max_requests: u32,
    /// In this time an empty bucket becomes full.
    per: Duration,
    max_addresses: usize,
}

impl RateLimit {
    /// At most `max_requests` at once, and as many in each time of `per`, evenly.
    ///
    /// # Panics
    ///
    /// If one of them is zero: no request would pass, or each would.
    #[track_caller]
    pub fn new(max_requests: u32, per: Duration) -> RateLimit {
        assert!(max_requests > 0, "no request would pass");
        assert!(!per.is_zero(), "each request would pass");
        RateLimit {
            max_requests,
            per,
            max_addresses: 50_000,
        }
    }

    /// Most addresses that are remembered. Default 50,000, which takes up to 9 MB. Zero counts as
    /// one.
    pub fn max_addresses(mut self, addresses: usize) -> RateLimit {
        self.max_addresses = addresses;
        self
    }

    /// The function for [`Router::wrap`](crate::Router::wrap). Each call makes buckets of its own.
    /// To count the requests of several routes together, wrap the router that has them all.
    pub fn middleware(
        self,
    ) -> impl Fn(&Request, &dyn Fn(&Request) -> Reply) -> Reply + Send + Sync + 'static {
        let buckets = Mutex::new(Buckets::new(&self));
        let begun = Instant::now();
        move |request, next| {
            let client = Counted::of(request.client_addr());
            // The guard is dropped before the handler runs.
            let taken = buckets
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(client, begun.elapsed());
            match taken {
                Ok(()) => next(request),
                Err(wait) => refused(wait).into(),
            }
        }
    }
}

/// The 429. Its client may come back after `wait`, which is rounded up.
fn refused(wait: Duration) -> Response {
    let begun_second = u64::from(wait.subsec_nanos() > 0);
    let seconds = wait.as_secs().saturating_add(begun_second);
    Response::plain(Status::TOO_MANY_REQUESTS, "too many requests")
        .with_header("Retry-After", seconds.max(1).to_string())
}

/// Whose bucket a request takes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Counted {
    Unknown,
    /// An address of IPv4, or the first address of a /64 network of IPv6.
    At(IpAddr),
}

impl Counted {
    fn of(addr: Option<IpAddr>) -> Counted {
        match addr.map(|addr| addr.to_canonical()) {
            None => Counted::Unknown,
            Some(IpAddr::V6(addr)) => {
                let network = addr.to_bits() & !u128::from(u64::MAX);
                Counted::At(Ipv6Addr::from_bits(network).into())
            }
            Some(addr) => Counted::At(addr),
        }
    }
}

/// The buckets that are not full. Times are since some beginning, by a clock that never goes back.
///
/// A bucket is one time: when it will be full again. All of them fill at the same rate. So the one
/// that is full first is always the fullest.
struct Buckets {
    full_at: HashMap<Counted, Duration>,
    /// The same, the fullest first.
    in_order: BTreeSet<(Duration, Counted)>,
    max: usize,
    /// In this time a bucket gains one token.
    token_time: Duration,
    /// In this time an empty bucket becomes full.
    bucket_time: Duration,
}

impl Buckets {
    fn new(limit: &RateLimit) -> Buckets {
        // In a hundred years, so that no sum of times overflows.
        let per = limit.per.min(Duration::from_secs(100 * 365 * 86_400));
        let token_time = (per / limit.max_requests).max(Duration::from_nanos(1));
        Buckets {
            full_at: HashMap::new(),
            in_order: BTreeSet::new(),
            max: limit.max_addresses.max(1),
            token_time,
            bucket_time: token_time.saturating_mul(limit.max_requests),
        }
    }

    /// Takes a token out of the client's bucket.
    ///
    /// # Errors
    ///
    /// If the bucket is empty: after the returned time it has a token.
    fn take(&mut self, client: Counted, now: Duration) -> Result<(), Duration> {
        self.forget_full(now);
        let known = self.full_at.get(&client).copied();
        let full_at = known
            .unwrap_or(now)
            .max(now)
            .saturating_add(self.token_time);
        let empty_until = full_at.saturating_sub(self.bucket_time);
        if empty_until > now {
            return Err(empty_until - now);
        }
        match known {
            Some(before) => {
                self.in_order.remove(&(before, client));
            }
            None if self.full_at.len() == self.max => self.forget_fullest(),
            None => {}
        }
        self.full_at.insert(client, full_at);
        self.in_order.insert((full_at, client));
        debug_assert_eq!(self.full_at.len(), self.in_order.len());
        Ok(())
    }

    /// Forgets two full buckets. Each request adds one at most, so all are forgotten in the end.
    fn forget_full(&mut self, now: Duration) {
        for _ in 0..2 {
            if self
                .in_order
                .first()
                .is_some_and(|&(full_at, _)| full_at <= now)
            {
                self.forget_fullest();
            }
        }
    }

    fn forget_fullest(&mut self) {
        if let Some((_, client)) = self.in_order.pop_first() {
            self.full_at.remove(&client);
        }
    }
}

#[cfg(test)]
mod tests;
