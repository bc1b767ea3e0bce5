//! The same with axum and tokio-rustls: `axum-tls DIRECTORY [one]`, see `tls`. tokio's runtime is
//! its default one, or `one` thread's.

use std::path::Path;

use akurai_bench::client::Result;
use akurai_bench::tls;
use bench_task::end_with_input;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio_rustls::TlsAcceptor;

#[allow(dead_code, reason = "its main serves plain TCP")]
#[path = "axum-web.rs"]
mod web;

fn main() -> Result<()> {
    let config = tls::server(Path::new(&bench_task::root()))?;
    let mut runtime = match std::env::args().nth(2).as_deref() {
        Some("one") => runtime::Builder::new_current_thread(),
        _ => runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    runtime.block_on(serve(TlsAcceptor::from(config)))
}

async fn serve(acceptor: TlsAcceptor) -> Result<()> {
    let app = web::app();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    end_with_input();
    loop {
        let (stream, _) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        tokio::spawn(connection(acceptor.clone(), stream, app.clone()));
    }
}

async fn connection(acceptor: TlsAcceptor, stream: TcpStream, app: axum::Router) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = TowerToHyperService::new(app);
    let builder = Builder::new(TokioExecutor::new()).http1_only();
    let stream = TokioIo::new(stream);
    let _ = builder
        .serve_connection_with_upgrades(stream, service)
        .await;
}
