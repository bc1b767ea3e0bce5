//! The same with actix-web and actix-ws, on one worker.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;

use actix_web::http::header::ContentType;
use actix_web::web::{self, Bytes, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, Result};
use actix_ws::{Message, MessageStream, Session};
use bench_task::{MESSAGE_BYTES, POST_BYTES, TEXT, asked, end_with_input, pieces};
use futures_util::{StreamExt, stream};

/// More than the bench opens.
const CONNECTIONS: usize = 30_000;

#[actix_web::main]
async fn main() -> io::Result<()> {
    let server = HttpServer::new(|| {
        App::new()
            .app_data(web::PayloadConfig::new(POST_BYTES))
            .route("/", web::get().to(async || TEXT))
            .route("/post", web::post().to(async |body: Bytes| body))
            .route("/upload", web::post().to(upload))
            .route("/download/{bytes}", web::get().to(download))
            .route("/echo", web::get().to(upgrade))
    });
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    end_with_input();
    let server = server.workers(1).max_connections(CONNECTIONS);
    server.tcp_nodelay(true).listen(listener)?.run().await
}

async fn upload(mut body: Payload) -> Result<String> {
    let mut total = 0;
    while let Some(piece) = body.next().await {
        total += piece?.len();
    }
    Ok(total.to_string())
}

async fn download(req: HttpRequest) -> HttpResponse {
    let bytes = asked(req.path());
    let pieces = pieces(bytes).map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece)));
    HttpResponse::Ok()
        .no_chunking(bytes)
        .insert_header(ContentType::octet_stream())
        .streaming(stream::iter(pieces))
}

async fn upgrade(req: HttpRequest, body: Payload) -> Result<HttpResponse> {
    let (response, session, messages) = actix_ws::handle(&req, body)?;
    actix_web::rt::spawn(echo(session, messages.max_frame_size(MESSAGE_BYTES)));
    Ok(response)
}

async fn echo(mut session: Session, mut messages: MessageStream) {
    while let Some(Ok(message)) = messages.recv().await {
        let sent = match message {
            Message::Text(text) => session.text(text).await,
            Message::Binary(bytes) => session.binary(bytes).await,
            Message::Ping(bytes) => session.pong(&bytes).await,
            Message::Close(reason) => {
                let _ = session.close(reason).await;
                return;
            }
            _ => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
}
