//! The server for `tests/tls`: `akurai-tls rustls|openssl CERTIFICATES FILES IDLE_SECONDS
//! MAX_CONNECTIONS`. It prints a port for TLS and one without, answers the line `stats`, reads the
//! certificates again at the line `reload`, and ends by SIGTERM.

mod app;
mod configs;
#[cfg(test)]
mod in_memory;
mod info;
mod over_openssl;
mod over_rustls;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use akurai_http::{Limits, Server, Stats};
use akurai_server::stop_on_signals;
use configs::{openssl_context, rustls_config};
use openssl::ssl::SslContext;
use over_openssl::OpensslSession;
use over_rustls::RustlsSession;
use rustls::ServerConfig;

/// What a new connection gets; a reload replaces it.
fn current<T: Clone>(current: &Mutex<T>) -> T {
    current
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [layer, certificates, files, idle_seconds, max_connections] = &args[..] else {
        return Err("rustls|openssl CERTIFICATES FILES IDLE_SECONDS MAX_CONNECTIONS".into());
    };
    let certificates = PathBuf::from(certificates);
    let rustls = Arc::new(Mutex::new(rustls_config(&certificates)?));
    let openssl = Arc::new(Mutex::new(openssl_context(&certificates)?));

    let limits = Limits::default()
        .idle_timeout(Duration::from_secs(idle_seconds.parse()?))
        .max_connections(max_connections.parse()?);
    let server = Server::bind("127.0.0.1:0")?.limits(limits);
    let server = match layer.as_str() {
        "rustls" => {
            let rustls = Arc::clone(&rustls);
            server.with_session(move |_| RustlsSession::new(current(&rustls)))?
        }
        "openssl" => {
            let openssl = Arc::clone(&openssl);
            server.with_session(move |_| OpensslSession::new(&current(&openssl)))?
        }
        _ => return Err(format!("there is no layer {layer}").into()),
    };
    let server = server.listen("127.0.0.1:0")?;

    let handle = server.handle();
    let app = app::app(files, server.handle())?;
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            match line.as_str() {
                "stats" => println!("{}", told(&handle.stats())),
                _ => println!("{:?}", reload(&certificates, &rustls, &openssl)),
            }
        }
    });
    stop_on_signals(server.handle(), Duration::from_secs(5))?;
    let ports = server
        .local_addrs()
        .map(|addr| Ok(addr?.port().to_string()));
    println!("{}", ports.collect::<io::Result<Vec<_>>>()?.join(" "));
    Ok(server.run(app)?)
}

fn reload(
    certificates: &Path,
    rustls: &Mutex<Arc<ServerConfig>>,
    openssl: &Mutex<SslContext>,
) -> Result<(), Box<dyn Error>> {
    let (new_config, new_context) = (rustls_config(certificates)?, openssl_context(certificates)?);
    *rustls.lock().unwrap_or_else(PoisonError::into_inner) = new_config;
    *openssl.lock().unwrap_or_else(PoisonError::into_inner) = new_context;
    Ok(())
}

fn told(stats: &Stats) -> String {
    format!(
        "{{\"failed_sessions\":{},\"overloaded\":{},\"connections\":{},\"upgraded\":{}}}",
        stats.failed_sessions, stats.overloaded, stats.connections, stats.upgraded,
    )
}
