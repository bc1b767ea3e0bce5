//! The example `document`, by messages as `y-websocket` sends them.

// The test does not run `main`: it listens at a port that may be taken.
#[allow(dead_code)]
#[path = "../../../akurai-ws/examples/document/main.rs"]
mod example;

use akurai_tests::{Frame, Opcode, TestServer, WsClient, eventually};

use super::has_a_page;

const ASK_FOR_ALL: [u8; 4] = [0, 0, 1, 0];

/// A member, which is asked for what it has behind these updates.
#[track_caller]
fn join(server: &TestServer, room: &str, updates: &[&[u8]]) -> WsClient {
    let mut member = WsClient::open(server.addr(), room);
    for update in updates {
        member.expect(Opcode::BINARY, update);
    }
    member.expect(Opcode::BINARY, ASK_FOR_ALL);
    member
}

#[test]
fn updates_reach_those_who_are_here_and_those_who_come_later() {
    let server = has_a_page(example::app());
    let mut ann = join(&server, "/a", &[]);
    let mut other = join(&server, "/b", &[]);
    ann.send(&Frame::binary(ASK_FOR_ALL));
    ann.expect(Opcode::BINARY, [0, 1, 2, 0, 0]);
    ann.send(&Frame::binary([0, 2, 1, 65]));
    ann.send(&Frame::binary([0, 2, 1, 66]));
    ann.send(&Frame::binary(ASK_FOR_ALL));
    ann.expect(Opcode::BINARY, [0, 1, 2, 0, 0]);
    let mut bob = join(&server, "/a", &[&[0, 2, 1, 65], &[0, 2, 1, 66]]);
    ann.send(&Frame::binary([0, 2, 1, 67]));
    bob.expect(Opcode::BINARY, [0, 2, 1, 67]);
    // Bob's answer stands for what he had when he was asked: 65 and 66, not 67. An answer that
    // nobody asked for stands for itself alone.
    bob.send(&Frame::binary([0, 1, 3, 65, 66, 68]));
    bob.send(&Frame::binary([0, 1, 1, 69]));
    ann.expect(Opcode::BINARY, [0, 2, 3, 65, 66, 68]);
    ann.expect(Opcode::BINARY, [0, 2, 1, 69]);
    // Who is here is told to others, and not kept.
    bob.send(&Frame::binary([1, 7, 7]));
    ann.expect(Opcode::BINARY, [1, 7, 7]);
    let kept: [&[u8]; 3] = [&[0, 2, 1, 67], &[0, 2, 3, 65, 66, 68], &[0, 2, 1, 69]];
    let cid = join(&server, "/a", &kept);
    for member in [ann, bob, cid] {
        member.close();
    }
    // The room is kept without members. The other room got nothing.
    join(&server, "/a", &kept).close();
    other.send(&Frame::binary(ASK_FOR_ALL));
    other.expect(Opcode::BINARY, [0, 1, 2, 0, 0]);
    other.close();
}

#[test]
fn what_the_protocol_does_not_have_ends_the_connection() {
    let server = has_a_page(example::app());
    for frame in [Frame::text("a"), Frame::binary([])] {
        let mut member = join(&server, "/a", &[]);
        member.send(&frame);
        member.expect_close(1003);
    }
}

#[test]
fn a_room_that_is_full_becomes_smaller_when_its_client_comes_back() {
    let server = has_a_page(example::app());
    let mut update = vec![7; 2_000_000];
    update[..2].copy_from_slice(&[0, 2]);
    let mut member = join(&server, "/a", &[]);
    for _ in 0..3 {
        member.send(&Frame::binary(update.clone()));
    }
    member.expect_close(1009);
    let mut member = join(&server, "/a", &[&update, &update]);
    member.send(&Frame::binary([0, 1, 1, 65]));
    member.send(&Frame::binary(update.clone()));
    member.send(&Frame::binary(ASK_FOR_ALL));
    member.expect(Opcode::BINARY, [0, 1, 2, 0, 0]);
    join(&server, "/a", &[&[0, 2, 1, 65], &update]).close();
}

#[test]
fn an_answer_that_finds_no_room_replaces_nothing() {
    let server = has_a_page(example::app());
    let mut large = vec![7; 2_000_000];
    large[..2].copy_from_slice(&[0, 2]);
    let mut ann = join(&server, "/a", &[]);
    ann.send(&Frame::binary([0, 2, 1, 65]));
    ann.send(&Frame::binary(ASK_FOR_ALL));
    ann.expect(Opcode::BINARY, [0, 1, 2, 0, 0]);
    let mut bob = join(&server, "/a", &[&[0, 2, 1, 65]]);
    for _ in 0..2 {
        ann.send(&Frame::binary(large.clone()));
        bob.expect(Opcode::BINARY, &large);
    }
    let mut answer = large[..500_000].to_vec();
    answer[1] = 1;
    bob.send(&Frame::binary(answer));
    bob.expect_close(1009);
    join(&server, "/a", &[&[0, 2, 1, 65], &large, &large]).close();
}

#[test]
fn rooms_and_their_members_are_bounded() {
    let server = has_a_page(example::app());
    let mut members: Vec<_> = (0..64).map(|_| join(&server, "/0", &[])).collect();
    WsClient::open(server.addr(), "/0").expect_close(1013);
    let rooms: Vec<_> = (1..100)
        .map(|n| join(&server, &format!("/{n}"), &[]))
        .collect();
    WsClient::open(server.addr(), "/100").expect_close(1013);
    members.pop().unwrap().close();
    eventually("a member left", || {
        let mut member = WsClient::open(server.addr(), "/0");
        member.read_frame().opcode == Opcode::BINARY
    });
    drop(rooms);
    eventually("a room is empty", || {
        let mut member = WsClient::open(server.addr(), "/100");
        member.read_frame().opcode == Opcode::BINARY
    });
}
