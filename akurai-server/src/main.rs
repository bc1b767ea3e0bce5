//! The demo: `akurai-server --help` tells.

mod options;

use std::io;
use std::process::ExitCode;
use std::time::Instant;

use akurai_http::{Router, Server};
use options::{Command, Options, USAGE};

/// The command line was wrong, as most programs say it.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    // A name that is not UTF-8 is no address, and as a directory it is spelled as well as can be.
    let args = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned());
    let options = match Command::parse(args) {
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
            eprintln!("akurai-server: {error}; see --help");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("akurai-server: {message}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: &Options) -> Result<(), String> {
    let mut app = akurai_server::app();
    if let Some(dir) = &options.dir {
        if !dir.is_dir() {
            return Err(format!("{} is not a directory", dir.display()));
        }
        app = app.files("/files", dir);
    }
    if !options.quiet {
        app = with_access_log(app);
    }
    let bind_error = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => format!("{} is in use by another program", options.addr),
        _ => format!("cannot listen on {}: {error}", options.addr),
    };
    let server = Server::bind(&*options.addr).map_err(bind_error)?;
    let addr = server.local_addr().map_err(bind_error)?;
    eprintln!("akurai-server listening on http://{addr}");
    server
        .run(app)
        .map_err(|error| format!("cannot serve: {error}"))
}

/// A line on stderr for each request: the client, the request line, the status, and how long the handler took.
fn with_access_log(app: Router) -> Router {
    app.wrap(|req, next| {
        let begun = Instant::now();
        let reply = next(req);
        let peer = req
            .peer_addr()
            .map_or_else(|| "-".to_owned(), |peer| peer.to_string());
        let status = reply.response().status().code();
        eprintln!(
            "{peer} {} {} {status} {:.1?}",
            req.method(),
            req.path(),
            begun.elapsed()
        );
        reply
    })
}
