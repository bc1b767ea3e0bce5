//! A node of `tests/scale`: the demo's routes on a hub whose events go through a Redis, and more
//! routes, to publish and to follow. `node PORT URL MAX_EVENTS`; the first line on stdout has the
//! port.
//!
//! | route | what it does |
//! |---|---|
//! | `GET /numbers`, `GET /topics/NAME` | follows the topic `numbers`, or another |
//! | `POST /numbers`, `POST /topics/NAME` | publishes the body there, and answers the event's id |
//! | `POST /batch/NAME` with `FIRST COUNT` | publishes these numbers, many at a time; answers `NUMBER ID` for each that is kept |
//! | `GET /history/NAME` | the last 50 events: the id where a stream goes on, and `ID DATA` for each |
//! | `POST /spread` with `FIRST COUNT BYTES` | publishes an event to each of so many topics with names of so many bytes; answers how many are kept |

#[allow(dead_code)]
#[path = "../../akurai-server/src/demo/mod.rs"]
mod demo;

use std::env;
use std::io;
use std::thread;
use std::time::Duration;

use akurai_http::{Request, Response, Router, Server, Status};
use akurai_server::{EventId, Hub, HubOptions, Redis, RedisOptions, Retention};

/// Threads that publish a batch.
const PUBLISHERS: u64 = 16;

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [port, url, max_events] = &args[..] else {
        return Err(io::Error::other("usage: node PORT URL MAX_EVENTS"));
    };
    let number = |text: &str| text.parse().map_err(io::Error::other);
    let redis = RedisOptions::default().max_events(number(max_events)?);
    // Short enough that a heartbeat and a reconnection happen within a test.
    let options = HubOptions::default()
        .heartbeat(Duration::from_secs(1))
        .sweep(Duration::from_secs(1))
        .retry(Duration::from_millis(300))
        .max_ring_events(20_000);
    let hub = Hub::with_engine(options, Redis::new(url, redis)?)?;
    hub.retain("kept", Retention::default());
    let (followed, past, publisher) = (hub.clone(), hub.clone(), hub.clone());
    let (batches, spread) = (hub.clone(), hub.clone());
    let app: Router = demo::routes::app(&hub)
        .get("/blank", |_| {
            Response::html("<!doctype html><link rel=icon href=data:,><title>Node</title>")
        })
        .get("/numbers", move |req| hub.sse(req, &["numbers"]))
        .get("/topics/{topic}", move |req| {
            followed.sse(req, &[req.param("topic").unwrap_or_default()])
        })
        .get("/history/{topic}", move |req| {
            let past = past.history(req.param("topic").unwrap_or_default(), None, 50);
            let events = past.events.iter();
            let lines = events.map(|event| format!("{} {}\n", event.id, event.data));
            Response::text(format!("{}\n{}", past.at, lines.collect::<String>()))
        })
        .post("/numbers", {
            let publisher = publisher.clone();
            move |req| publish(&publisher, "numbers", req)
        })
        .post("/topics/{topic}", move |req| {
            publish(&publisher, req.param("topic").unwrap_or_default(), req)
        })
        .post("/batch/{topic}", move |req| -> io::Result<Response> {
            let [first, count] = numbers(req)?;
            let topic = req.param("topic").unwrap_or_default();
            let kept = publish_many(&batches, first, count, |_| topic.to_owned());
            let lines = kept.iter().map(|(number, id)| format!("{number} {id}\n"));
            Ok(Response::text(lines.collect::<String>()))
        })
        .post("/spread", move |req| -> io::Result<Response> {
            let [first, count, bytes] = numbers(req)?;
            let filling = "x".repeat(bytes.saturating_sub(8) as usize);
            let kept = publish_many(&spread, first, count, |number| {
                format!("{filling}{number:08}")
            });
            Ok(Response::text(kept.len().to_string()))
        });
    let server = Server::bind(format!("127.0.0.1:{port}"))?;
    println!("{}", server.local_addr()?.port());
    server.run(app)
}

fn publish(hub: &Hub, topic: &str, req: &Request) -> io::Result<Response> {
    let text = String::from_utf8_lossy(&req.body()?).into_owned();
    Ok(match hub.publish(topic, "", &text) {
        Ok(id) => Response::text(id.to_string()),
        Err(error) => Response::text(error.to_string()).with_status(Status::SERVICE_UNAVAILABLE),
    })
}

/// Publishes the numbers, and returns those that are certainly stored, with their ids.
fn publish_many(
    hub: &Hub,
    first: u64,
    count: u64,
    topic: impl Fn(u64) -> String + Sync,
) -> Vec<(u64, EventId)> {
    let share = |at: u64| {
        let numbers = (first + at..first + count).step_by(PUBLISHERS as usize);
        let kept = numbers.filter_map(|number| {
            let id = hub.publish(&topic(number), "", &number.to_string()).ok()?;
            Some((number, id))
        });
        kept.collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|at| scope.spawn(move || share(at)))
            .collect();
        let shares = publishers.into_iter().map(thread::ScopedJoinHandle::join);
        shares
            .flat_map(|share| share.expect("publishing does not panic"))
            .collect()
    })
}

fn numbers<const COUNT: usize>(req: &Request) -> io::Result<[u64; COUNT]> {
    let text = String::from_utf8(req.body()?).map_err(io::Error::other)?;
    let numbers: Result<Vec<u64>, _> = text.split_whitespace().map(str::parse).collect();
    let numbers = numbers.map_err(io::Error::other)?;
    numbers
        .try_into()
        .map_err(|_| io::Error::other(format!("{COUNT} numbers are expected")))
}
