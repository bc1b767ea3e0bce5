use super::*;
use crate::Method;

const SECOND: Duration = Duration::from_secs(1);

fn buckets(max_requests: u32, per: Duration, max_addresses: usize) -> Buckets {
    Buckets::new(&RateLimit::new(max_requests, per).max_addresses(max_addresses))
}

fn client(n: u32) -> Counted {
    Counted::of(Some(IpAddr::V4(n.into())))
}

/// How many requests in a row pass.
fn burst(buckets: &mut Buckets, client: Counted, now: Duration) -> usize {
    (0..1000)
        .take_while(|_| buckets.take(client, now).is_ok())
        .count()
}

#[test]
fn a_bucket_is_full_in_the_beginning_and_fills_evenly() {
    let mut buckets = buckets(60, 60 * SECOND, 10);
    let (a, b) = (client(1), client(2));
    let at = 5 * SECOND;
    assert_eq!(burst(&mut buckets, a, at), 60);
    assert_eq!(buckets.take(a, at), Err(SECOND));
    assert_eq!(burst(&mut buckets, b, at), 60, "each has its own");
    // Just before a token is there, and just then.
    let nano = Duration::from_nanos(1);
    assert_eq!(buckets.take(a, at + SECOND - nano), Err(nano));
    assert_eq!(buckets.take(a, at + SECOND), Ok(()));
    assert_eq!(buckets.take(a, at + SECOND), Err(SECOND));
    assert_eq!(burst(&mut buckets, a, at + 11 * SECOND), 10);
    assert_eq!(burst(&mut buckets, a, at + 3600 * SECOND), 60, "never more");
}

#[test]
fn a_refused_request_takes_nothing() {
    let mut buckets = buckets(1, SECOND, 10);
    assert_eq!(buckets.take(client(1), SECOND), Ok(()));
    for _ in 0..1000 {
        assert_eq!(buckets.take(client(1), SECOND), Err(SECOND));
    }
    assert_eq!(buckets.take(client(1), 2 * SECOND), Ok(()));
}

#[test]
fn extreme_limits_neither_overflow_nor_let_everything_pass() {
    let mut rare = buckets(1, Duration::MAX, 10);
    assert_eq!(rare.take(client(1), SECOND), Ok(()));
    assert!(rare.take(client(1), 2 * SECOND).is_err());
    let mut dense = buckets(u32::MAX, Duration::from_nanos(1), 10);
    assert_eq!(dense.token_time, Duration::from_nanos(1));
    assert_eq!(dense.take(client(1), Duration::ZERO), Ok(()));
    assert_eq!(dense.take(client(1), Duration::MAX), Ok(()));
    // 3 does not divide the time: 3 pass, and the fourth waits for a third of it.
    let mut odd = buckets(3, Duration::from_nanos(10), 10);
    assert_eq!(burst(&mut odd, client(1), SECOND), 3);
    assert_eq!(buckets(1, SECOND, 0).max, 1);
}

#[test]
fn full_buckets_are_forgotten() {
    let mut buckets = buckets(2, 2 * SECOND, 100);
    for n in 0..100 {
        assert_eq!(buckets.take(client(n), SECOND), Ok(()));
    }
    assert_eq!(buckets.full_at.len(), 100);
    for n in 1000..1100 {
        assert_eq!(buckets.take(client(n), 10 * SECOND + n * SECOND), Ok(()));
    }
    assert_eq!(buckets.full_at.len(), 1, "those of the past are gone");
}

#[test]
fn a_flood_of_addresses_does_not_make_it_forget_a_busy_one() {
    let mut buckets = buckets(5, 3600 * SECOND, 100);
    let busy = client(0);
    assert_eq!(burst(&mut buckets, busy, SECOND), 5);
    // Each newcomer has used fewer tokens, so it goes first.
    for n in 1..100_000 {
        assert_eq!(buckets.take(client(n), SECOND), Ok(()), "newcomers pass");
        assert!(buckets.full_at.len() <= 100 && buckets.in_order.len() <= 100);
        assert!(buckets.take(busy, SECOND).is_err(), "{n}");
    }
    // It costs a whole table of used-up buckets to forget one.
    for n in 200_000..200_099 {
        assert_eq!(burst(&mut buckets, client(n), 2 * SECOND), 5);
        assert!(buckets.take(busy, 2 * SECOND).is_err(), "{n}");
    }
    assert_eq!(burst(&mut buckets, client(300_000), 2 * SECOND), 5);
    assert_eq!(
        burst(&mut buckets, busy, 2 * SECOND),
        5,
        "it is forgotten now"
    );
}

#[test]
fn the_addresses_of_one_network_share_a_bucket() {
    let of = |text: &str| Counted::of(Some(text.parse().expect(text)));
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:ffff:ffff:ffff"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
    // All IPv4 addresses that are written as IPv6 would share one /64.
    assert_ne!(of("::ffff:192.0.2.1"), of("::ffff:192.0.2.2"));
    assert_ne!(of("::1"), Counted::of(None));
}

#[test]
fn retry_after_is_rounded_up_and_never_zero() {
    for (wait, seconds) in [
        (Duration::ZERO, "1"),
        (Duration::from_nanos(1), "1"),
        (SECOND, "1"),
        (SECOND + Duration::from_nanos(1), "2"),
        (Duration::from_millis(59_999), "60"),
        (Duration::from_secs(u64::MAX - 1), "18446744073709551614"),
    ] {
        let response = refused(wait);
        assert_eq!(response.status(), Status::TOO_MANY_REQUESTS);
        assert_eq!(response.headers().get("Retry-After"), Some(seconds));
    }
}

#[test]
fn a_handler_s_panic_and_long_work_do_not_hold_the_buckets() {
    let limit = RateLimit::new(2, 3600 * SECOND).middleware();
    let request = Request::new(Method::Get, "/");
    // A handler that asks its own server: the lock is free meanwhile.
    let reply = limit(&request, &|inner| {
        limit(inner, &|_| Response::text("").into())
    });
    assert_eq!(reply.response().status(), Status::OK);
    let reply = limit(&request, &|_| unreachable!("the bucket is empty"));
    assert_eq!(reply.response().status(), Status::TOO_MANY_REQUESTS);
}
