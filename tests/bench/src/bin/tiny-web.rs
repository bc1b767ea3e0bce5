//! The same text with tiny_http, which has a thread for each connection by itself; one more answers.

use std::error::Error;

use akurai_bench::{TEXT, end_with_input};
use tiny_http::{Response, Server};

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::http("127.0.0.1:0").map_err(|error| error.to_string())?;
    println!("{}", server.server_addr());
    end_with_input();
    for request in server.incoming_requests() {
        let _ = request.respond(Response::from_string(TEXT));
    }
    Ok(())
}
