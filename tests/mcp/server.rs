//! The tools, resources and prompts that the public suite of the Model Context Protocol asks for, on
//! the transport of the example `mcp`. `run` starts it.

#[path = "../../akurai-http/examples/mcp/call.rs"]
mod call;
#[path = "../../akurai-http/examples/mcp/http.rs"]
mod http;
#[path = "../../akurai-http/examples/mcp/json.rs"]
mod json;
#[path = "../../akurai-http/examples/mcp/session.rs"]
mod session;
#[path = "../../akurai-http/examples/mcp/stream.rs"]
mod stream;

use std::time::Duration;
use std::{io, thread};

use akurai_http::{Router, Server};

use call::{Call, Outcome};
use http::Mcp;
use json::Json;

const ABOUT: &str = r#""capabilities":{"tools":{},"resources":{"subscribe":true},"prompts":{},"logging":{},"completions":{}},"serverInfo":{"name":"suite","version":"1.0.0"}"#;
/// A red pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQD3A0FDAAAAAElFTkSuQmCC";
/// Two samples of silence.
const WAV: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQIAAACAgA==";
const BEAT: Duration = Duration::from_millis(50);

/// Names of tools without arguments.
const PLAIN_TOOLS: [&str; 12] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_tool_with_logging",
    "test_error_handling",
    "test_tool_with_progress",
    "test_sampling",
    "test_elicitation",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
];
const SCHEMA_TOOL: &str = r##"{"name":"json_schema_2020_12_tool","description":"Tool with JSON Schema 2020-12 features","inputSchema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","$defs":{"address":{"type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}}}},"properties":{"name":{"type":"string"},"address":{"$ref":"#/$defs/address"}},"additionalProperties":false}}"##;
const RESOURCES: &str = r#"{"resources":[{"uri":"test://static-text","name":"text","description":"A text","mimeType":"text/plain"},{"uri":"test://static-binary","name":"image","description":"An image","mimeType":"image/png"},{"uri":"test://watched-resource","name":"watched","description":"A text to subscribe to","mimeType":"text/plain"}]}"#;
const TEMPLATES: &str = r#"{"resourceTemplates":[{"uriTemplate":"test://template/{id}/data","name":"template","description":"By an id","mimeType":"application/json"}]}"#;
const PROMPTS: &str = r#"{"prompts":[{"name":"test_simple_prompt","description":"Without arguments"},{"name":"test_prompt_with_arguments","description":"With two","arguments":[{"name":"arg1","description":"The first","required":true},{"name":"arg2","description":"The second","required":true}]},{"name":"test_prompt_with_embedded_resource","description":"With a resource","arguments":[{"name":"resourceUri","description":"Its address","required":true}]},{"name":"test_prompt_with_image","description":"With an image"}]}"#;

const ASK_USER: &str = r#""requestedSchema":{"type":"object","properties":{"username":{"type":"string","description":"User's response"},"email":{"type":"string","description":"User's email address"}},"required":["username","email"]}"#;
const DEFAULTS: &str = r#"{"message":"Defaults","requestedSchema":{"type":"object","properties":{"name":{"type":"string","default":"John Doe"},"age":{"type":"integer","default":30},"score":{"type":"number","default":95.5},"status":{"type":"string","enum":["active","inactive","pending"],"default":"active"},"verified":{"type":"boolean","default":true}},"required":[]}}"#;
const ENUMS: &str = r#"{"message":"Enums","requestedSchema":{"type":"object","properties":{"untitledSingle":{"type":"string","enum":["option1","option2","option3"]},"titledSingle":{"type":"string","oneOf":[{"const":"value1","title":"First Option"},{"const":"value2","title":"Second Option"},{"const":"value3","title":"Third Option"}]},"legacyEnum":{"type":"string","enum":["opt1","opt2","opt3"],"enumNames":["Option One","Option Two","Option Three"]},"untitledMulti":{"type":"array","items":{"type":"string","enum":["option1","option2","option3"]}},"titledMulti":{"type":"array","items":{"anyOf":[{"const":"value1","title":"First Choice"},{"const":"value2","title":"Second Choice"},{"const":"value3","title":"Third Choice"}]}}},"required":[]}}"#;

fn main() -> io::Result<()> {
    let server = Server::bind("127.0.0.1:0")?.hosts(["localhost", "127.0.0.1", "[::1]"])?;
    println!("http://{}/mcp", server.local_addr()?);
    let mcp = Mcp::new(ABOUT, answer);
    server.run(Router::new().nest("/mcp", mcp.routes()))
}

fn answer(mcp: &Mcp, call: &Call) -> Outcome {
    let of = |name| call.params.text(name);
    match call.method.as_str() {
        "tools/list" => Ok(tools()),
        "tools/call" => {
            let (content, is_error) = match run(mcp, call, of("name")) {
                Ok(content) => (content, false),
                Err(error) => (text(&error.to_string()), true),
            };
            Ok(format!(r#"{{"content":[{content}],"isError":{is_error}}}"#))
        }
        "resources/list" => Ok(RESOURCES.to_owned()),
        "resources/templates/list" => Ok(TEMPLATES.to_owned()),
        "resources/read" => {
            let missing = || (-32002, "no such resource".to_owned());
            let content = resource(of("uri")).ok_or_else(missing)?;
            Ok(format!(r#"{{"contents":[{content}]}}"#))
        }
        "prompts/list" => Ok(PROMPTS.to_owned()),
        "prompts/get" => {
            let missing = || (-32602, "no such prompt".to_owned());
            let messages = prompt(of("name"), &|name| argument(call, name)).ok_or_else(missing)?;
            let role = |content| format!(r#"{{"role":"user","content":{content}}}"#);
            let messages: Vec<_> = messages.into_iter().map(role).collect();
            Ok(format!(r#"{{"messages":[{}]}}"#, messages.join(",")))
        }
        "completion/complete" => {
            let written = call
                .params
                .get("argument")
                .map_or("", |argument| argument.text("value"));
            let known = ["paris", "park", "party", "test"].iter();
            let values = known.filter(|value| value.starts_with(written));
            let values: Vec<_> = values.map(|value| Json::from(*value).to_string()).collect();
            let (total, values) = (values.len(), values.join(","));
            Ok(format!(
                r#"{{"completion":{{"values":[{values}],"total":{total},"hasMore":false}}}}"#
            ))
        }
        method => Err((-32601, format!("no method {method}"))),
    }
}

fn tools() -> String {
    let plain = |name| {
        format!(r#"{{"name":"{name}","description":"{name}","inputSchema":{{"type":"object"}}}}"#)
    };
    let mut tools: Vec<_> = PLAIN_TOOLS.map(plain).into();
    tools.push(plain("test_reconnection"));
    tools.push(SCHEMA_TOOL.to_owned());
    format!(r#"{{"tools":[{}]}}"#, tools.join(","))
}

fn run(mcp: &Mcp, call: &Call, tool: &str) -> io::Result<String> {
    let ask = |params: &str| {
        let answer = call.ask("elicitation/create", params)?;
        Ok(text(&format!("User response: {answer}")))
    };
    match tool {
        "test_simple_text" => Ok(text("This is a simple text response for testing.")),
        "test_image_content" => Ok(image()),
        "test_audio_content" => Ok(format!(
            r#"{{"type":"audio","data":"{WAV}","mimeType":"audio/wav"}}"#
        )),
        "test_embedded_resource" => Ok(embedded("test://embedded-resource")),
        "test_multiple_content_types" => {
            let parts = [text("Multiple content types test:"), image()];
            Ok(format!(
                "{},{}",
                parts.join(","),
                embedded("test://mixed-content-resource")
            ))
        }
        "test_tool_with_logging" => {
            for stage in ["started", "processing", "completed"] {
                call.log("info", &format!("Tool execution {stage}"))?;
                thread::sleep(BEAT);
            }
            Ok(text("logged"))
        }
        "test_error_handling" => Err(io::Error::other(
            "This tool intentionally returns an error for testing",
        )),
        "test_tool_with_progress" => {
            for progress in [0, 50, 100] {
                call.progress(progress, 100)?;
                thread::sleep(BEAT);
            }
            Ok(text("done"))
        }
        "test_sampling" => {
            let prompt = text(argument(call, "prompt"));
            let messages = format!(r#"[{{"role":"user","content":{prompt}}}]"#);
            let params = format!(r#"{{"messages":{messages},"maxTokens":100}}"#);
            let answer = call.ask("sampling/createMessage", &params)?;
            let said = answer
                .get("content")
                .map_or("", |content| content.text("text"));
            Ok(text(&format!("LLM response: {said}")))
        }
        "test_elicitation" => {
            let message = Json::from(argument(call, "message"));
            ask(&format!(r#"{{"message":{message},{ASK_USER}}}"#))
        }
        "test_elicitation_sep1034_defaults" => ask(DEFAULTS),
        "test_elicitation_sep1330_enums" => ask(ENUMS),
        "test_reconnection" => {
            thread::sleep(BEAT);
            call.hang_up();
            thread::sleep(BEAT);
            mcp.updated("test://watched-resource");
            Ok(text("Reconnection test completed successfully"))
        }
        _ => Err(io::Error::other("no such tool")),
    }
}

fn resource(uri: &str) -> Option<String> {
    let id = uri
        .strip_prefix("test://template/")
        .and_then(|rest| rest.strip_suffix("/data"));
    let data = |id| format!(r#"{{"id":"{id}","templateTest":true,"data":"Data for ID: {id}"}}"#);
    let (kind, content) = match (uri, id) {
        (_, Some(id)) => ("application/json", data(id)),
        ("test://static-text", _) => (
            "text/plain",
            "This is the content of the static text resource.".to_owned(),
        ),
        ("test://watched-resource", _) => ("text/plain", "unchanged".to_owned()),
        ("test://static-binary", _) => {
            let uri = Json::from(uri);
            return Some(format!(
                r#"{{"uri":{uri},"mimeType":"image/png","blob":"{PNG}"}}"#
            ));
        }
        _ => return None,
    };
    let (uri, content) = (Json::from(uri), Json::from(content.as_str()));
    Some(format!(
        r#"{{"uri":{uri},"mimeType":"{kind}","text":{content}}}"#
    ))
}

fn prompt<'a>(name: &str, argument: &dyn Fn(&str) -> &'a str) -> Option<Vec<String>> {
    Some(match name {
        "test_simple_prompt" => vec![text("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            let (one, two) = (argument("arg1"), argument("arg2"));
            vec![text(&format!(
                "Prompt with arguments: arg1='{one}', arg2='{two}'"
            ))]
        }
        "test_prompt_with_embedded_resource" => {
            let resource = embedded(argument("resourceUri"));
            vec![
                resource,
                text("Please process the embedded resource above."),
            ]
        }
        "test_prompt_with_image" => vec![image(), text("Please analyze the image above.")],
        _ => return None,
    })
}

fn argument<'a>(call: &'a Call, name: &str) -> &'a str {
    call.params
        .get("arguments")
        .map_or("", |arguments| arguments.text(name))
}

fn text(text: &str) -> String {
    format!(r#"{{"type":"text","text":{}}}"#, Json::from(text))
}

fn image() -> String {
    format!(r#"{{"type":"image","data":"{PNG}","mimeType":"image/png"}}"#)
}

fn embedded(uri: &str) -> String {
    let uri = Json::from(uri);
    let text = r#""text":"Embedded resource content for testing.""#;
    format!(r#"{{"type":"resource","resource":{{"uri":{uri},"mimeType":"text/plain",{text}}}}}"#)
}
