//! `Handle::on_stop`: threads of the program learn that the server stops.

use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use akurai_http::{FailureKind, Request, Response, Server};
use akurai_tests::DEADLINE;

#[test]
fn a_stop_is_told_once_and_at_once_if_it_has_begun() {
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let handle = server.handle();
    let (tell, told) = mpsc::channel();
    let notice = |name: &'static str| {
        let (tell, handle) = (tell.clone(), handle.clone());
        // It may use the handle: no lock is held.
        move || {
            handle.shutdown(Duration::from_secs(600));
            handle.stats();
            tell.send((name, handle.is_stopping())).unwrap();
        }
    };
    handle.on_stop(notice("first"));
    let running = thread::spawn(move || server.run(|_: &Request| Response::text("got")));
    handle.on_stop(notice("second"));
    assert!(!handle.is_stopping());
    assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Empty));

    handle.shutdown(Duration::ZERO);
    assert!(handle.is_stopping());
    handle.shutdown(Duration::ZERO);
    running.join().unwrap().unwrap();
    handle.on_stop(notice("late"));
    for name in ["first", "second", "late"] {
        assert_eq!(told.recv_timeout(DEADLINE), Ok((name, true)));
    }
    assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Empty));
}

#[test]
fn a_notice_that_hangs_or_panics_does_not_hold_up_the_stop() {
    let (tell, told) = mpsc::channel();
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let server = server.on_error(move |failure| {
        let _ = tell.send((failure.kind(), failure.to_string()));
    });
    let handle = server.handle();
    let (release, held) = mpsc::channel::<()>();
    let (called, calls) = mpsc::channel();
    handle.on_stop(|| panic!("planned"));
    handle.on_stop(move || {
        let _ = held.recv();
    });
    handle.on_stop(move || called.send(()).unwrap());
    let running = thread::spawn(move || server.run(|_: &Request| Response::text("got")));
    let stopper = thread::spawn(move || handle.shutdown(Duration::from_secs(600)));
    running.join().unwrap().unwrap();
    assert_eq!(calls.try_recv(), Err(mpsc::TryRecvError::Empty));
    drop(release);
    stopper.join().unwrap();
    assert_eq!(calls.recv_timeout(DEADLINE), Ok(()));
    let panic = (FailureKind::Panic, "panicked: planned".to_owned());
    assert_eq!(told.recv_timeout(DEADLINE), Ok(panic));
}

#[test]
fn a_server_that_never_runs_tells_its_stop_too() {
    let server = Server::unbound();
    let (called, calls) = mpsc::channel();
    server.handle().on_stop(move || called.send(()).unwrap());
    server.handle().shutdown(Duration::ZERO);
    assert_eq!(calls.recv_timeout(DEADLINE), Ok(()));
}
