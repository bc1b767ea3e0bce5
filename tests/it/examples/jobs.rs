//! The example `jobs`.

// The test does not run `main`: it listens at a port that may be taken.
#[allow(dead_code)]
#[path = "../../../akurai-server/examples/jobs/main.rs"]
mod example;

use akurai_server::{Hub, HubOptions};
use akurai_tests::{TempDir, TestServer, eventually};

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

/// Starts a job. One that has just ended tells so a moment before it can be started.
#[track_caller]
fn starts(server: &TestServer, name: &str) {
    eventually("the job can be started", || {
        let status = start(server, name);
        assert!([204, 409].contains(&status), "{name}: {status}");
        status == 204
    });
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
    starts(server, name);
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
    let begins = (1..=3).any(|seconds| {
        let server = server(
            &[("hang", "echo begun; sleep 10000 & sleep 10000")],
            seconds,
        );
        let (lines, end) = ended(&server, "hang");
        assert_eq!(end, "exit status: 124");
        // On a busy machine the time may be over before the shell begins.
        assert!(lines.is_empty() || lines == ["begun"], "{lines:?}");
        !lines.is_empty()
    });
    assert!(begins, "3 s are too short for a shell to begin");
}

/// The job sleeps so that a state that came too early would be seen.
#[test]
fn a_job_whose_line_is_refused_has_ended_when_its_state_says_so() {
    let dir = TempDir::new();
    let ended = dir.join("ended");
    let script = format!("printf '%01000d\\n' 7; sleep 0.5; : > {}", ended.display());
    // A line of 1,000 bytes counts for more than seven eighths of it.
    let hub = Hub::new(HubOptions::default().max_ring_bytes(2048)).unwrap();
    let server = has_a_page(example::app(&hub, &[("long", &script)], 600).unwrap());
    let mut states = Reader::open(&server, "/states", "");
    until(&mut states, "long\tnever started\t");
    starts(&server, "long");
    let state = loop {
        let state = until(&mut states, "long\t");
        if !state.starts_with("running") {
            break state;
        }
    };
    assert!(!state.starts_with("exit") && ended.exists(), "{state}");
}
