//! Signals that ask a process to end. Each test starts its own test again in a child process, which
//! serves until it is asked.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use akurai_http::{Request, Response, Router, Server};
use akurai_server::{on_hangup, stop_on_signals};
use akurai_tests::{Client, as_switched, this_program};

use crate::serving::PATIENCE;

/// Longer than any test takes: a server that stops has been asked.
const GRACE: Duration = Duration::from_secs(600);

const IS_CHILD: &str = "AKURAI_IS_CHILD";

pub(crate) fn is_child() -> bool {
    std::env::var_os(IS_CHILD).is_some()
}

/// A server that stops on signals, on a thread of its own. It answers a POST when it has its body.
fn serve() -> thread::JoinHandle<()> {
    let server = as_switched(Server::bind("127.0.0.1:0").expect("a free port"));
    stop_on_signals(server.handle(), GRACE).expect("signals can be caught");
    eprintln!("at {}", server.local_addr().expect("an address"));
    let app = Router::new()
        .get("/", |_| Response::text("here"))
        .post("/", |req: &Request| -> std::io::Result<Response> {
            Ok(Response::text(req.body()?.to_vec()))
        });
    thread::spawn(move || server.run(app).expect("it stops"))
}

pub(crate) struct Process {
    child: Child,
    stderr: Option<BufReader<ChildStderr>>,
}

impl Process {
    /// The test of this name in a child process. `sh` prepares the process first. If it does not,
    /// no signal is ignored, even if `nohup` runs the tests.
    pub(crate) fn start(name: &str, sh: &str) -> Process {
        let by_default =
            "env --default-signal true 2>/dev/null && exec env --default-signal \"$0\" \"$@\";";
        let sh = if sh.is_empty() { by_default } else { sh };
        let mut child = this_program(&["sh", "-c", &format!("{sh} exec \"$0\" \"$@\"")])
            .args([name, "--exact", "--nocapture"])
            .env(IS_CHILD, "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it can be run again");
        let stderr = child.stderr.take().expect("it is piped");
        Process {
            child,
            stderr: Some(BufReader::new(stderr)),
        }
    }

    /// The rest of what the process says.
    pub(crate) fn take_stderr(&mut self) -> BufReader<ChildStderr> {
        self.stderr.take().expect("it is taken once")
    }

    /// Where the next server of the process listens.
    pub(crate) fn address(&mut self) -> SocketAddr {
        let mut line = String::new();
        let stderr = self.stderr.as_mut().expect("it is not taken");
        stderr.read_line(&mut line).expect("stderr is UTF-8");
        let addr = line.trim_end().strip_prefix("at ");
        let addr = addr.unwrap_or_else(|| panic!("no address: {line:?}"));
        addr.parse().expect("an address")
    }

    /// Sends these signals, in as little time as possible.
    pub(crate) fn signal(&self, signals: &[&str]) {
        let id = self.child.id();
        let kills: Vec<String> = signals
            .iter()
            .map(|name| format!("kill -{name} {id}"))
            .collect();
        let status = Command::new("sh").args(["-c", &kills.join("; ")]).status();
        assert!(status.expect("sh runs").success());
    }

    /// Sends SIGSTOP, and waits until the whole process has stopped.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub(crate) fn stop(&self) {
        self.signal(&["STOP"]);
        let begun = Instant::now();
        let tasks = format!("/proc/{}/task", self.child.id());
        let is_stopped = |task: std::io::Result<std::fs::DirEntry>| {
            let stat = task.and_then(|task| std::fs::read_to_string(task.path().join("stat")));
            // A thread that has just ended does not run either.
            stat.map_or(true, |stat| stat.contains(") T "))
        };
        while !std::fs::read_dir(&tasks).expect("it runs").all(is_stopped) {
            assert!(begun.elapsed() < PATIENCE, "it does not stop");
            thread::yield_now();
        }
    }

    #[track_caller]
    fn ends(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            thread::yield_now();
        }
    }

    /// Whether the process ended in peace: its test passed.
    #[track_caller]
    fn ends_in_peace(&mut self) {
        let status = self.ends();
        let mut told = String::new();
        if let Some(stderr) = &mut self.stderr {
            let _ = stderr.read_to_string(&mut told);
        }
        assert!(status.success(), "{status}: {told}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client whose request is being answered: the handler waits for its body.
fn in_progress(addr: SocketAddr) -> Client {
    let mut client = Client::connect(addr);
    client.send("POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    let head = client.read_through(b"\r\n\r\n");
    assert!(head.starts_with(b"HTTP/1.1 100 "));
    client
}

/// A client that waits for nothing, so that the server ends its connection when it stops.
fn idle(addr: SocketAddr) -> Client {
    let mut client = Client::connect(addr);
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.read_response().text(), "here");
    client
}

#[test]
fn either_signal_lets_requests_in_progress_finish() {
    const NAME: &str = "signals::either_signal_lets_requests_in_progress_finish";
    if is_child() {
        return serve().join().unwrap();
    }
    for signal in ["INT", "TERM"] {
        let mut process = Process::start(NAME, "");
        let addr = process.address();
        let (mut busy, mut idle) = (in_progress(addr), idle(addr));
        process.signal(&[signal]);
        idle.expect_eof();
        busy.send("body");
        let answer = busy.read_response();
        assert_eq!((answer.status, answer.text()), (200, "body"), "{signal}");
        busy.expect_eof();
        process.ends_in_peace();
    }
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    const NAME: &str = "signals::a_second_signal_ends_the_process_at_once";
    if is_child() {
        return serve().join().unwrap();
    }
    for (first, second, status) in [
        ("INT", "TERM", 143),
        ("TERM", "INT", 130),
        ("TERM", "TERM", 143),
    ] {
        let mut process = Process::start(NAME, "");
        let addr = process.address();
        let (_busy, mut idle) = (in_progress(addr), idle(addr));
        process.signal(&[first]);
        idle.expect_eof();
        process.signal(&[second]);
        assert_eq!(process.ends().code(), Some(status), "{first}, {second}");
    }
    // The second comes before any thread can have seen the first.
    let mut process = Process::start(NAME, "");
    let _busy = in_progress(process.address());
    process.signal(&["STOP", "INT", "TERM", "CONT"]);
    let status = process.ends();
    assert!(matches!(status.code(), Some(130 | 143)), "{status}");
}

#[test]
fn a_signal_stops_every_server_of_the_process() {
    if is_child() {
        for server in [serve(), serve()] {
            server.join().unwrap();
        }
        // The process was asked to end, so another server ends as soon as it begins.
        return serve().join().unwrap();
    }
    let mut process = Process::start("signals::a_signal_stops_every_server_of_the_process", "");
    let addrs = [process.address(), process.address()];
    let mut clients = addrs.map(idle);
    process.signal(&["TERM"]);
    for client in &mut clients {
        client.expect_eof();
    }
    process.ends_in_peace();
}

/// As a script's `&` starts a program, so that Ctrl-C ends only what is in the foreground.
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    if is_child() {
        return serve().join().unwrap();
    }
    let name = "signals::a_signal_that_was_ignored_stays_ignored";
    let mut process = Process::start(name, "trap '' INT;");
    let addr = process.address();
    process.signal(&["INT"]);
    idle(addr);
    // Were the first one caught, this one would be the second, and end the process with 143.
    process.signal(&["TERM"]);
    process.ends_in_peace();
}

/// Three tests in one, since a process can ask for SIGHUP once.
#[test]
fn each_hangup_calls_the_program() {
    const NAME: &str = "signals::each_hangup_calls_the_program";
    if is_child() {
        let mut calls = 0;
        on_hangup(move || {
            calls += 1;
            eprintln!("at 127.0.0.1:{calls}");
            if calls == 2 {
                std::panic::resume_unwind(Box::new("planned")); // Without a line on stderr.
            }
        })
        .expect("SIGHUP can be caught");
        let error = on_hangup(|| {}).expect_err("it is caught already");
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
        return serve().join().unwrap();
    }
    let mut process = Process::start(NAME, "");
    let addr = process.address();
    // The second of them panics.
    for call in 1..=3 {
        process.signal(&["HUP"]);
        assert_eq!(process.address().port(), call);
    }
    // Several that come before the program runs are at least one call.
    process.signal(&["STOP", "HUP", "HUP", "CONT"]);
    assert_eq!(process.address().port(), 4);
    idle(addr);
    process.signal(&["TERM"]);
    process.ends_in_peace();

    // As `nohup` starts a program.
    let mut process = Process::start(NAME, "trap '' HUP;");
    let addr = process.address();
    process.signal(&["HUP"]);
    idle(addr);
    process.signal(&["TERM"]);
    let mut told = String::new();
    process
        .take_stderr()
        .read_to_string(&mut told)
        .expect("it is UTF-8");
    assert!(!told.contains("at "), "it is not called: {told}");
    process.ends_in_peace();
}
