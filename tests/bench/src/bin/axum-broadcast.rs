//! The same server in axum's usual style: a broadcast channel, and a stream of it for each
//! subscriber. By WebSocket, each subscriber has a task that waits for the channel and for the
//! socket.
//!
//! In its favour, the publisher formats an event once, at no cost for the subscribers.

use std::convert::Infallible;
use std::io;

use akurai_bench::publish_as_told;
use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures_util::StreamExt;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver};
use tokio_stream::wrappers::BroadcastStream;

/// The limit for one of the Hub's subscribers, rounded up to a power of two, as the channel itself
/// does.
const CAPACITY: usize = 1024;

#[tokio::main]
async fn main() -> io::Result<()> {
    let (sender, _) = broadcast::channel::<Event>(CAPACITY);
    let (texts, _) = broadcast::channel::<Utf8Bytes>(CAPACITY);
    let (events, event_stats) = (sender.clone(), sender.clone());
    let (sockets, socket_stats) = (texts.clone(), texts.clone());
    let app = Router::new()
        .route(
            "/events",
            get(async move || {
                // A subscriber that lagged continues with the events that are still there, as the
                // channel's documentation suggests.
                let stream = BroadcastStream::new(events.subscribe())
                    .filter_map(|event| std::future::ready(event.ok().map(Ok::<_, Infallible>)));
                Sse::new(stream).keep_alive(KeepAlive::default())
            }),
        )
        .route(
            "/ws",
            get(async move |upgrade: WebSocketUpgrade| {
                let texts = sockets.subscribe();
                upgrade.on_upgrade(|socket| subscribed(socket, texts))
            }),
        )
        .route(
            "/stats",
            get(async move || {
                let count = event_stats.receiver_count() + socket_stats.receiver_count();
                format!("{count} 0\n")
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    publish_as_told(move |number, text| {
        let _ = texts.send(text.as_str().into());
        // An id as long as the Hub's, so that both write the same number of bytes.
        let event = Event::default().data(text).id(format!("{:015}", number));
        let _ = sender.send(event);
    });
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await
}

async fn subscribed(mut socket: WebSocket, mut texts: Receiver<Utf8Bytes>) {
    loop {
        let text = tokio::select! {
            text = texts.recv() => text,
            message = socket.recv() => match message {
                Some(Ok(_)) => continue,
                _ => return,
            },
        };
        let message = match text {
            Ok(text) => Message::Text(text),
            // A subscriber that lagged continues, as above.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        if socket.send(message).await.is_err() {
            return;
        }
    }
}
