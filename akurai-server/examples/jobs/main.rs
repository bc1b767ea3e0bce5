//! A job runner's console: `cargo run --example jobs`, then http://127.0.0.1:8090 in several
//! windows. Jobs are programs that this file names. Each runs at most once at a time.
//!
//! All pages see the jobs' states live. The log of a job comes line by line, and a page that comes
//! late gets it from its first line on. A line `progress N` of a job says that it is done to N %.
//! The program `timeout` (GNU) ends a script that takes too long, by SIGTERM to its process group.
//! A script must leave nothing in the background: a job lasts until no process holds its output.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use akurai_http::middleware::CrossOriginProtection;
use akurai_http::{Request, Response, Router, Server, Status};
use akurai_server::{EventId, Hub, HubOptions, Retention, stop_on_signals};

const BUILD: &str =
    "for n in $(seq 20); do echo part $n; echo progress $((5 * n)); sleep 0.4; done";
const FAIL: &str = "echo it begins well; sleep 1; echo and then it does not >&2; exit 3";
/// What a page may start, by name. A page never says what is run.
const PROGRAMS: &[(&str, &str)] = &[("build", BUILD), ("files", "ls -l /"), ("fail", FAIL)];
const MAX_SECONDS: u32 = 60;
/// Longer logs are cut off, and say so.
const MAX_LINES: usize = 2000;
/// A longer line becomes several.
const MAX_LINE_BYTES: u64 = 1024;
const KEPT_FOR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1);
    let server = Server::bind(addr.as_deref().unwrap_or("127.0.0.1:8090"))?
        // No page of another site reaches it by a name of its own that leads here.
        .hosts(["localhost", "127.0.0.1", "[::1]"])?;
    stop_on_signals(server.handle(), Duration::from_secs(10))?;
    println!("http://{} until Ctrl-C", server.local_addr()?);
    let hub = Hub::new(HubOptions::default())?;
    server.run(app(&hub, PROGRAMS, MAX_SECONDS)?)
}

pub(crate) fn app(hub: &Hub, programs: &[(&str, &str)], seconds: u32) -> io::Result<Router> {
    let hub = hub.clone();
    let mut states = Vec::new();
    let mut router = Router::new().get("/", |_| Response::html(include_str!("page.html")));
    for (name, script) in programs {
        let job = Job::new(&hub, name, script, seconds)?;
        states.push(job.state.clone());
        let (hub, log, path) = (hub.clone(), job.log.clone(), format!("/jobs/{name}"));
        router = router
            .post(&path, move |_| job.start())
            .get(&format!("{path}/log"), move |req| hub.sse(req, &[&log]));
    }
    let router = router.get("/states", move |req: &Request| {
        let topics: Vec<_> = states.iter().map(String::as_str).collect();
        hub.sse(req, &topics)
    });
    Ok(router.wrap(CrossOriginProtection::new().middleware()))
}

struct Job {
    hub: Hub,
    name: String,
    script: String,
    seconds: u32,
    is_running: AtomicBool,
    /// Two topics. Each page gets the last state first, and then each change.
    state: String,
    log: String,
}

impl Job {
    fn new(hub: &Hub, name: &str, script: &str, seconds: u32) -> io::Result<Arc<Job>> {
        let job = Job {
            hub: hub.clone(),
            name: name.to_owned(),
            script: script.to_owned(),
            seconds,
            is_running: AtomicBool::new(false),
            state: format!("state {name}"),
            log: format!("log {name}"),
        };
        let keep = Retention::default().max_age(KEPT_FOR);
        hub.retain(&job.state, keep.max_events(1));
        hub.latest_only(&job.state);
        hub.retain(&job.log, keep.max_events(MAX_LINES + 2).max_bytes(8 << 20));
        job.tell("never started", 0, hub.last_id())?;
        Ok(Arc::new(job))
    }

    /// Tells all pages how far the job is. `begin` is the place before its log.
    fn tell(&self, state: &str, percent: u8, begin: EventId) -> io::Result<()> {
        let line = format!("{}\t{state}\t{percent}\t{begin}", self.name);
        self.hub.publish(&self.state, "", &line).map(drop)
    }

    fn start(self: &Arc<Job>) -> io::Result<Response> {
        if self.is_running.swap(true, Ordering::AcqRel) {
            return Ok(Response::new(Status::CONFLICT));
        }
        let job = Arc::clone(self);
        let thread = thread::Builder::new().spawn(move || {
            let begin = job.hub.last_id();
            let (percent, state) = job.run(begin).unwrap_or_else(|e| (0, e.to_string()));
            let _ = job.hub.publish(&job.log, "end", &state);
            let _ = job.tell(&state, percent, begin);
            job.is_running.store(false, Ordering::Release);
        });
        thread.inspect_err(|_| self.is_running.store(false, Ordering::Release))?;
        Ok(Response::new(Status::NO_CONTENT))
    }

    /// Runs the program to its end. Returns how many percent were done, and how it ended.
    fn run(&self, begin: EventId) -> io::Result<(u8, String)> {
        self.tell("running", 0, begin)?;
        let mut child = Command::new("timeout")
            .args(["--kill-after=5", &self.seconds.to_string(), "sh", "-c"])
            // Both outputs into one pipe, so that their lines keep their order.
            .arg(format!("exec 2>&1\n{}", self.script))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let percent = self.follow(child.stdout.take().expect("it is piped"), begin);
        // After an error, too. Then the output is closed, and SIGPIPE ends a script that writes on.
        let (end, percent) = (child.wait()?, percent?);
        Ok((if end.success() { 100 } else { percent }, end.to_string()))
    }

    /// Publishes the output, up to its end. Returns how many percent were done.
    fn follow(&self, output: impl Read, begin: EventId) -> io::Result<u8> {
        let (mut line, mut lines, mut percent) = (Vec::new(), 0, 0);
        let mut output = BufReader::new(output).take(MAX_LINE_BYTES);
        while output.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            if let Some(Ok(done)) = text.trim_end().strip_prefix("progress ").map(str::parse) {
                percent = u8::min(done, 100);
                self.tell("running", percent, begin)?;
            } else if lines <= MAX_LINES {
                let rest = (lines == MAX_LINES).then_some("(the rest is not kept)");
                let text = rest.unwrap_or(text.trim_end());
                self.hub.publish(&self.log, "line", text)?;
                lines += 1;
            }
            line.clear();
            output.set_limit(MAX_LINE_BYTES);
        }
        Ok(percent)
    }
}
