//! How large a message the server accepts (RFC 6455 §10.4).

use akurai_tests::{DEADLINE, Frame, Opcode, WsClient};
use akurai_ws::WsOptions;

use super::{all_fail_with, echo, echo_with};

const MIB: usize = 1 << 20;

#[test]
fn ws_14_over_16_mib_is_1009_at_the_header() {
    let (server, _) = echo();
    let claims = [16 * MIB as u64 + 1, 1 << 32, 1 << 62, (1 << 63) - 1];
    all_fail_with(
        &server,
        1009,
        claims.map(|claim| {
            (
                format!("a text of {claim}"),
                Frame::text("").claiming(claim).header(),
            )
        }),
    );
    let binary = |claim: u64| Frame::binary("").claiming(claim);
    all_fail_with(
        &server,
        1009,
        [(
            "an unfinished binary",
            binary(claims[0]).unfinished().header(),
        )],
    );

    // A message that grows too long by fragments: the server refuses the fragment that exceeds the
    // limit at its header.
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::binary(vec![1; MIB]).unfinished());
    for _ in 1..16 {
        ws.send(&Frame::continuation(vec![1; MIB]).unfinished());
    }
    ws.client.send(Frame::continuation("").claiming(1).header());
    ws.expect_close_and_eof(1009);
}

#[test]
fn ws_14_16_mib_are_taken() {
    let (server, _) = echo();
    let payload = vec![0x5a; 16 * MIB];
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::binary(&payload[..]));
    ws.expect(Opcode::BINARY, &payload);
    ws.send(&Frame::binary(&payload[..MIB]).unfinished());
    ws.send(&Frame::continuation(&payload[MIB..]));
    ws.expect(Opcode::BINARY, &payload);
    ws.close();
}

#[test]
fn ws_14_limits_that_an_application_sets() {
    let (server, _) = echo_with(WsOptions::new().max_message_bytes(10));
    let fragments = |sizes: [usize; 3]| {
        let [first, second, last] = sizes.map(|size| vec![b'x'; size]);
        [
            Frame::text(first).unfinished().to_bytes(),
            Frame::continuation(second).unfinished().to_bytes(),
            Frame::continuation(last).to_bytes(),
        ]
        .concat()
    };
    all_fail_with(
        &server,
        1009,
        [
            ("a frame of 11", Frame::text("12345678901").to_bytes()),
            ("5 + 5 + 1", fragments([5, 5, 1])),
            ("0 + 11 + 0", fragments([0, 11, 0])),
        ],
    );
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text("1234567890"));
    ws.expect(Opcode::TEXT, "1234567890");
    ws.client.send(fragments([5, 5, 0]));
    ws.expect(Opcode::TEXT, "xxxxxxxxxx");
    // Control frames do not count.
    ws.send(&Frame::text("12345").unfinished());
    ws.send(&Frame::ping("more than ten bytes"));
    ws.expect(Opcode::PONG, "more than ten bytes");
    ws.send(&Frame::continuation("67890"));
    ws.expect(Opcode::TEXT, "1234567890");
    ws.close();

    let (server, _) = echo_with(WsOptions::new().max_frame_bytes(10));
    all_fail_with(
        &server,
        1009,
        [("a frame of 11", Frame::text("12345678901").header())],
    );
    let mut ws = WsClient::open(server.addr(), "/");
    ws.client.send(fragments([10, 10, 10]));
    ws.expect(Opcode::TEXT, "x".repeat(30));
    ws.close();

    let (server, _) = echo_with(WsOptions::new().max_fragments(3));
    let mut ws = WsClient::open(server.addr(), "/");
    ws.client.send(fragments([1, 1, 1]));
    ws.expect(Opcode::TEXT, "xxx");
    ws.send(&Frame::text("").unfinished());
    ws.send(&Frame::continuation("").unfinished());
    ws.send(&Frame::continuation("").unfinished());
    ws.send(&Frame::continuation(""));
    ws.expect_close_and_eof(1008);
}

/// The memory that this process may write to, in KiB, whether used or not.
#[cfg(target_os = "linux")]
fn writable_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with("VmData:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse().ok())
        .expect("a number of kB")
}

#[cfg(target_os = "linux")]
#[test]
fn ws_14_a_claim_without_bytes_holds_little() {
    const STALLED: usize = 192;
    let (server, _) = echo();
    let before = writable_kib();
    let mut stalled = Vec::new();
    for n in 0..STALLED {
        let mut ws = WsClient::open(server.addr(), "/");
        let frame = Frame::binary(vec![1; 100]).claiming(16 * MIB as u64);
        let beginning = Frame::binary(vec![1; 100]).unfinished().to_bytes();
        // Every other frame is a continuation.
        match n % 2 {
            0 => ws.client.send(frame.to_bytes()),
            _ => {
                let rest = Frame::continuation(vec![1; 100]).claiming(15 * MIB as u64);
                ws.client.send([beginning, rest.to_bytes()].concat());
            }
        }
        stalled.push(ws);
    }
    // An echo on another connection comes after the server has read all of that, in practice. The
    // server would allocate at a header, before it reads the frame's next byte.
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text("hello"));
    ws.expect(Opcode::TEXT, "hello");
    let grown = writable_kib().saturating_sub(before);
    // The headers claim 3 GiB. Threads of this test and of tests that run beside it take 2 MiB of
    // address space each for a stack.
    assert!(
        grown < STALLED * 8 * 1024,
        "{grown} KiB for {STALLED} stalled frames"
    );
}

#[test]
fn ws_19_one_who_still_pushes_sees_1009_and_then_the_end() {
    let (server, reports) = echo();
    let mut ws = WsClient::open(server.addr(), "/");
    let claim = 17 * MIB as u64;
    ws.client.send(Frame::binary("").claiming(claim).header());
    // Less than the server drains, in pieces that come while it closes.
    for _ in 0..25 {
        ws.client.send([0x55; 10_000]);
    }
    ws.expect_close_and_eof(1009);
    ws.client.send([0x55; 1000]);
    let report = reports.recv_timeout(DEADLINE).expect("the closure ended");
    assert_eq!(report.outcome, Err("peer's frame: too long".to_owned()));
}

#[test]
fn ws_15_too_many_fragments_are_1008() {
    let (server, _) = echo();
    let empty = Frame::continuation("").unfinished().to_bytes();
    // The server accepts 131,072 fragments: this is the first and the last of them, and all
    // between.
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text("a").unfinished());
    ws.client.send(empty.repeat(131_070));
    ws.send(&Frame::continuation("b"));
    ws.expect(Opcode::TEXT, "ab");

    ws.send(&Frame::text("a").unfinished());
    ws.client.send(empty.repeat(131_073));
    ws.expect_close_and_eof(1008);

    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text("a").unfinished());
    ws.client.send(empty.repeat(131_072));
    ws.expect_close_and_eof(1008);
}

#[test]
fn ws_15_pongs_that_nobody_asked_for_are_ignored() {
    let (server, _) = echo();
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::pong(""));
    ws.send(&Frame::pong("unsolicited"));
    ws.send(&Frame::text("hel").unfinished());
    ws.send(&Frame::pong(vec![0xff; 125]));
    ws.send(&Frame::continuation("lo"));
    ws.expect(Opcode::TEXT, "hello");
    ws.close();
}

#[test]
fn ws_15_what_comes_after_close_is_discarded() {
    let (server, reports) = echo();
    for behind in [
        Frame::text("hello").to_bytes(),
        Frame::ping("hello").to_bytes(),
        Frame::close(3000, "again").to_bytes(),
        // The server does not even look at these.
        Frame::text("hello").unmasked().to_bytes(),
        vec![0xff; 1000],
        Frame::binary(vec![0; 100_000]).to_bytes(),
    ] {
        let mut ws = WsClient::open(server.addr(), "/");
        ws.client
            .send([Frame::close(1000, "bye").to_bytes(), behind].concat());
        ws.expect_close_and_eof(1000);
        let report = reports.recv_timeout(DEADLINE).expect("the closure ended");
        assert_eq!(report.messages.len(), 1, "more than the Close: {report:?}");
        assert_eq!(report.outcome, Ok(()));
    }
}

#[test]
fn ws_15_close_within_a_fragmented_message_is_echoed() {
    let (server, reports) = echo();
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text("hel").unfinished());
    ws.send(&Frame::close(1001, "leaving"));
    ws.expect_close_and_eof(1001);
    let report = reports.recv_timeout(DEADLINE).expect("the closure ended");
    assert_eq!(report.messages.len(), 1, "{report:?}");
    assert_eq!(report.outcome, Ok(()));
}
