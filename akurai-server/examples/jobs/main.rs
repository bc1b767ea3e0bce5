//! A job runner's console: `cargo run --example jobs`, then http://127.0.0.1:8090 in several
//! windows. Jobs are programs that this file names.
//!
//! All pages see the jobs' states live. The log of a job comes line by line, and a page that comes
//! late gets it from its first line on. A line `progress N` of a job says that it is done to N %.
//! A job has no time limit, and goes on when this program ends: std has no groups of processes.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use akurai_http::middleware::CrossOriginProtection;
use akurai_http::{Reply, Request, Response, Router, Server, Status};
use akurai_server::{EventId, Hub, HubOptions, Retention, stop_on_signals};

const BUILD: &str =
    "for n in $(seq 20); do echo part $n; echo progress $((5 * n)); sleep 0.4; done";
const FAIL: &str = "echo it begins well; sleep 1; echo and then it does not >&2; exit 3";
/// What a page may start, by name. A page never says what is run.
const PROGRAMS: [(&str, &str); 3] = [("build", BUILD), ("files", "ls -l /"), ("fail", FAIL)];
const RUNNING: &str = "running";
const MAX_RUNNING: usize = 4;
/// How many jobs are kept, with their logs.
const MAX_JOBS: usize = 20;
/// Longer logs are cut off, and say so.
const MAX_LINES: usize = 2000;
/// A longer line becomes several. In bytes.
const MAX_LINE: u64 = 1024;
const CUT: &str = "(the rest is not kept)";
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1);
    let server = Server::bind(addr.as_deref().unwrap_or("127.0.0.1:8090"))?
        // No page of another site reaches it by a name of its own that leads here.
        .hosts(["localhost", "127.0.0.1", "[::1]"])?;
    stop_on_signals(server.handle(), Duration::from_secs(10))?;
    println!("http://{} until Ctrl-C", server.local_addr()?);
    server.run(app(&Hub::new(HubOptions::default())?, &PROGRAMS))
}

pub(crate) fn app(hub: &Hub, programs: &'static [(&str, &str)]) -> Router {
    let runner = Runner {
        hub: hub.clone(),
        programs,
        jobs: Arc::default(),
    };
    let changes = hub.clone();
    let of = |handler: fn(&Runner, &Request) -> io::Result<Reply>| {
        let runner = runner.clone();
        move |req: &Request| handler(&runner, req)
    };
    Router::new()
        .get("/", |_| Response::html(include_str!("page.html")))
        .get("/jobs", of(Runner::list))
        .get("/changes", move |req| changes.sse(req, &["changes"]))
        .post("/jobs/{program}", of(Runner::start))
        .get("/jobs/{id}/log", of(Runner::log))
        .wrap(CrossOriginProtection::new().middleware())
}

#[derive(Clone)]
struct Runner {
    hub: Hub,
    programs: &'static [(&'static str, &'static str)],
    /// The oldest first.
    jobs: Arc<Mutex<VecDeque<Job>>>,
}

struct Job {
    id: u64,
    name: &'static str,
    state: String,
    percent: u8,
    /// The place before its log.
    begin: EventId,
}

impl Job {
    fn line(&self) -> String {
        let (id, name, begin) = (self.id, self.name, self.begin);
        format!("{id}\t{name}\t{}\t{}\t{begin}", self.state, self.percent)
    }

    fn topic(id: u64) -> String {
        format!("log {id}")
    }
}

impl Runner {
    /// The programs, the place of this state in the stream of changes, and a line for each job.
    fn list(&self, _: &Request) -> io::Result<Reply> {
        let jobs = self.lock();
        let names = self.programs.iter().map(|(name, _)| *name);
        let names = names.collect::<Vec<_>>().join("\t");
        let mut text = format!("{names}\n{}", self.hub.last_id());
        for job in jobs.iter() {
            text += &format!("\n{}", job.line());
        }
        let answer = Response::text(text);
        Ok(answer.with_header("Cache-Control", "no-store").into())
    }

    fn start(&self, req: &Request) -> io::Result<Reply> {
        let mut jobs = self.lock();
        let program = req.param("program").unwrap_or_default();
        let Some(&(name, script)) = self.programs.iter().find(|(name, _)| *name == program) else {
            return Ok(Status::NOT_FOUND.into());
        };
        if jobs.iter().filter(|job| job.state == RUNNING).count() == MAX_RUNNING {
            return Ok(Status::SERVICE_UNAVAILABLE.into());
        }
        if jobs.len() == MAX_JOBS {
            let oldest = jobs.iter().position(|job| job.state != RUNNING);
            let oldest = oldest.and_then(|place| jobs.remove(place));
            oldest.inspect(|job| self.hub.release(&Job::topic(job.id)));
        }
        let mut shell = Command::new("sh");
        // Both outputs into one pipe, so that their lines keep their order.
        shell.args(["-c", &format!("exec 2>&1\n{script}")]);
        shell.stdin(Stdio::null()).stdout(Stdio::piped());
        let child = shell.spawn()?;
        let id = jobs.back().map_or(1, |job| job.id + 1);
        let keep = Retention::default().max_events(MAX_LINES + 2);
        let keep = keep.max_bytes(8 << 20).max_age(KEPT_FOR);
        self.hub.retain(&Job::topic(id), keep);
        let (state, begin) = (RUNNING.to_owned(), self.hub.last_id());
        let job = Job {
            id,
            name,
            state,
            percent: 0,
            begin,
        };
        self.hub.publish("changes", "", &job.line())?;
        jobs.push_back(job);
        drop(jobs);
        let runner = self.clone();
        thread::Builder::new().spawn(move || runner.watch(id, child))?;
        Ok(Response::text(id.to_string()).into())
    }

    /// Tells how a job ended, whatever became of its output.
    fn watch(&self, id: u64, mut child: Child) -> io::Result<()> {
        let output = child.stdout.take().expect("it is piped");
        let read = self.read(id, BufReader::new(output));
        let end = child.wait()?;
        let told = self.hub.publish(&Job::topic(id), "end", &end.to_string());
        self.change(id, |job| {
            job.state = end.to_string();
            job.percent = if end.success() { 100 } else { job.percent };
        })?;
        read.and(told.map(|_| ()))
    }

    /// Reads the output of a job to its end.
    fn read(&self, id: u64, mut out: impl BufRead) -> io::Result<()> {
        let (topic, mut lines, mut line) = (Job::topic(id), 0, Vec::new());
        while (&mut out).take(MAX_LINE).read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            if let Some(Ok(percent)) = text.strip_prefix("progress ").map(str::parse) {
                self.change(id, |job| job.percent = u8::min(percent, 100))?;
            } else if lines <= MAX_LINES {
                let text = if lines < MAX_LINES { text } else { CUT };
                self.hub.publish(&topic, "line", text)?;
                lines += 1;
            }
            line.clear();
        }
        Ok(())
    }

    /// Changes a job, and tells all pages. Under one lock, so that they see the changes in order.
    fn change(&self, id: u64, change: impl FnOnce(&mut Job)) -> io::Result<()> {
        let mut jobs = self.lock();
        if let Some(job) = jobs.iter_mut().find(|job| job.id == id) {
            change(job);
            self.hub.publish("changes", "", &job.line())?;
        }
        Ok(())
    }

    /// The log behind the place that the page names: the job's `begin`, or the last line it has.
    fn log(&self, req: &Request) -> io::Result<Reply> {
        let id = req.parse_param("id")?;
        if !self.lock().iter().any(|job| job.id == id) {
            return Ok(Status::NOT_FOUND.into());
        }
        Ok(self.hub.sse(req, &[&Job::topic(id)]))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
