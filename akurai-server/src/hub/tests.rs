//! The hub's shard, its members' thread and their mailboxes: small programs, run in all orders of
//! their threads. The clock is the model's. The clients' sockets are real, and no thread waits at
//! them.

mod clients;
mod log;
mod scene;

use std::time::Instant;

use super::options::HubOptions;
use crate::model;
use scene::Op::{self, *};
use scene::Scene;

const A: &str = "a";
const B: &str = "b";

/// Runs a program in all orders.
fn check_with(options: &HubOptions, most_preemptions: usize, program: &[&[Op]]) {
    // More takes minutes, and is for changes of the hub.
    let more = std::env::var("AKURAI_MORE_ORDERS").map_or(0, |more| more.parse().unwrap());
    let begun = Instant::now();
    let runs = model::explore(most_preemptions + more, || {
        let scene = Scene::new(options.clone(), program);
        let main = scene.main();
        (vec![main], Box::new(move |_| scene.verify()))
    });
    println!("{runs} orders of {program:?}: {:?}", begun.elapsed());
}

fn check(most_preemptions: usize, program: &[&[Op]]) {
    check_with(&HubOptions::default(), most_preemptions, program);
}

#[test]
fn streams_that_begin_while_events_are_published() {
    check(2, &[&[Publish(A), Publish(A)], &[Subscribe(0, &[A])]]);
    check(
        1,
        &[
            &[Publish(A), Publish(B)],
            &[Subscribe(0, &[A, B]), Publish(A)],
            &[Subscribe(1, &[B])],
        ],
    );
}

#[test]
fn streams_that_come_back() {
    check(
        2,
        &[&[Publish(A), Publish(B), Publish(A)], &[Return(0, &[A])]],
    );
    check(2, &[&[Publish(A), Follow(0, &[A])], &[Publish(A)]]);
    check(
        1,
        &[
            &[Publish(A), Follow(0, &[A, B])],
            &[Subscribe(1, &[A]), Publish(B)],
        ],
    );
}

#[test]
fn streams_that_are_ahead_of_this_node() {
    check(2, &[&[Read(A), Read(A), Read(A)], &[Ahead(0, &[A], 2)]]);
    check(
        1,
        &[
            &[Read(A), Read(B), Read(A)],
            &[Ahead(0, &[A, B], 1)],
            &[Ahead(1, &[B], 2)],
        ],
    );
}

#[test]
fn events_that_come_in_the_pause() {
    check(
        2,
        &[&[Subscribe(0, &[A]), Pause, Publish(A), Pause, Publish(A)]],
    );
    check(
        1,
        &[
            &[Subscribe(0, &[A]), Pause, Publish(A), Publish(A)],
            &[Pause, Publish(A), Publish(A)],
        ],
    );
}

#[test]
fn streams_of_a_topic_that_ends() {
    check(
        2,
        &[&[Subscribe(0, &[A]), Pause, Publish(A), End(A), Publish(A)]],
    );
    check(
        2,
        &[&[Publish(A), End(A), Publish(A)], &[Subscribe(0, &[A])]],
    );
    check(
        1,
        &[
            &[Subscribe(0, &[A, B]), Publish(A), End(B)],
            &[Publish(A), Publish(B)],
            &[Subscribe(1, &[A])],
        ],
    );
}

#[test]
fn streams_that_lose_events() {
    let options = HubOptions::default().max_ring_events(1);
    check_with(
        &options,
        2,
        &[&[Subscribe(0, &[A]), Publish(A), Publish(A), Publish(A)]],
    );
    check_with(
        &options,
        1,
        &[
            &[Subscribe(0, &[A]), Publish(B), Publish(A), Publish(B)],
            &[Subscribe(1, &[B])],
        ],
    );
    check_with(
        &options,
        1,
        &[&[Publish(A), Publish(B), Publish(A)], &[Return(0, &[A])]],
    );
}

#[test]
fn streams_that_read_late() {
    check(
        1,
        &[&[Subscribe(0, &[A]), Large(A), Publish(A), Pause, Publish(A)]],
    );
    check(
        1,
        &[&[Subscribe(0, &[A]), Large(A), Publish(A), End(A), Publish(A)]],
    );
    let options = HubOptions::default().max_backlog_events(1);
    check_with(
        &options,
        1,
        &[
            &[Subscribe(0, &[A]), Large(A), Publish(A), Pause],
            &[Subscribe(1, &[A]), Publish(A)],
        ],
    );
}

#[test]
fn clients_that_leave() {
    check(
        1,
        &[
            &[Subscribe(0, &[A]), Gone(0), Publish(A)],
            &[Subscribe(1, &[A]), Publish(A)],
        ],
    );
}

#[test]
fn members_that_join_and_leave() {
    check(2, &[&[Publish(A), Publish(A)], &[Join(0, A)]]);
    check(
        2,
        &[&[Join(0, A), Pause, Leave(0), Publish(A)], &[Publish(A)]],
    );
    check(
        1,
        &[
            &[Publish(A), Publish(B)],
            &[Join(0, A), Join(0, B), Publish(A)],
            &[Join(1, A), Leave(1)],
        ],
    );
    check(
        2,
        &[&[Join(1, A), Pause, Greet(A, 2)], &[Pause, Join(0, A)]],
    );
}

#[test]
fn members_that_lose_events() {
    let options = HubOptions::default().max_ring_events(1);
    let loses = [Join(1, A), Pause, Publish(A)];
    let joins = [Pause, Join(0, B), Publish(B), Publish(A)];
    check_with(&options, 1, &[&loses, &joins]);
    let loses = [Join(0, A), Publish(B), Publish(A), Publish(B), Publish(A)];
    check_with(&options, 2, &[&loses]);
}

#[test]
fn members_that_come_back() {
    check(2, &[&[Publish(A), Publish(A)], &[JoinAfter(0, A)]]);
    check(
        1,
        &[&[Publish(A), Join(1, A)], &[JoinAfter(0, A), Publish(A)]],
    );
}

#[test]
fn members_of_a_topic_that_ends() {
    check(2, &[&[Publish(A), End(A), Publish(A)], &[Join(0, A)]]);
    check(
        1,
        &[
            &[Join(0, A), Publish(A), End(A)],
            &[Join(1, B), Publish(B), Publish(A)],
        ],
    );
    let dismissal = [Join(1, A), Pause, EndAll(A, 2), Publish(A)];
    check(1, &[&dismissal, &[Pause, Join(0, A)]]);
}

#[test]
fn streams_beside_members() {
    check(
        1,
        &[&[Subscribe(0, &[A]), Publish(A)], &[Join(1, A), Publish(A)]],
    );
}
