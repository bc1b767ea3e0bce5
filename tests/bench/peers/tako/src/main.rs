//! The same with tako (the crate is called `tako-rs`), its runtime on one thread.

use std::convert::Infallible;

use bench_task::{TEXT, asked, end_with_input, pieces};
use futures_util::stream;
use http_body_util::BodyExt;
use tako::Server;
use tako::body::TakoBody;
use tako::responder::Responder;
use tako::router::Router;
use tako::types::{BoxError, Request, Response};
use tako::ws::{Message, WebSocket, WebSocketUpgrade};
use tako::{Bytes, StatusCode, header};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let mut router = Router::new();
    router.get("/", || async { TEXT });
    router.post("/post", post);
    router.post("/upload", upload);
    router.get("/download/{bytes}", download);
    router.get("/echo", |req: Request| async move {
        WebSocketUpgrade::new(req, echo)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    end_with_input();
    let server = Server::builder().build();
    Ok(server.try_spawn_http(listener, router)?.result().await?)
}

async fn post(req: Request) -> Response {
    match req.into_body().collect().await {
        Ok(body) => body.to_bytes().into_response(),
        Err(_) => (StatusCode::BAD_REQUEST, "").into_response(),
    }
}

async fn upload(req: Request) -> Response {
    let (mut body, mut total) = (req.into_body(), 0);
    while let Some(Ok(frame)) = body.frame().await {
        total += frame.data_ref().map_or(0, Bytes::len);
    }
    total.to_string().into_response()
}

async fn download(req: Request) -> Response {
    let bytes = asked(req.uri().path());
    let pieces = pieces(bytes).map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece)));
    let mut response = TakoBody::from_stream(stream::iter(pieces)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, bytes.into());
    response
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
