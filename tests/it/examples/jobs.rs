//! The example `jobs`.

// The test does not run `main`: it listens at a port that may be taken.
#[allow(dead_code)]
#[path = "../../../akurai-server/examples/jobs/main.rs"]
mod example;

use akurai_server::{Hub, HubOptions};
use akurai_tests::{TempDir, TestServer};

use super::{Reader, ask, get, has_a_page};

const PROGRAMS: [(&str, &str); 3] = [
    ("fail", "echo out; echo err >&2; exit 3"),
    (
        "talk",
        "i=0; while [ $i -lt 2100 ]; do echo $i; i=$((i + 1)); done; printf '%01500d' 7",
    ),
    ("two words", "true"),
];

fn server(programs: &'static [(&'static str, &'static str)]) -> TestServer {
    let hub = Hub::new(HubOptions::default()).unwrap();
    has_a_page(example::app(&hub, programs))
}

#[track_caller]
fn start(server: &TestServer, program: &str) -> String {
    let request = format!("POST /jobs/{program} HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
    let answer = ask(server, &request);
    assert_eq!(answer.status, 200);
    answer.text().to_owned()
}

/// The log of a job, which a page finds in the list.
#[track_caller]
fn log(server: &TestServer, id: &str) -> Reader {
    let list = get(server, "/jobs");
    let mut jobs = list.text().lines().skip(2).map(|line| line.split('\t'));
    let mut job = jobs.find(|job| job.clone().next() == Some(id)).unwrap();
    let path = format!("/jobs/{id}/log?last_event_id={}", job.nth(4).unwrap());
    Reader::open(server, &path, "")
}

/// The lines up to the end, and how the job ended.
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

#[test]
fn all_pages_see_a_job_and_a_late_one_its_log_from_the_beginning() {
    let dir = TempDir::new();
    let gate = dir.join("gate");
    let script = format!(
        "echo one; echo progress 50; while ! [ -e {} ]; do sleep 0.05; done; echo two; echo three",
        gate.display()
    );
    let server = server(vec![("gated", &*script.leak())].leak());
    let list = get(&server, "/jobs");
    let mut lines = list.text().lines();
    assert_eq!(lines.next(), Some("gated"));
    let path = format!("/changes?last_event_id={}", lines.next().unwrap());
    assert_eq!(lines.next(), None);
    let mut changes = [(); 2].map(|()| Reader::open(&server, &path, ""));
    let id = start(&server, "gated");
    let mut watcher = log(&server, &id);
    assert_eq!(watcher.next().data, "one");
    for changes in &mut changes {
        assert!(changes.next().data.starts_with("1\tgated\trunning\t0\t"));
        assert!(changes.next().data.starts_with("1\tgated\trunning\t50\t"));
    }
    dir.write("gate", "");
    assert_eq!(watcher.next().data, "two");
    assert_eq!(read(watcher).0, ["three"]);
    for changes in &mut changes {
        assert!(
            changes
                .next()
                .data
                .starts_with("1\tgated\texit status: 0\t100\t")
        );
    }
    let (lines, end) = read(log(&server, &id));
    assert_eq!(lines, ["one", "two", "three"]);
    assert_eq!(end, "exit status: 0");
}

#[test]
fn a_log_has_both_outputs_and_an_end_and_is_bounded() {
    let server = server(&PROGRAMS);
    let (lines, end) = read(log(&server, &start(&server, "fail")));
    assert_eq!(lines, ["out", "err"]);
    assert_eq!(end, "exit status: 3");
    let (lines, _) = read(log(&server, &start(&server, "talk")));
    assert_eq!(lines.len(), 2001);
    assert_eq!(
        (&*lines[1999], &*lines[2000]),
        ("1999", "(the rest is not kept)")
    );
    // Twenty jobs are kept.
    for n in 0..18 {
        read(log(&server, &start(&server, "two%20words")));
        assert_eq!(get(&server, "/jobs").text().lines().count(), 2 + 3 + n);
    }
    log(&server, "1");
    start(&server, "fail");
    assert_eq!(get(&server, "/jobs/1/log").status, 404);
    assert_eq!(
        ask(&server, "POST /jobs/rm HTTP/1.1\r\nHost: t\r\n\r\n").status,
        404
    );
}
