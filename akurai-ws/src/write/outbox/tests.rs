//! The outbox without sockets and clocks: small programs, run in all orders of their threads.

mod scene;

use super::escort::Escort;
use super::*;
use crate::settings::WhenFull;
use crate::write::model;
use scene::Op::{self, *};
use scene::{Pipe, QUEUE_BYTES, Scene};

/// Runs a program in all orders, with so many faults of the peer in each.
#[track_caller]
fn check(when_full: WhenFull, faults: usize, most_preemptions: usize, program: &[&[Op]]) -> usize {
    let settings = Settings {
        max_queue_bytes: QUEUE_BYTES,
        max_queue_messages: 3,
        when_full,
        ..Settings::default()
    };
    // More takes minutes, and is for changes of the outbox.
    let more = std::env::var("AKURAI_MORE_ORDERS").map_or(0, |more| more.parse().unwrap());
    let escort: &Escort<Pipe> = Box::leak(Box::new(Escort::new()));
    let begun = Instant::now();
    let runs = model::explore(most_preemptions + more, || {
        let scene = Scene::new(settings, faults, escort);
        let threads = program.iter().enumerate();
        let bodies = threads.map(|(n, ops)| scene.thread(n, ops)).collect();
        (bodies, Box::new(move |report| scene.verify(report)))
    });
    println!(
        "{runs} orders of {program:?}, {when_full:?}, {faults} faults: {:?}",
        begun.elapsed()
    );
    runs
}

const POLICIES: [WhenFull; 3] = [WhenFull::Wait, WhenFull::Refuse, WhenFull::Close];

#[test]
fn threads_that_send() {
    check(WhenFull::Wait, 0, 9, &[&[Send, Send], &[Send, Send]]);
    check(
        WhenFull::Wait,
        0,
        2,
        &[&[Send, Ping], &[Send, Post], &[Send]],
    );
    check(WhenFull::Wait, 1, 2, &[&[Send, Send], &[Ping, Send]]);
    check(WhenFull::Wait, 2, 1, &[&[Send, Send], &[Send, Send]]);
}

#[test]
fn threads_that_fill_the_queue() {
    for when_full in POLICIES {
        check(when_full, 0, 2, &[&[SendLong], &[Send, Send, Send, Send]]);
        check(when_full, 1, 1, &[&[Send, Send], &[Post, PostFull, Post]]);
        check(
            when_full,
            1,
            1,
            &[&[PostFull, Send], &[PostLater, PostFull, PostNow]],
        );
    }
}

#[test]
fn threads_that_post() {
    check(WhenFull::Close, 1, 2, &[&[Post, Post], &[Post, Send]]);
    check(WhenFull::Close, 2, 1, &[&[Post, PostFull, Post], &[Send]]);
    check(
        WhenFull::Close,
        2,
        1,
        &[&[PostLater, PostLater, PostNow], &[Post, PostNow]],
    );
}

#[test]
fn threads_that_write_themselves_what_is_long() {
    check(
        WhenFull::Wait,
        0,
        2,
        &[&[SendLong], &[Send, Send], &[SendLong]],
    );
    check(WhenFull::Close, 1, 1, &[&[SendLong, Send], &[Send, Post]]);
    check(
        WhenFull::Close,
        0,
        2,
        &[&[SendLong], &[Stream(2)], &[PostLater, PostNow]],
    );
}

#[test]
fn a_fragmented_message_and_what_may_come_between() {
    check(
        WhenFull::Close,
        0,
        2,
        &[&[Stream(2)], &[Send, Ping], &[Pong, Pong]],
    );
    check(
        WhenFull::Close,
        0,
        1,
        &[&[Stream(2)], &[Stream(2)], &[Post, Keepalive]],
    );
    check(
        WhenFull::Close,
        1,
        1,
        &[&[Stream(2), Send], &[Post, Ping, Pong]],
    );
    check(WhenFull::Close, 0, 2, &[&[Stream(2)], &[Send, Close]]);
}

#[test]
fn a_reader_that_answers_pings_and_holds_messages_back() {
    check(
        WhenFull::Close,
        0,
        3,
        &[&[Hold, Pong, Hold, Flush], &[Send, Send]],
    );
    check(
        WhenFull::Close,
        1,
        1,
        &[&[Hold, Keepalive, Pong, Flush], &[Post, Send]],
    );
    check(
        WhenFull::Close,
        0,
        2,
        &[&[Hold, Hold, Flush], &[SendLong], &[PostLater, PostNow]],
    );
}

#[test]
fn a_close_from_this_side() {
    check(
        WhenFull::Close,
        0,
        1,
        &[&[Send, Close, Send], &[Send, Send], &[HearAnswer]],
    );
    check(
        WhenFull::Close,
        1,
        0,
        &[&[Post, PostClose], &[Send, Send], &[HearAnswer]],
    );
    check(WhenFull::Close, 0, 3, &[&[Hold, Finish], &[Send, SendLong]]);
    check(WhenFull::Close, 1, 1, &[&[Hold, Finish], &[Post, Send]]);
    check(
        WhenFull::Close,
        0,
        1,
        &[&[Close], &[PostClose], &[SendLong]],
    );
}

#[test]
fn a_close_from_the_other_side_and_other_ends() {
    check(
        WhenFull::Close,
        0,
        2,
        &[&[Pong, AnswerClose, Finish], &[Send, Send]],
    );
    check(
        WhenFull::Close,
        1,
        1,
        &[&[AnswerClose, Finish], &[Post, Close]],
    );
    check(WhenFull::Close, 1, 1, &[&[Fail, Finish], &[Send, Post]]);
    check(WhenFull::Close, 1, 1, &[&[Pong, End], &[SendLong], &[Post]]);
    check(WhenFull::Close, 1, 1, &[&[End, Finish], &[SendLong, Post]]);
    check(WhenFull::Close, 0, 2, &[&[Fail, Finish], &[Stream(2)]]);
}
