//! The payload of a Close (RFC 6455 §5.5.1, §7.4).

use akurai_tests::{Frame, Opcode, WsClient};

use super::{all_fail_with, echo};

#[test]
fn ws_12_codes_that_may_be_sent_are_echoed() {
    let (server, _) = echo();
    for code in (1000..=1003)
        .chain(1007..=1014)
        .chain([3000, 3001, 3999, 4000, 4999])
    {
        for reason in ["", "bye", "\u{2603} \u{1f600}", &"r".repeat(123)] {
            let mut ws = WsClient::open(server.addr(), "/");
            ws.send(&Frame::close(code, reason));
            let echoed = ws.read_frame();
            assert_eq!(echoed.close_code(), Some(code));
            let text = &echoed.payload[2..];
            assert!(
                text.is_empty() || text == reason.as_bytes(),
                "{code} came back with {text:?}"
            );
            ws.client.expect_eof();
        }
    }
}

#[test]
fn ws_12_an_empty_close_is_echoed_empty() {
    let (server, _) = echo();
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::opcode(Opcode::CLOSE, ""));
    assert_eq!(ws.read_frame().close_code(), None);
    ws.client.expect_eof();

    let mut ws = WsClient::open(server.addr(), "/");
    ws.client
        .send_bytewise(Frame::close(1000, "bye").to_bytes());
    ws.expect_close_and_eof(1000);
}

#[test]
fn ws_12_codes_that_may_not_be_sent_are_1002() {
    let (server, _) = echo();
    let codes = [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1017, 1100, 2000, 2999, 5000, 5001, 9999, 32_768,
        65_535,
    ];
    let cases = codes.iter().flat_map(|code| {
        [
            (format!("code {code}"), Frame::close(*code, "").to_bytes()),
            (
                format!("code {code} with a reason"),
                Frame::close(*code, "bye").to_bytes(),
            ),
        ]
    });
    all_fail_with(&server, 1002, cases);
    all_fail_with(
        &server,
        1002,
        [("one byte", Frame::opcode(Opcode::CLOSE, [3]).to_bytes())],
    );
}

#[test]
fn ws_12_a_reason_that_is_not_utf8_is_1007() {
    let (server, _) = echo();
    let reasons: [(&str, &[u8]); 5] = [
        ("FF", b"\xff"),
        ("C0 AF", b"bye \xc0\xaf"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("beyond U+10FFFF", b"\xf4\x90\x80\x80"),
        ("cut off", b"bye \xe2\x98"),
    ];
    all_fail_with(
        &server,
        1007,
        reasons.map(|(name, reason)| (name, Frame::close(1000, reason).to_bytes())),
    );
}
