//! The same with axum: `axum-web [one]`. tokio's runtime is its default one, with a worker for each
//! core, or `one` thread's. `/compute` computes in the handler, as ours does.

use std::convert::Infallible;
use std::io;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{DefaultBodyLimit, Path};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use bench_task::{SLOW, TEXT, compute, end_with_input, pieces};
use futures_util::{StreamExt, stream};
use tokio::{runtime, time};

fn main() -> io::Result<()> {
    let mut runtime = match std::env::args().nth(1).as_deref() {
        Some("one") => runtime::Builder::new_current_thread(),
        _ => runtime::Builder::new_multi_thread(),
    };
    runtime.enable_all().build()?.block_on(serve())
}

async fn serve() -> io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    end_with_input();
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app()).await
}

pub fn app() -> Router {
    Router::new()
        .route("/", get(async || TEXT))
        .route(
            "/slow",
            get(async || {
                time::sleep(SLOW).await;
                TEXT
            }),
        )
        .route(
            "/compute",
            get(async || {
                compute();
                TEXT
            }),
        )
        .route("/post", post(async |body: Bytes| body))
        .route("/upload", post(upload).layer(DefaultBodyLimit::disable()))
        .route("/download/{bytes}", get(download))
        .route(
            "/echo",
            get(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(echo)),
        )
}

async fn upload(body: Body) -> Result<String, StatusCode> {
    let (mut body, mut total) = (body.into_data_stream(), 0);
    while let Some(piece) = body.next().await {
        total += piece.map_err(|_| StatusCode::BAD_REQUEST)?.len();
    }
    Ok(total.to_string())
}

async fn download(Path(bytes): Path<u64>) -> impl IntoResponse {
    let pieces = pieces(bytes).map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece)));
    let body = Body::from_stream(stream::iter(pieces));
    ([(CONTENT_LENGTH, bytes)], body)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_))
            && socket.send(message).await.is_err()
        {
            return;
        }
    }
}
