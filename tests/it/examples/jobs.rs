//! The example `jobs`.

// The test does not run `main`: it listens at a port that may be taken.
#[allow(dead_code)]
#[path = "../../../akurai-server/examples/jobs/main.rs"]
mod example;

use akurai_server::{Hub, HubOptions};
use akurai_tests::{TempDir, TestServer};

use super::{Reader, ask, has_a_page};

fn server(programs: &[(&str, &str)], seconds: u32) -> TestServer {
    // So that only what the example keeps is there.
    let hub = Hub::new(HubOptions::default().max_ring_events(16)).unwrap();
    has_a_page(example::app(&hub, programs, seconds).unwrap())
}

fn start(server: &TestServer, name: &str) -> u16 {
    let request = format!("POST /jobs/{name} HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
    ask(server, &request).status
}

/// Reads states up to this one of this job. Returns the place before its log.
#[track_caller]
fn until(states: &mut Reader, begin: &str) -> String {
    loop {
        let event = states.next();
        if let Some(place) = event.data.strip_prefix(begin) {
            return place.to_owned();
        }
    }
}

fn log(server: &TestServer, name: &str, begin: &str) -> Reader {
    let path = format!("/jobs/{name}/log?last_event_id={begin}");
    Reader::open(server, &path, "")
}

/// The events up to the end, and how the job ended.
#[track_caller]
fn read(mut log: Reader) -> (Vec<String>, String) {
    let mut lines = Vec::new();
    loop {
        let event = log.next();
        match event.event.as_str() {
            "line" => lines.push(event.data),
            end => {
                assert_eq!(end, "end");
                return (lines, event.data);
            }
        }
    }
}

/// Starts a job, and reads its log when it has ended. A page may not see a state that is short.
#[track_caller]
fn ended(server: &TestServer, name: &str) -> (Vec<String>, String) {
    let mut states = Reader::open(server, "/states", "");
    let of_job = format!("{name}\t");
    let before = until(&mut states, &of_job);
    assert_eq!(start(server, name), 204);
    loop {
        let state = until(&mut states, &of_job);
        if state != before && state.starts_with("exit") {
            let (_, begin) = state.rsplit_once('\t').unwrap();
            return read(log(server, name, begin));
        }
    }
}

#[test]
fn all_pages_see_a_job_and_a_late_one_its_log_from_the_beginning() {
    let dir = TempDir::new();
    let gate = dir.join("gate");
    let script = format!(
        "echo one; echo progress 50; while ! [ -e {} ]; do sleep 0.05; done; echo two; echo three",
        gate.display()
    );
    let server = server(&[("other", "true"), ("gated", &script)], 600);
    let mut pages = [(); 2].map(|()| Reader::open(&server, "/states", ""));
    for page in &mut pages {
        until(page, "other\tnever started\t0\t");
        until(page, "gated\tnever started\t0\t");
    }
    assert_eq!(start(&server, "gated"), 204);
    let begins = pages
        .each_mut()
        .map(|page| until(page, "gated\trunning\t50\t"));
    assert_eq!(begins[0], begins[1]);
    assert_eq!(start(&server, "gated"), 409);
    let mut watcher = log(&server, "gated", &begins[0]);
    assert_eq!(watcher.next().data, "one");
    dir.write("gate", "");
    assert_eq!(watcher.next().data, "two");
    assert_eq!(read(watcher).0, ["three"]);
    for page in &mut pages {
        until(page, "gated\texit status: 0\t100\t");
    }
    let (lines, end) = read(log(&server, "gated", &begins[0]));
    assert_eq!(lines, ["one", "two", "three"]);
    assert_eq!(end, "exit status: 0");
    // It can run again, and its new log is apart. A page that comes now sees how it ended.
    let mut late = Reader::open(&server, "/states", "");
    until(&mut late, "gated\texit status: 0\t100\t");
    assert_eq!(ended(&server, "gated").0, ["one", "two", "three"]);
}

#[test]
fn a_log_has_both_outputs_and_an_end_and_is_bounded() {
    let programs = [
        ("fail", "echo out; echo err >&2; exit 3"),
        ("long", "printf '%01500d' 7"),
        (
            "talk",
            "i=0; while [ $i -lt 2100 ]; do echo $i; i=$((i + 1)); done",
        ),
    ];
    let server = server(&programs, 600);
    let (lines, end) = ended(&server, "fail");
    assert_eq!(lines, ["out", "err"]);
    assert_eq!(end, "exit status: 3");
    assert_eq!(ended(&server, "long").0.concat().len(), 1500);
    let (lines, _) = ended(&server, "talk");
    assert_eq!(
        (lines.len(), &*lines[0], &*lines[1999]),
        (2001, "0", "1999")
    );
    assert_eq!(lines[2000], "(the rest is not kept)");
    assert_eq!(start(&server, "rm"), 404);
}

/// With what it started: that would keep its output open.
#[test]
fn a_job_that_takes_too_long_is_ended() {
    let server = server(&[("hang", "echo begun; sleep 10000 & sleep 10000")], 1);
    let (lines, end) = ended(&server, "hang");
    assert_eq!(lines, ["begun"]);
    assert_eq!(end, "exit status: 124");
}
