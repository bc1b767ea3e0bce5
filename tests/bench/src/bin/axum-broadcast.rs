//! The same server the way one writes it with axum: a broadcast channel, and a stream of it for each subscriber.
//!
//! To its favour, an event is formatted once, by the publisher, and no subscriber pays for that.

use std::convert::Infallible;
use std::io;

use akurai_bench::publish_as_told;
use axum::Router;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures_util::StreamExt;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

/// As many as wait for one of the Hub's subscribers, rounded up to a power of two as the channel does by itself.
const CAPACITY: usize = 1024;

#[tokio::main]
async fn main() -> io::Result<()> {
    let (sender, _) = broadcast::channel::<Event>(CAPACITY);
    let (events, stats) = (sender.clone(), sender.clone());
    let app = Router::new()
        .route(
            "/events",
            get(async move || {
                // Who lagged goes on with what is still there, as the channel's documentation suggests.
                let stream = BroadcastStream::new(events.subscribe())
                    .filter_map(|event| std::future::ready(event.ok().map(Ok::<_, Infallible>)));
                Sse::new(stream).keep_alive(KeepAlive::default())
            }),
        )
        .route(
            "/stats",
            get(async move || format!("{} 0\n", stats.receiver_count())),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    publish_as_told(move |number, text| {
        // An id as long as the Hub's, so that both write as much.
        let event = Event::default().data(text).id(format!("{:015}", number));
        let _ = sender.send(event);
    });
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await
}
