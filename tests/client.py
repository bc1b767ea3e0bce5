"""A raw client for HTTP/1.1, WebSocket and event streams, which all harnesses share. It implements
the RFCs independently of our code, so that a bug of ours cannot hide."""

import os
import socket
import struct
import time
from dataclasses import dataclass, field

WAIT_SECONDS = 20
TEXT, BINARY, CLOSE = 1, 2, 8
# RFC 6455 §1.3 gives this key and the answer to it.
KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class Closed(ConnectionError):
    """The server ended the connection in the middle of a response."""


@dataclass
class Answer:
    """A response. `body` is without chunked framing; `excess` is the bytes after it on a connection
    that then ended."""

    status: int
    fields: list = field(default_factory=list)
    body: bytes = b""
    excess: bytes = b""
    seconds: float = 0.0

    def all(self, name):
        """Every line of this field."""
        return [value for key, value in self.fields if key == name.lower()]

    def first(self, name, otherwise=None):
        """The field's value. Two lines of a field that may occur once are no valid value."""
        lines = self.all(name)
        return ", ".join(lines) if lines else otherwise

    def closes(self):
        return (self.first("connection") or "").lower() == "close"


class Client:
    """One connection, with a buffer of received bytes that are not taken yet. `address` is a pair
    of host and port, or the path of a Unix socket; `source` is the address that it comes from."""

    def __init__(self, address, source=None, wait=WAIT_SECONDS, receive_buffer=None):
        is_tcp = isinstance(address, tuple)
        self.socket = socket.socket(socket.AF_INET if is_tcp else socket.AF_UNIX)
        try:
            self.socket.settimeout(wait)
            if receive_buffer is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if source is not None:
                self.socket.bind((source, 0))
            self.socket.connect(address)
            if is_tcp:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self.socket.close()
            raise
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def reset(self):
        """Ends the connection with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """Takes the bytes that have arrived, or waits for them. False at the server's FIN."""
        data = self.socket.recv(256 * 1024)
        self.buffer += data
        return bool(data)

    def until(self, mark):
        """Everything up to and including `mark`."""
        while (end := self.buffer.find(mark)) < 0:
            if not self.receive():
                raise Closed(f"before {mark!r}, after {bytes(self.buffer[-40:])!r}")
        return self.take(end + len(mark))

    def take(self, count):
        while len(self.buffer) < count:
            if not self.receive():
                raise Closed(f"{count - len(self.buffer)} bytes early")
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def rest(self):
        """Everything up to the server's FIN."""
        while self.receive():
            pass
        return self.take(len(self.buffer))

    def head(self):
        """The next response without its body."""
        status_line, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status = status_line.split(" ", 2)[:2]
        if version != "HTTP/1.1":
            raise Closed(f"status line {status_line!r}")
        fields = []
        for line in filter(None, lines):
            name, value = line.split(":", 1)
            fields.append((name.lower(), value.strip()))
        return Answer(int(status), fields)

    def answer(self, method="GET"):
        """The next response with its body."""
        begun = time.monotonic()
        answer = self.head()
        answer.body = self.body(answer, method)
        answer.seconds = time.monotonic() - begun
        return answer

    def body(self, head, method="GET"):
        """The body of the response with this head (RFC 9112 §6.3)."""
        lengths = head.all("content-length")
        if method == "HEAD" or head.status in (204, 304):
            return b""
        if head.first("transfer-encoding") == "chunked":
            return b"".join(iter(self.chunk, b""))
        if len(lengths) == 1:
            return self.take(int(lengths[0]))
        if lengths:
            raise Closed(f"content-length {lengths}")
        return self.rest()

    def chunk(self):
        """The next chunk of a chunked body; empty at its end."""
        size = int(self.until(b"\r\n")[:-2].split(b";")[0], 16)
        data = self.take(size)
        if self.take(2) != b"\r\n":
            raise Closed("a chunk without its CRLF")
        return data

    def upgrade(self, path):
        """A WebSocket opening handshake."""
        self.send(opening(path))
        head = self.head()
        if head.status != 101 or head.first("sec-websocket-accept") != ACCEPT:
            raise Closed(f"handshake: {head}")

    def send_frame(self, opcode, payload):
        """A whole message in one frame."""
        key = os.urandom(4)
        if len(payload) < 126:
            length = struct.pack("!B", 0x80 | len(payload))
        elif len(payload) < 1 << 16:
            length = struct.pack("!BH", 0x80 | 126, len(payload))
        else:
            length = struct.pack("!BQ", 0x80 | 127, len(payload))
        pad = int.from_bytes((key * (len(payload) // 4 + 1))[: len(payload)], "big")
        masked = (int.from_bytes(payload, "big") ^ pad).to_bytes(len(payload), "big")
        self.send(bytes([0x80 | opcode]) + length + key + masked)

    def frame(self):
        """The next frame: opcode and payload."""
        first, second = self.take(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self.take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.take(8))
        if first & 0xF0 != 0x80 or second & 0x80:
            raise Closed(f"frame head {first:02x} {second:02x}")
        return first & 0x0F, self.take(length)


@dataclass
class Event:
    """An event of a stream. `id` is the last id up to it."""

    kind: str
    data: str
    id: str


class EventStream:
    """Parses an event stream, however its bytes arrive, as the HTML standard says (§9.2.6). Lines
    end by LF: our server writes no other end."""

    def __init__(self, last_id=""):
        self.last_id = last_id
        self.unread = b""

    def feed(self, data):
        """The events that end in these bytes."""
        *blocks, self.unread = (self.unread + data).split(b"\n\n")
        events = (self.event(block.decode()) for block in blocks)
        return [event for event in events if event is not None]

    def event(self, block):
        kind, data = "message", []
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                kind = value
            elif name == "data":
                data.append(value)
            elif name == "id":
                self.last_id = value
        return Event(kind, "\n".join(data), self.last_id) if data else None


def request(method, target, lines=(), version="1.1", host="localhost"):
    """A request's bytes. `target` may be bytes that no string can express."""
    if isinstance(target, str):
        target = target.encode()
    head = [f"Host: {host}"] if host is not None else []
    tail = "".join(f"{line}\r\n" for line in [*head, *lines])
    return method.encode() + b" " + target + f" HTTP/{version}\r\n{tail}\r\n".encode()


def opening(path, lines=(), host="localhost"):
    """A WebSocket opening handshake (RFC 6455 §4.1)."""
    upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    return request("GET", path, [*upgrade, f"Sec-WebSocket-Key: {KEY}", *lines], host=host)


def ask(address, method, target, lines=(), version="1.1", host="localhost"):
    """One request on a new connection, and everything that the server sends."""
    with Client(address) as client:
        client.send(request(method, target, [*lines, "Connection: close"], version, host))
        answer = client.answer(method)
        answer.excess = client.rest()
        return answer
