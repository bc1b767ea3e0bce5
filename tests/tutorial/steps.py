"""Run by `run`: does what the guide's page says, step by step, in a new project, and looks at each
step's program as a browser would."""

import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

from checks import Checks
from client import CLOSE, TEXT, Client, EventStream, opening, request
from process import Failed, Process, free_port

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "akurai-server/docs/tutorial.md").read_text()
SECONDS = 60


def steps():
    """For each step: its number, and the files that a reader has behind it."""
    files, name, old = {}, "", ""
    for number, text in re.findall(r"^# (\d)\. [^\n]*\n(.*?)(?=^# )", PAGE, re.M | re.S):
        for prose, block in re.findall(r"(.*?)^```\S*\n(.*?)^```$", text, re.M | re.S):
            prose = " ".join(prose.split())
            named = re.findall(r"`(src/\S+|Caddyfile)`", prose)
            name = named[-1] if named else name
            if prose == "put":
                if files[name].count(old) != 1:
                    raise Failed(f"step {number}: {name} has not one {old!r}")
                files[name] = files[name].replace(old, block)
            elif prose.endswith("in place of"):
                old = block
            elif prose.endswith(":") and named:
                files[name] = block
        yield int(number), dict(files)


class Project:
    """The reader's project. Its server gets a free port in place of 8090."""

    def __init__(self, folder, out):
        # Not in this repository: cargo would take it for a member of the workspace.
        self.home = Path(folder) / "chat"
        self.log = out / "server.log"
        self.log.unlink(missing_ok=True)
        target = {"CARGO_TARGET_DIR": str(out / "target"), "CARGO_NET_OFFLINE": "true"}
        self.environment = {**os.environ, **target, "CHAT_PASSWORD": "sesame"}
        self.binary = out / "target/debug/chat"
        self.address = ("127.0.0.1", free_port())
        self.type("cargo", "new", "--quiet", "--vcs", "none", "chat", cwd=folder)
        for crate in ("akurai-http", "akurai-ws", "akurai-server"):
            self.type("cargo", "add", "--quiet", "--path", ROOT / crate)
        (self.home / "chat.key").write_bytes(os.urandom(32))

    def type(self, *words, cwd=None):
        words = [str(word) for word in words]
        subprocess.run(words, cwd=cwd or self.home, env=self.environment, check=True)

    def write(self, files):
        for name, text in files.items():
            here = f"127.0.0.1:{self.address[1]}"
            (self.home / name).write_text(text.replace("127.0.0.1:8090", here))

    def start(self):
        around = {"cwd": self.home, "env": self.environment}
        server = Process([self.binary], self.log, **around)
        server.listens(self.address)
        return server

    def ask(self, method, path, *lines, body=b""):
        lines = [*lines, "Connection: close", f"Content-Length: {len(body)}"]
        with Client(self.address) as client:
            client.send(request(method, path, lines) + body)
            return client.answer(method)

    def log_in(self, name):
        form = f"name={name}&password=sesame".encode()
        answer = self.ask("POST", "/login", FORM, body=form)
        return "Cookie: " + (answer.first("set-cookie") or "").split(";")[0]

    def enter(self, *lines):
        client = Client(self.address, wait=SECONDS)
        client.send(opening("/ws", lines))
        client.status = client.head().status
        return client

    def follow(self, path, *lines):
        client = Client(self.address, wait=SECONDS)
        client.send(request("GET", path, lines))
        client.status = client.head().status
        client.stream = EventStream()
        return client


FORM = "Content-Type: application/x-www-form-urlencoded"


def hears(client, line):
    """Whether this message comes, as the first one or behind others."""
    while client.frame() != (TEXT, line.encode()):
        pass
    return True


def comes(client, data):
    """Whether an event with this data comes, as the first one or behind others."""
    while client.receive():
        seen = client.stream.feed(client.take(len(client.buffer)))
        if any(event.data == data for event in seen):
            return True
    return False


def look(project, number, checks):
    """What a reader would see of this step's program."""

    def that(holds, text):
        checks.that(holds, f"step {number}: {text}")

    if number < 4:
        page = project.ask("GET", "/")
        that(page.status == 200 and b"<!doctype html>" in page.body, "the page")
    if number == 2:
        with project.follow("/events") as stream:
            said = project.ask("POST", "/say", body=b"hello")
            that(said.status == 204 and comes(stream, "hello"), "a line comes as an event")
    if number == 3:
        with project.enter() as ann, project.enter() as bob:
            bob.send_frame(TEXT, b"here")  # From its echo on, bob hears what is said.
            hears(bob, "here")
            ann.send_frame(TEXT, b"hello")
            that(hears(ann, "hello") and hears(bob, "hello"), "a line comes to two windows")
        with project.enter("Origin: http://evil.example") as other:
            that(other.status == 403, "another site's page cannot open the WebSocket")
    if number < 4:
        return
    page = project.ask("GET", "/")
    that((page.status, page.first("location")) == (303, "/login"), "no page without a login")
    head = project.ask("HEAD", "/")
    that((head.status, head.first("location")) == (303, "/login"), "a page sees its session's end")
    wrong = project.ask("POST", "/login", FORM, body=b"name=ann&password=guess")
    that(wrong.status == 403, "a wrong password is refused")
    with project.enter() as nobody:
        that(nobody.status == 401, "no WebSocket without a login")
    ann, bob = project.log_in("ann"), project.log_in("bob")
    that(project.ask("GET", "/", ann).status == 200, "the page")
    with project.enter(ann) as first, project.enter(bob) as second:
        if number >= 6:
            with project.follow("/here", bob) as names:
                that(comes(names, "ann, bob"), "who is here")
        second.send_frame(TEXT, b"here")
        hears(second, "bob: here")
        first.send_frame(TEXT, b"hello")
        that(hears(first, "ann: hello") and hears(second, "ann: hello"), "a line has its name")
    if number >= 5:
        with project.enter(bob) as late:
            that(hears(late, "ann: hello"), "who comes later gets the history")


def secured(port, authority):
    """A connection to Caddy by TLS; None if it has no certificate yet."""
    client = Client(("127.0.0.1", port), wait=SECONDS)
    try:
        context = ssl.create_default_context(cafile=authority)
        client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
        return client
    except OSError:
        client.socket.close()
        return None


def over_tls(project, out, checks):
    """Step 8: through Caddy, with the certificate that it made."""
    port = free_port()
    config = project.home / "Caddyfile"
    config.write_text(config.read_text().replace(":8443", f":{port}"))
    storage = {"XDG_DATA_HOME": str(out / "caddy"), "XDG_CONFIG_HOME": str(out / "caddy")}
    environment = {**os.environ, **storage}
    with Process(["caddy", "run"], out / "caddy.log", cwd=project.home, env=environment) as caddy:
        caddy.listens(("127.0.0.1", port))
        authority = out / "caddy/caddy/pki/authorities/local/root.crt"
        # It listens before it has the certificate.
        client = caddy.come_up("it has a certificate", lambda: secured(port, authority))
        form, host = b"name=ann&password=sesame", f"localhost:{port}"
        lines = [FORM, f"Content-Length: {len(form)}", f"Origin: https://{host}"]
        client.send(request("POST", "/login", lines, host=host) + form)
        answer = client.answer("POST")
        cookie = answer.first("set-cookie", "")
        checks.that(answer.status == 303 and "; Secure" in cookie, "step 8: a login over TLS")
        lines = [f"Cookie: {cookie.split(';')[0]}", f"Origin: https://{host}"]
        client.send(opening("/ws", lines, host=host))
        checks.that(client.head().status == 101, "step 8: a WebSocket over TLS")
        checks.that(hears(client, "ann: hello"), "step 8: the history over TLS")


def stop_and_start(project, server, checks):
    """Step 9: what is left of a program that was stopped."""
    ann = project.log_in("ann")
    with project.enter(ann) as client:
        client.send_frame(TEXT, b"before")
        checks.that(hears(client, ""), "step 9: a line is acknowledged")
        server.signal(signal.SIGTERM)
        while (frame := client.frame())[0] != CLOSE:
            pass
        checks.that(frame[1][:2] == b"\x03\xe9", "step 9: pages are told, by 1001")
        client.send_frame(CLOSE, frame[1][:2])
    checks.that(server.process.wait(SECONDS) == 0, "step 9: it ends by itself")
    with open(project.home / "chat.log", "ab") as log:
        log.write(b"\nann: ha\xc3")  # What a crash leaves.
    with project.start(), project.enter(ann) as client:
        heard = hears(client, "ann: hello") and hears(client, "ann: before")
        checks.that(heard, "step 9: session and lines outlive the process")
        checks.that(hears(client, "ann: ha\ufffd"), "step 9: half a line of a crash is there")
        client.send_frame(TEXT, b"behind it")
        hears(client, "")
    last = (project.home / "chat.log").read_bytes().split(b"\n")[-2:]
    checks.that(last == [b"ann: ha\xc3", b"ann: behind it"], "step 9: the next line is apart")


def follow(folder, out, checks):
    project, done = Project(folder, out), 0
    for number, files in steps():
        project.write(files)
        project.type("cargo", "build", "--quiet")
        if number == 7:
            project.type("cargo", "test", "--quiet")
            checks.that(True, "step 7: the test passes")
        with project.start() as server:
            look(project, number, checks)
            if number == 8:
                over_tls(project, out, checks)
            if number == 9:
                stop_and_start(project, server, checks)
        done = number
    checks.that(done == 9, f"{done} steps were followed")


def main():
    out = Path(sys.argv[1])
    # So that SIGTERM, too, leaves the `with` blocks, which stop the started programs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        follow(folder, out, checks)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
