//! The echo with tungstenite, a thread for each connection.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::thread;

use bench_task::end_with_input;
use tungstenite::Message;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    end_with_input();
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        thread::spawn(move || echo(stream));
    }
}

fn echo(stream: TcpStream) -> Option<()> {
    let mut socket = tungstenite::accept(stream).ok()?;
    loop {
        let message = socket.read().ok()?;
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            socket.send(message).ok()?;
        }
    }
}
