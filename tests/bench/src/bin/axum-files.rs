//! The same files in axum's usual style: tower-http's `ServeDir`.

use std::io;
use std::path::Path;

use axum::Router;
use axum::serve::ListenerExt;
use bench_task::{end_with_input, root};
use tower_http::services::ServeDir;

#[tokio::main]
async fn main() -> io::Result<()> {
    let files = ServeDir::new(Path::new(&root()).join("files"));
    let app = Router::new().nest_service("/files", files);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    end_with_input();
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await
}
