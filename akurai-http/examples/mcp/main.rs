//! An MCP server, a notebook that a language model can use: `cargo run --example mcp`, then
//! http://127.0.0.1:8090, a small client in a page. Other clients take http://127.0.0.1:8090/mcp.
//!
//! `http.rs` is the transport, Streamable HTTP, for tools of your own: sessions, event streams that
//! a client resumes after a lost connection, questions to the client in the midst of a call. It
//! keeps no thread but for a stream and for a call. `tests/mcp` tries it with the public suite.

mod call;
mod http;
mod json;
mod session;
mod stream;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{env, io, thread};

use akurai_http::{Response, Router, Server};

use call::{Call, Outcome};
use http::Mcp;
use json::Json;

const ABOUT: &str = r#""capabilities":{"tools":{},"resources":{"subscribe":true},"prompts":{},"logging":{}},"serverInfo":{"name":"notebook","version":"1.0.0"}"#;
const TOOLS: &str = r#"{"tools":[
{"name":"add_note","description":"Writes a note into the notebook","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}},
{"name":"clear","description":"Removes all notes, if the user agrees","inputSchema":{"type":"object"}},
{"name":"count","description":"Counts to ten, slowly","inputSchema":{"type":"object"}}]}"#;
const RESOURCES: &str = r#"{"resources":[{"uri":"notes://all","name":"notes","description":"All notes, one a line","mimeType":"text/plain"}]}"#;
const PROMPTS: &str =
    r#"{"prompts":[{"name":"summary","description":"Asks for a summary of the notes"}]}"#;
const CONFIRM: &str = r#"{"message":"Remove all notes?","requestedSchema":{"type":"object","properties":{"sure":{"type":"boolean"}},"required":["sure"]}}"#;
/// A notebook that is full takes no more notes.
const MAX_NOTES: usize = 1000;

fn main() -> io::Result<()> {
    let addr = env::args().nth(1);
    let server = Server::bind(addr.as_deref().unwrap_or("127.0.0.1:8090"))?
        // No page of another site reaches it by a name of its own that leads here.
        .hosts(["localhost", "127.0.0.1", "[::1]"])?;
    println!("http://{}", server.local_addr()?);
    server.run(app(Duration::from_millis(500)))
}

pub(crate) fn app(beat: Duration) -> Router {
    let notes = Notes::default();
    let mcp = Mcp::new(ABOUT, move |mcp, call| answer(mcp, call, &notes, beat));
    Router::new()
        .get("/", |_| Response::html(include_str!("page.html")))
        .nest("/mcp", mcp.routes())
}

#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(mcp: &Mcp, call: &Call, notes: &Notes, beat: Duration) -> Outcome {
    let text = || Json::from(notes.lock().join("\n").as_str());
    match (call.method.as_str(), call.params.text("name")) {
        ("tools/list", _) => Ok(TOOLS.replace('\n', "")),
        ("resources/list", _) => Ok(RESOURCES.to_owned()),
        ("prompts/list", _) => Ok(PROMPTS.to_owned()),
        ("tools/call", tool) => {
            // A failure is a result too: the model shall see it.
            let (text, is_error) = match run(mcp, call, tool, notes, beat) {
                Ok(text) => (text, false),
                Err(error) => (error.to_string(), true),
            };
            let text = Json::from(text.as_str());
            Ok(format!(
                r#"{{"content":[{{"type":"text","text":{text}}}],"isError":{is_error}}}"#
            ))
        }
        ("resources/read", _) if call.params.text("uri") == "notes://all" => Ok(format!(
            r#"{{"contents":[{{"uri":"notes://all","mimeType":"text/plain","text":{}}}]}}"#,
            text()
        )),
        ("prompts/get", "summary") => {
            let text = Json::from(format!("Summarise:\n{}", notes.lock().join("\n")).as_str());
            Ok(format!(
                r#"{{"messages":[{{"role":"user","content":{{"type":"text","text":{text}}}}}]}}"#
            ))
        }
        ("resources/read", _) => Err((-32002, "no such resource".to_owned())),
        ("prompts/get", _) => Err((-32602, "no such prompt".to_owned())),
        (method, _) => Err((-32601, format!("no method {method}"))),
    }
}

/// Runs a tool. It has a thread of its own, so it may wait.
fn run(mcp: &Mcp, call: &Call, tool: &str, notes: &Notes, beat: Duration) -> io::Result<String> {
    match tool {
        "add_note" => {
            let arguments = call.params.get("arguments");
            let text = arguments.map_or("", |arguments| arguments.text("text"));
            let mut notes = notes.lock();
            if text.is_empty() || notes.len() >= MAX_NOTES {
                return Err(io::Error::other("no text, or the notebook is full"));
            }
            notes.push(text.to_owned());
            let count = notes.len();
            drop(notes);
            mcp.updated("notes://all");
            Ok(format!("{count} notes"))
        }
        "clear" => {
            let answer = call.ask("elicitation/create", CONFIRM)?;
            let sure = answer
                .get("content")
                .and_then(|content| content.get("sure"));
            if sure != Some(&Json::Plain("true".to_owned())) {
                return Ok("The user wants to keep them.".to_owned());
            }
            notes.lock().clear();
            mcp.updated("notes://all");
            Ok("no notes".to_owned())
        }
        "count" => {
            for n in 1..=10 {
                thread::sleep(beat);
                call.progress(n, 10)?; // It fails if the client has cancelled the call.
                call.log("info", &format!("counted to {n}"))?;
                if n == 5 {
                    call.hang_up();
                }
            }
            Ok("10".to_owned())
        }
        _ => Err(io::Error::other("no such tool")),
    }
}
