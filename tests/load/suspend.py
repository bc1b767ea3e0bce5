"""SIGSTOP for a minute, in the midst of everything, then SIGCONT. Clients go on meanwhile, so that
all they sent waits in the system's buffers. None of them may be blamed for the pause."""

import hashlib
import random
import signal
import threading
import time

from client import BINARY, CLOSE, TEXT, Client, Closed, request
from demo import Demo
from process import MIB

# Longer than every wait of the server that a client could be blamed for, but for
# `message_deadline`, which is as long.
PAUSE_SECONDS = 61
BACK_SECONDS = 20
RECEIVE_BUFFER = 64 * 1024
# More than the system's buffers hold, so that the server's write waits when the signal comes.
FILE_BYTES = 12 * MIB
SEED = 1
PING, PONG = 9, 10
WAIT_SECONDS = 120


class Part(threading.Thread):
    """One client: `begin` before the pause, `go_on` in it, and `end` after it."""

    def __init__(self, address, under_way, paused, resumed):
        super().__init__(daemon=True)
        self.address, self.under_way, self.paused, self.resumed = (
            address,
            under_way,
            paused,
            resumed,
        )
        self.error = "did not end"

    def run(self):
        try:
            with Client(self.address, wait=WAIT_SECONDS, receive_buffer=RECEIVE_BUFFER) as client:
                try:
                    self.begin(client)
                finally:
                    self.under_way.wait(WAIT_SECONDS)
                self.paused.wait(WAIT_SECONDS)
                self.go_on(client)
                self.resumed.wait(WAIT_SECONDS)
                self.end(client)
            self.error = None
        except (OSError, threading.BrokenBarrierError) as error:
            self.error = repr(error)

    def begin(self, client):
        pass

    def go_on(self, client):
        pass


def expect(answer, status, body=None):
    if answer.status != status or body is not None and answer.body != body:
        raise Closed(f"status {answer.status}, {answer.body[:80]}")


class Download(Part):
    """A file that is read from before the pause to after it."""

    body = b""

    def begin(self, client):
        client.send(request("GET", "/files/suspend"))
        expect(client.head(), 200)
        self.taken = client.take(64 * 1024)

    def go_on(self, client):
        # Some of what the system has.
        self.taken += client.take(256 * 1024)

    def end(self, client):
        self.taken += client.take(FILE_BYTES - len(self.taken))
        if hashlib.sha256(self.taken).digest() != hashlib.sha256(self.body).digest():
            raise Closed("another body than the file's")


class Upload(Part):
    """A body whose second half is sent in the pause."""

    def begin(self, client):
        client.send(request("POST", "/api/upload", ["Content-Length: 20000"]) + bytes(10_000))

    def go_on(self, client):
        client.send(bytes(10_000))

    def end(self, client):
        expect(client.answer("POST"), 200, b'{"bytes":20000}\n')


class Head(Part):
    """A head that ends in the pause. It fits into the read buffer: a longer one may get 408."""

    def begin(self, client):
        self.head = request("GET", "/api/health", [f"X-{at}: {'x' * 1000}" for at in range(20)])
        client.send(self.head[:500])

    def go_on(self, client):
        client.send(self.head[500:])

    def end(self, client):
        expect(client.answer(), 200)


class KeptAlive(Part):
    """A connection that was idle, and asks in the pause."""

    def begin(self, client):
        client.send(request("GET", "/api/health"))
        expect(client.answer(), 200)

    def go_on(self, client):
        client.send(request("GET", "/api/health"))

    def end(self, client):
        expect(client.answer(), 200)


class New(Part):
    """A connection that is made in the pause."""

    def go_on(self, client):
        self.second = Client(self.address, wait=WAIT_SECONDS)
        self.second.send(request("GET", "/api/health"))

    def end(self, client):
        with self.second:
            expect(self.second.answer(), 200)


class Events(Part):
    """An event stream of a handler."""

    def begin(self, client):
        client.send(request("GET", "/api/events"))
        expect(client.head(), 200)
        client.until(b"event: tick\n")

    def end(self, client):
        for _ in range(3):
            client.until(b"event: tick\n")


class Subscriber(Part):
    """A hub's subscriber."""

    def begin(self, client):
        client.send(request("GET", "/api/stats"))
        expect(client.head(), 200)
        client.until(b"event: stats\n")

    def end(self, client):
        for _ in range(3):
            client.until(b"event: stats\n")


def echo(client):
    client.send_frame(TEXT, b"still there")
    opcode = PING
    while opcode in (PING, PONG):
        opcode, payload = client.frame()
    if (opcode, payload) != (TEXT, b"still there"):
        raise Closed(f"opcode {opcode}, {payload[:80]}, and no echo")


class Silent(Part):
    """A WebSocket that was pinged before the pause, and answers in it."""

    def begin(self, client):
        client.upgrade("/api/ws")
        opcode, self.payload = client.frame()
        if opcode != PING:
            raise Closed(f"opcode {opcode}, and no Ping")

    def go_on(self, client):
        client.send_frame(PONG, self.payload)

    def end(self, client):
        echo(client)


class Fragments(Part):
    """A WebSocket message that ends in the pause."""

    def begin(self, client):
        client.upgrade("/api/ws")
        # Masked with zeros.
        client.send(b"\x01\x82\0\0\0\0ab")

    def go_on(self, client):
        client.send(b"\x80\x82\0\0\0\0cd")

    def end(self, client):
        opcode, payload = client.frame()
        while opcode == PING:
            opcode, payload = client.frame()
        if (opcode, payload) != (TEXT, b"abcd"):
            raise Closed(f"opcode {opcode}, {payload[:80]}, and no echo")
        echo(client)


class LongMessage(Part):
    """A WebSocket message that the server sends from before the pause to after it."""

    body = b""

    def begin(self, client):
        client.upgrade("/api/ws")
        client.send_frame(BINARY, self.body)

    def go_on(self, client):
        while len(client.buffer) < 1 * MIB:
            if not client.receive():
                raise Closed("in the middle of a message")

    def end(self, client):
        if client.frame() != (BINARY, self.body):
            raise Closed("another echo")
        echo(client)


class CloseSent(Part):
    """A WebSocket that is closed in the pause."""

    def begin(self, client):
        client.upgrade("/api/ws")
        echo(client)

    def go_on(self, client):
        client.send_frame(CLOSE, (1000).to_bytes(2, "big"))

    def end(self, client):
        opcode, payload = client.frame()
        while opcode == PING:
            opcode, payload = client.frame()
        if (opcode, payload) != (CLOSE, (1000).to_bytes(2, "big")):
            raise Closed(f"opcode {opcode}, {payload[:80]}, and no Close")


KINDS = [
    Download, Upload, Head, KeptAlive, New, Events, Subscriber, Silent, Fragments, LongMessage,
    CloseSent,
]


def check(arguments, checks):
    files = arguments.out / "files"
    files.mkdir(exist_ok=True)
    Download.body = LongMessage.body = random.Random(SEED).randbytes(FILE_BYTES)
    (files / "suspend").write_bytes(Download.body)
    with Demo(arguments, files) as demo:
        start = demo.warm()
        paused, resumed = threading.Event(), threading.Event()
        under_way = threading.Barrier(len(KINDS) + 1)
        # These may not be long under way: a head may take 10 s, an idle connection lasts 15 s, and
        # a body may stand still for 30 s.
        late = [Head, KeptAlive, New, Upload]
        parts = {kind: kind(demo.address, under_way, paused, resumed) for kind in KINDS}
        for kind in KINDS:
            if kind not in late:
                parts[kind].start()
        # The Ping comes after 20 s.
        time.sleep(21)
        for kind in late:
            parts[kind].start()
        under_way.wait(WAIT_SECONDS)
        time.sleep(1)
        demo.signal(signal.SIGSTOP)
        begun = time.monotonic()
        paused.set()
        time.sleep(PAUSE_SECONDS)
        demo.signal(signal.SIGCONT)
        paused_seconds = time.monotonic() - begun
        resumed.set()
        for kind, part in parts.items():
            part.join(30)
            what = kind.__doc__.split(".")[0].replace("\n    ", " ")
            checks.that(
                part.error is None,
                f"suspend: after {paused_seconds:.0f} s: {what} {part.error or ''}".rstrip(),
            )
        after, waited = demo.wait_until_back_at(start, BACK_SECONDS)
        checks.that(
            after.is_back_at(start), f"suspend: {waited:.1f} s after the last client left: {after}"
        )
