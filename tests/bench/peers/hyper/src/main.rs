//! The same with hyper, and fastwebsockets for the echo; the runtime has one thread: `hyper-web
//! [pipelined]`.
//!
//! With `pipelined` it answers pipelined requests together (`pipeline_flush`). Long bodies run
//! without it, since hyper would then gather a whole body in memory before it sends any of it.

use std::convert::Infallible;
use std::io;

use bench_task::{TEXT, asked, end_with_input, pieces};
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{FragmentCollector, OpCode, WebSocketError};
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::CONTENT_LENGTH;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A whole body is not boxed.
type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Infallible>>;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    end_with_input();
    let pipelined = std::env::args().nth(1).is_some();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(
            http1::Builder::new()
                .pipeline_flush(pipelined)
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .with_upgrades(),
        );
    }
}

async fn answer(mut req: Request<Incoming>) -> Result<Response<Body>, Error> {
    match req.uri().path() {
        "/" => Ok(whole(Bytes::from_static(TEXT.as_bytes()))),
        "/post" => Ok(whole(req.into_body().collect().await?.to_bytes())),
        "/upload" => {
            let (mut body, mut total) = (req.into_body(), 0);
            while let Some(frame) = body.frame().await {
                total += frame?.data_ref().map_or(0, Bytes::len);
            }
            Ok(whole(total.to_string().into()))
        }
        "/echo" => {
            let (response, upgraded) = upgrade(&mut req)?;
            tokio::spawn(echo(upgraded));
            Ok(response.map(|_| Either::Left(Full::default())))
        }
        path if path.starts_with("/download/") => {
            let bytes = asked(path);
            let frames = pieces(bytes).map(|piece| Ok(Frame::data(Bytes::from_static(piece))));
            let body = StreamBody::new(stream::iter(frames)).boxed_unsync();
            let mut response = Response::new(Either::Right(body));
            response.headers_mut().insert(CONTENT_LENGTH, bytes.into());
            Ok(response)
        }
        _ => {
            let mut response = whole(Bytes::new());
            *response.status_mut() = StatusCode::NOT_FOUND;
            Ok(response)
        }
    }
}

fn whole(body: Bytes) -> Response<Body> {
    Response::new(Either::Left(Full::new(body)))
}

async fn echo(upgraded: UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(upgraded.await?);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}
