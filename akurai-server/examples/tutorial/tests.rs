use std::io;

use akurai_http::testing::Client;
use akurai_http::{Method, Request, Status};
use akurai_server::{Hub, HubOptions};
use akurai_ws::{Message, testing::Peer};

use super::app;
use super::room::Room;

fn log_in(client: &Client, password: &str) -> io::Result<Status> {
    let form = [("name", "ann"), ("password", password)];
    let request = Request::new(Method::Post, "/login").with_form(form);
    Ok(client.send(request)?.status())
}

#[test]
fn members_hear_what_was_said() -> io::Result<()> {
    let room = Room::new(Hub::new(HubOptions::default())?);
    let client = Client::new(app(&room, &[7; 32], "sesame")?).keep_cookies();
    assert!(Peer::connect(&client, "/ws").is_err());
    assert_eq!(log_in(&client, "guess")?, Status::FORBIDDEN);
    assert_eq!(log_in(&client, "sesame")?, Status::SEE_OTHER);

    let mut here = client.events("/here")?;
    let mut ann = Peer::connect(&client, "/ws")?;
    assert_eq!(here.next().unwrap()?.data, "ann");
    ann.send_text("hello")?;
    ann.recv()?; // Now it is published.
    let mut late = Peer::connect(&client, "/ws")?;
    assert_eq!(late.recv()?, Some(Message::Text("ann: hello".to_owned())));
    Ok(())
}
