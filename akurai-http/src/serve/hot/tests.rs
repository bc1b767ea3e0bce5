//! Lending without sockets and clocks: small programs, run in all orders of their threads. Each
//! connection is a script, and begins with a thread of its own.

mod scene;

use std::time::Instant;

use super::model;
use scene::Op::{self, *};
use scene::Scene;

/// Runs a program in all orders. So many threads may sweep.
fn check(places: usize, most_preemptions: usize, program: &[&[Op]]) {
    // More takes minutes, and is for changes of the set.
    let more = std::env::var("AKURAI_MORE_ORDERS").map_or(0, |more| more.parse().unwrap());
    let begun = Instant::now();
    let runs = model::explore(most_preemptions + more, || {
        let scene = Scene::new(places, program);
        let bodies = (0..program.len()).map(|id| scene.thread(id)).collect();
        (bodies, Box::new(move |report| scene.verify(report)))
    });
    println!(
        "{runs} orders of {program:?}, {places} places: {:?}",
        begun.elapsed()
    );
}

#[test]
fn requests_that_come_at_once() {
    check(1, 2, &[&[Get], &[Get, Get]]);
    check(1, 2, &[&[Get, Get], &[Get, Get], &[Get]]);
    check(2, 1, &[&[Get; 4], &[Get; 4], &[Get; 4]]);
    check(1, 2, &[&[Get, Behind, Get], &[Get, Get, Behind]]);
}

#[test]
fn requests_that_come_late() {
    check(1, 2, &[&[Get, Late(1), Get], &[Get, Get]]);
    check(1, 1, &[&[Late(3), Late(3)], &[Get, Late(5)], &[Get]]);
    check(1, 1, &[&[Get, Late(100)], &[Get, Late(100)]]);
    check(1, 1, &[&[Get, Late(100)], &[Get; 9]]);
    check(
        1,
        1,
        &[
            &[Get, Late(100), Get],
            &[Get, Late(101)],
            &[Get, Late(16), Get],
        ],
    );
    check(2, 1, &[&[Get, Get, Late(4)], &[Get, Get, Get], &[Get; 3]]);
}

#[test]
fn connections_that_need_a_thread() {
    check(1, 2, &[&[Get, Part, Get], &[Get, Get]]);
    check(1, 1, &[&[Get, Part, Part], &[Get, Part], &[Get, Get]]);
    check(1, 2, &[&[Get, Close], &[Get, Get, Get]]);
    check(2, 1, &[&[Get, Close], &[Get, Part], &[Get, Get]]);
}

#[test]
fn faults_of_ours() {
    check(1, 2, &[&[Get, Fault], &[Get, Get]]);
    check(
        1,
        1,
        &[&[Get, FaultWithin], &[Get, Late(9), Get], &[Get, Late(9)]],
    );
}

#[test]
fn handlers_that_take_long() {
    check(1, 2, &[&[Get, Slow(80)], &[Get, Get]]);
    check(1, 1, &[&[Get, Slow(80), Get], &[Get, Get], &[Get, Get]]);
    check(
        1,
        1,
        &[&[Get, Slow(36)], &[Get, Slow(80)], &[Get, Get, Get]],
    );
    check(
        1,
        1,
        &[
            &[Get, Slow(36), Behind],
            &[Get, Late(20), Slow(80)],
            &[Get, Get],
        ],
    );
    check(2, 1, &[&[Get, Get, Slow(80)], &[Get; 3], &[Get; 3]]);
    check(
        1,
        1,
        &[&[Get, Slow(20), Slow(20)], &[Get, Get], &[Get, Late(99)]],
    );
}

#[test]
fn handlers_that_end_after_their_sweep_was_taken_over() {
    check(1, 1, &[&[Get, Slow(10)], &[Get, Slow(80)], &[Get, Get]]);
    check(
        1,
        1,
        &[
            &[Get, Slow(10), SlowBehind(80)],
            &[Get, Slow(80)],
            &[Get, Get],
        ],
    );
    check(
        1,
        1,
        &[&[Get, Slow(80)], &[Get, Late(20)], &[Get, Late(20)]],
    );
}

#[test]
fn slow_handlers_beside_two_sweeps() {
    const MANY: [Op; 10] = [Get; 10];
    let busy = [&[Get, Late(2)], &MANY[..], &[Slow(9)]].concat();
    let silent = [&[Get, Late(2)], &MANY[..], &[Late(5), Late(12)]].concat();
    check(2, 1, &[&busy, &silent, &[Get, Known(60)]]);
    check(
        1,
        1,
        &[
            &[Get, Known(20), Known(20)],
            &[Get, Get, Slow(20)],
            &[Get, Late(9)],
        ],
    );
}

#[test]
fn handlers_that_wait_for_another_request() {
    check(1, 2, &[&[Get, Poll], &[Get, Publish]]);
    check(1, 1, &[&[Get, Poll], &[Get, Poll], &[Get, Publish]]);
    check(
        1,
        1,
        &[
            &[Get, Poll, Get],
            &[Get, Slow(36)],
            &[Get, Late(50), Publish],
        ],
    );
    check(2, 1, &[&[Get, Poll], &[Get, Part, Publish], &[Get, Get]]);
}
