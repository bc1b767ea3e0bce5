use std::fs::{self, File};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use akurai_http::{Reply, Request};
use akurai_server::{Hub, Retention};
use akurai_ws::{Message, WsOptions};

use super::guests::Guests;
use super::login::User;

const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(crate) struct Room {
    hub: Hub,
    guests: Arc<Guests>,
    file: Mutex<Option<File>>,
}

impl Room {
    pub(crate) fn new(hub: Hub) -> Arc<Room> {
        hub.retain("room", Retention::default().max_age(MONTH));
        let guests = Guests::new(hub.clone());
        let file = Mutex::default();
        Arc::new(Room { hub, guests, file })
    }

    /// Begins with the last lines of this file, and appends the next ones to it.
    pub(crate) fn keep_in(&self, path: &str) -> io::Result<()> {
        let file = File::options().append(true).create(true).open(path)?;
        let bytes = fs::read(path)?;
        let text = String::from_utf8_lossy(&bytes); // A crash may have cut a character.
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        for line in &lines[lines.len().saturating_sub(100)..] {
            self.hub.publish("room", "", line)?;
        }
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }

    fn say(&self, line: &str) -> io::Result<()> {
        let line = line.replace(['\r', '\n'], " ");
        // Held to the end, for one order in the file and in the hub.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut *file {
            // The end of a line comes before the next one: a crash or a full disk may leave half a
            // line, and nothing is to be joined with it.
            file.write_all(format!("\n{line}").as_bytes())?;
        }
        self.hub.publish("room", "", &line)?;
        Ok(())
    }

    pub(crate) fn here(&self, req: &Request) -> Reply {
        self.guests.follow(req)
    }

    pub(crate) fn enter(self: &Arc<Room>, req: &Request) -> Reply {
        let room = Arc::clone(self);
        let User(name) = req.get().cloned().expect("`protect` inserted it");
        let options = WsOptions::new().max_message_bytes(4096);
        options.upgrade(req, move |mut conn| {
            let past = room.hub.history("room", None, 50);
            for line in &past.events {
                conn.send_text(&line.data)?;
            }
            let _member = room.hub.join_after("room", conn.sender(), past.at);
            let _guest = room.guests.welcome(&name);
            while let Some(message) = conn.recv()? {
                if let Message::Text(line) = message {
                    room.say(&format!("{name}: {line}"))?;
                    conn.send_text("")?; // The file has the line: the page may forget it.
                }
            }
            Ok(())
        })
    }
}
