//! The demo: `akurai-server --help` lists its options.

#![forbid(unsafe_code)]

mod demo;

use std::ffi::OsString;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use akurai_http::{Files, Server, middleware};
use akurai_server::{Hub, HubOptions, Metrics, Redis, RedisOptions, stop_on_signals};
use demo::arguments::{Command, LogFormat, Options, USAGE};
use demo::dashboard::Publisher;
use demo::routes::app;

/// How long requests in progress may take after a signal asked the server to end.
const GRACE: Duration = Duration::from_secs(30);

/// The address that stands for a listener on standard input.
const STDIN: &str = "stdin";

/// The exit status for a wrong command line, the same as in most programs.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    // A name that is not UTF-8 is no address. For a directory, the lossy spelling is good enough.
    let spelled = |word: OsString| word.to_string_lossy().into_owned();
    let args = std::env::args_os().skip(1).map(spelled);
    let options = match Command::parse(args, |name| std::env::var_os(name).map(spelled)) {
        Ok(Command::Serve(options)) => options,
        Ok(Command::Help) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Ok(Command::Version) => {
            println!("akurai-server {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            say(&format_args!("akurai-server: {error}; see --help"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say(&format_args!("akurai-server: {message}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(options: &Options) -> Result<(), String> {
    let hub = hub(options.engine.as_deref())?;
    let mut app = app(&hub);
    if let Some(dir) = &options.dir {
        if !dir.is_dir() {
            return Err(format!("{} is not a directory", dir.display()));
        }
        // A developer who serves a local directory wants to see the latest changes.
        let files = Files::dir(dir).cache_control("no-cache");
        app = app.files("/files", if options.list { files.listing() } else { files });
    }
    if !options.quiet {
        app = match options.log {
            LogFormat::Plain => app.wrap(middleware::access_log(|line| say(line))),
            LogFormat::Json => app.wrap(middleware::access_log(|line| say(&line.json()))),
        };
    }
    let mut server = bind(&options.addrs)?;
    let hosts = hosts(options, server.local_addrs().flatten());
    if !hosts.is_empty() {
        let listed = server.hosts(hosts);
        server = listed.map_err(|error| format!("cannot answer: {error}"))?;
    }
    for addr in server.local_addrs() {
        let addr = addr.map_err(|error| format!("no address: {error}"))?;
        announce(&format!("http://{addr}"));
    }
    for addr in &options.addrs {
        if addr.starts_with("unix:") || addr == STDIN {
            announce(addr);
        }
    }
    let handle = server.handle();
    let counted = hub.clone();
    let metrics = Metrics::new();
    let measured = metrics.clone();
    let app = app
        .wrap(metrics.measure())
        .get("/metrics", move |_| metrics.response(&handle, &[&counted]));
    let node = options.engine.as_ref().map(|_| node_name());
    let _publisher = Publisher::start(&hub, server.handle(), measured, node)
        .map_err(|error| format!("cannot watch the server: {error}"))?;
    stop_on_signals(server.handle(), GRACE)
        .map_err(|error| format!("cannot catch signals: {error}"))?;
    server
        .run(app)
        .map_err(|error| format!("cannot serve: {error}"))
}

/// A name that distinguishes this node from others of its engine.
fn node_name() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

fn hub(engine: Option<&str>) -> Result<Hub, String> {
    let Some(url) = engine else {
        return Hub::new(HubOptions::default()).map_err(|error| format!("no hub: {error}"));
    };
    let redis = Redis::new(url, RedisOptions::default()).map_err(|error| error.to_string())?;
    let warning = redis.warning();
    let hub = Hub::with_engine(HubOptions::default(), redis).map_err(|error| error.to_string())?;
    match warning {
        Ok(None) => {}
        Ok(Some(warning)) => say(&format_args!("akurai-server: warning: {warning}")),
        Err(error) => say(&format_args!(
            "akurai-server: warning: cannot tell what happens when the memory is full: {error}"
        )),
    }
    Ok(hub)
}

fn bind(addrs: &[String]) -> Result<Server, String> {
    let mut server = Server::unbound();
    for addr in addrs {
        server = listen(server, addr).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse if error.raw_os_error().is_some() => {
                format!("{addr} is in use by another program")
            }
            _ => format!("cannot listen on {addr}: {error}"),
        })?;
    }
    Ok(server)
}

#[cfg(unix)]
fn listen(server: Server, addr: &str) -> io::Result<Server> {
    match addr.strip_prefix("unix:") {
        Some(path) => server.listen_unix(path),
        None if addr == STDIN => server.listen_fd(io::stdin().as_fd().try_clone_to_owned()?),
        None => server.listen(addr),
    }
}

#[cfg(not(unix))]
fn listen(server: Server, addr: &str) -> io::Result<Server> {
    match addr == STDIN || addr.starts_with("unix:") {
        true => Err(io::ErrorKind::Unsupported.into()),
        false => server.listen(addr),
    }
}

/// The host names that the server answers to; empty means any. A server on the network has names
/// that only its operator knows. On loopback only, any other name belongs to a page of another site
/// that tries to read this server's answers.
fn hosts(options: &Options, bound: impl Iterator<Item = SocketAddr>) -> Vec<String> {
    let bound: Vec<IpAddr> = bound.map(|addr| addr.ip()).collect();
    let is_local = !bound.is_empty() && bound.iter().all(|ip| ip.to_canonical().is_loopback());
    if !is_local && options.hosts.is_empty() {
        return Vec::new();
    }
    let mut hosts = ["localhost", "127.0.0.1", "[::1]"]
        .map(str::to_owned)
        .to_vec();
    hosts.extend(bound.iter().map(IpAddr::to_string));
    // The host names that `--addr` gave: `bound` has only their IP addresses.
    let named = options
        .addrs
        .iter()
        .filter_map(|addr| addr.rsplit_once(':'));
    let named = named.filter(|(host, _)| !host.is_empty() && !host.contains([':', '/']));
    hosts.extend(named.map(|(host, _)| host.to_owned()));
    hosts.extend(options.hosts.iter().cloned());
    hosts
}

/// Prints the addresses. On a terminal they are underlined, because terminals make links of them.
fn announce(address: &str) {
    let is_coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (begin, end) = if is_coloured {
        ("\x1b[1;4m", "\x1b[0m")
    } else {
        ("", "")
    };
    say(&format_args!(
        "akurai-server listening on {begin}{address}{end}"
    ));
}

/// Writes a line to stderr with one call. stderr has no buffer, so a formatted write makes one
/// system call for each piece of the line: 30 for a line of the log. The reader of stderr may be
/// gone. This must stop neither a request nor the shutdown, but `eprintln` would panic.
fn say(line: &dyn fmt::Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
