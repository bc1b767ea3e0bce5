//! The least work of any server with a thread for each connection: read, find the end of a request,
//! write. It answers requests that came together in one write.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use akurai_bench::floor::Floor;
use bench_task::{end_with_input, pieces};

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    end_with_input();
    loop {
        let (stream, _) = listener.accept()?;
        thread::spawn(move || serve(stream));
    }
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut floor = Floor::default();
    while !floor.ends {
        let count = stream.read(floor.room())?;
        if count == 0 {
            break;
        }
        floor.took(count, |bytes| stream.write_all(bytes))?;
        for piece in pieces(std::mem::take(&mut floor.owed)) {
            stream.write_all(piece)?;
        }
    }
    Ok(())
}
