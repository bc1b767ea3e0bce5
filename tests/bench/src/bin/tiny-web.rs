//! The same with tiny_http, which itself has a thread for each connection; one more thread answers.

use std::error::Error;
use std::io::{self, Read};

use bench_task::{PIECE_BYTES, TEXT, asked, end_with_input, pieces};
use tiny_http::{Request, Response, Server};

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::http("127.0.0.1:0").map_err(|error| error.to_string())?;
    println!("{}", server.server_addr());
    end_with_input();
    for request in server.incoming_requests() {
        let _ = answer(request);
    }
    Ok(())
}

fn answer(mut request: Request) -> io::Result<()> {
    match request.url() {
        "/" => request.respond(Response::from_string(TEXT)),
        "/post" => {
            let mut body = Vec::new();
            request.as_reader().read_to_end(&mut body)?;
            request.respond(Response::from_data(body).with_chunked_threshold(usize::MAX))
        }
        "/upload" => {
            let (mut piece, mut total) = (vec![0; PIECE_BYTES], 0);
            loop {
                match request.as_reader().read(&mut piece)? {
                    0 => break,
                    count => total += count,
                }
            }
            request.respond(Response::from_string(total.to_string()))
        }
        url => {
            let bytes = asked(url);
            let length = Some(bytes as usize);
            let response = Response::new(200.into(), vec![], Pieces::new(bytes), length, None);
            // In its favour, a length instead of chunks.
            request.respond(response.with_chunked_threshold(usize::MAX))
        }
    }
}

struct Pieces {
    rest: Box<dyn Iterator<Item = &'static [u8]> + Send>,
    here: &'static [u8],
}

impl Pieces {
    fn new(bytes: u64) -> Self {
        Self {
            rest: Box::new(pieces(bytes)),
            here: &[],
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.here.is_empty() {
            self.here = self.rest.next().unwrap_or_default();
        }
        self.here.read(buffer)
    }
}
