//! A fake server whose answers the test chooses.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use akurai_server::{EventId, Redis, RedisOptions};
use akurai_tests::DEADLINE;

/// The server's answer to a command.
pub(super) enum Answer {
    Say(String),
    /// It takes the command, and does not answer.
    Nothing,
    Close,
    /// It answers with this, and closes.
    Last(String),
}

pub(super) fn say(text: &str) -> Answer {
    Answer::Say(text.to_owned())
}

pub(super) fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// A server on its own port. Its connections are numbered from 0.
pub(super) struct Fake {
    pub(super) url: String,
    /// Every command, with the number of its connection.
    pub(super) heard: Receiver<(usize, Vec<String>)>,
    /// The connections that the fake server has seen end.
    pub(super) ended: Receiver<usize>,
}

impl Fake {
    pub(super) fn start(
        answer: impl Fn(usize, &[String]) -> Answer + Send + Sync + 'static,
    ) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (tell, heard) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for (number, socket) in listener.incoming().enumerate() {
                let (tell, answer) = (tell.clone(), Arc::clone(&answer));
                let end = end.clone();
                // The thread ends with its client.
                thread::spawn(move || {
                    let outcome = converse(number, socket?, &tell, &*answer);
                    let _ = end.send(number);
                    outcome
                });
            }
        });
        Fake { url, heard, ended }
    }

    pub(super) fn engine(&self) -> Redis {
        Redis::new(&self.url, RedisOptions::default()).unwrap()
    }

    #[track_caller]
    pub(super) fn hears(&self) -> (usize, Vec<String>) {
        self.heard.recv_timeout(DEADLINE).expect("a command")
    }
}

fn converse(
    number: usize,
    mut socket: TcpStream,
    tell: &Sender<(usize, Vec<String>)>,
    answer: &(dyn Fn(usize, &[String]) -> Answer + Send + Sync),
) -> io::Result<()> {
    let mut input = BufReader::new(socket.try_clone()?);
    loop {
        let command = command(&mut input)?;
        let answer = answer(number, &command);
        let _ = tell.send((number, command));
        match answer {
            Answer::Say(text) => socket.write_all(text.as_bytes())?,
            Answer::Nothing => {}
            Answer::Close => return Ok(()),
            Answer::Last(text) => return socket.write_all(text.as_bytes()),
        }
    }
}

fn command(input: &mut impl BufRead) -> io::Result<Vec<String>> {
    let number = |kind: char, input: &mut dyn BufRead| {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let digits = line.strip_prefix(kind).map(str::trim_end);
        let number = digits.and_then(|digits| digits.parse::<usize>().ok());
        number.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))
    };
    let count = number('*', input)?;
    (0..count)
        .map(|_| {
            let mut text = vec![0; number('$', input)? + 2];
            input.read_exact(&mut text)?;
            text.truncate(text.len() - 2);
            String::from_utf8(text).map_err(io::Error::other)
        })
        .collect()
}

/// A stream for which the test chooses the next entry, and the times when the server is away.
pub(super) struct Stream {
    pub(super) fake: Fake,
    pub(super) next: Sender<Step>,
    pub(super) away: Arc<AtomicBool>,
    /// Which Redis it imitates: 7, 5, or 0, which refuses XINFO.
    pub(super) version: Arc<AtomicUsize>,
}

pub(super) enum Step {
    /// An entry: its id and its fields.
    Entry(&'static str, Vec<&'static str>),
    /// All entries are gone.
    Flush,
    /// An operator changes something.
    Change(fn(&mut Kept)),
}

/// The stream as the server holds it.
#[derive(Default)]
pub(super) struct Kept {
    entries: Vec<(&'static str, String)>,
    /// The last id that it gave out; none where there is no stream.
    last: Option<&'static str>,
    /// The newest entry that was deleted by its id.
    deleted: Option<&'static str>,
    added: usize,
}

impl Kept {
    fn add(&mut self, id: &'static str, text: String) {
        self.entries.push((id, text));
        self.last = Some(id);
        self.added += 1;
    }

    /// An event of topic `a`, whose data is its id.
    pub(super) fn publish(&mut self, id: &'static str) {
        self.add(id, entry(id, &["topic", "a", "data", id]));
    }

    /// XDEL.
    pub(super) fn delete(&mut self, id: &'static str) {
        self.entries.retain(|(other, _)| *other != id);
        self.deleted = self.deleted.max(Some(id));
    }

    /// XTRIM: removes this many of the oldest.
    pub(super) fn trim(&mut self, count: usize) {
        self.entries.drain(..count.min(self.entries.len()));
    }

    /// An older copy, which ends with the entry of this id, replaces the stream.
    pub(super) fn restore(&mut self, id: &'static str) {
        self.entries.retain(|(other, _)| place(other) <= place(id));
        self.last = Some(id);
        self.deleted = None;
    }

    /// XINFO STREAM of Redis 7, or 5.
    fn info(&self, version: usize) -> String {
        let Some(last) = self.last.filter(|_| version > 0) else {
            return "-ERR no such key\r\n".to_owned();
        };
        let entry = |found: Option<&(_, String)>| {
            found.map_or("$-1\r\n".to_owned(), |(_, text): &(_, String)| text.clone())
        };
        let mut parts = vec![
            ("length", format!(":{}\r\n", self.entries.len())),
            ("last-generated-id", bulk(last)),
            ("first-entry", entry(self.entries.first())),
            ("last-entry", entry(self.entries.last())),
        ];
        if version >= 7 {
            let deleted = bulk(self.deleted.unwrap_or("0-0"));
            parts.push(("max-deleted-entry-id", deleted));
            parts.push(("entries-added", format!(":{}\r\n", self.added)));
        }
        let text = parts.iter().map(|(name, value)| bulk(name) + value);
        format!("*{}\r\n{}", 2 * parts.len(), text.collect::<String>())
    }
}

fn place(id: &str) -> Option<EventId> {
    id.parse().ok()
}

pub(super) fn entry(id: &str, fields: &[&str]) -> String {
    let count = fields.len();
    let fields: String = fields.iter().map(|field| bulk(field)).collect();
    format!("*2\r\n{}*{count}\r\n{fields}", bulk(id))
}

/// The answer of XREAD for an entry.
fn read(entry: &str) -> String {
    format!("*1\r\n*2\r\n{}*1\r\n{entry}", bulk("akurai"))
}

impl Stream {
    pub(super) fn start() -> Stream {
        Stream::with(&[])
    }

    /// A stream that has these entries already.
    pub(super) fn with(entries: &[(&'static str, &[&str])]) -> Stream {
        let mut kept = Kept::default();
        for (id, fields) in entries {
            kept.add(id, entry(id, fields));
        }
        let version = Arc::new(AtomicUsize::new(7));
        let is_version = Arc::clone(&version);
        let (next, steps) = mpsc::channel();
        let away = Arc::new(AtomicBool::new(false));
        let is_away = Arc::clone(&away);
        let state = Mutex::new((steps, kept));
        let fake = Fake::start(move |_, command| {
            let (steps, kept) = &mut *state.lock().unwrap();
            let found = match &*command[0] {
                _ if is_away.load(Ordering::SeqCst) => return Answer::Close,
                "XREVRANGE" => {
                    let end = place(&command[2]);
                    let mut newest_first = kept.entries.iter().rev();
                    newest_first.find(|(id, _)| end.is_none() || place(id) <= end)
                }
                "XRANGE" => kept.entries.iter().find(|(id, _)| *id == command[2]),
                "XREAD" => loop {
                    let after = place(&command[command.len() - 1]);
                    let mut entries = kept.entries.iter();
                    if let Some((_, text)) = entries.find(|(id, _)| place(id) > after) {
                        return Answer::Say(read(text));
                    }
                    match steps.recv_timeout(Duration::from_millis(50)) {
                        Ok(Step::Entry(id, fields)) => {
                            let text = entry(id, &fields);
                            let read = read(&text);
                            kept.add(id, text);
                            return Answer::Say(read);
                        }
                        Ok(Step::Flush) => *kept = Kept::default(),
                        Ok(Step::Change(change)) => change(kept),
                        Err(_) => return say("*-1\r\n"),
                    }
                },
                "XLEN" => return Answer::Say(format!(":{}\r\n", kept.entries.len())),
                "XINFO" => return Answer::Say(kept.info(is_version.load(Ordering::SeqCst))),
                _ => return say("-ERR unexpected\r\n"),
            };
            match found {
                Some((_, text)) => Answer::Say(format!("*1\r\n{text}")),
                None => say("*0\r\n"),
            }
        });
        Stream {
            fake,
            next,
            away,
            version,
        }
    }

    pub(super) fn entry(&self, id: &'static str, fields: &[&'static str]) {
        let step = Step::Entry(id, fields.to_vec());
        self.next.send(step).expect("the server runs");
    }

    pub(super) fn change(&self, change: fn(&mut Kept)) {
        let step = Step::Change(change);
        self.next.send(step).expect("the server runs");
    }

    pub(super) fn event(&self, id: &'static str, data: &'static str, key: &'static str) {
        self.entry(id, &["topic", "a", "data", data, "key", key]);
    }
}
