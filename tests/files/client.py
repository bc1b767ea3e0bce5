"""A raw HTTP/1.1 client. It implements the RFCs independently, so that a bug of ours cannot
hide."""

import socket
import time
from dataclasses import dataclass, field

WAIT_SECONDS = 20


class Closed(Exception):
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
    """One connection, with a buffer of received bytes that are not taken yet."""

    def __init__(self, address, wait=WAIT_SECONDS, receive_buffer=None):
        self.socket = socket.socket()
        try:
            self.socket.settimeout(wait)
            if receive_buffer is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.socket.connect(address)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self.socket.close()
            raise
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
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
        """The next response with its body (RFC 9112 §6.3)."""
        begun = time.monotonic()
        answer = self.head()
        lengths = answer.all("content-length")
        if method == "HEAD" or answer.status in (204, 304):
            pass
        elif answer.first("transfer-encoding") == "chunked":
            while data := self.chunk():
                answer.body += data
        elif len(lengths) == 1:
            answer.body = self.take(int(lengths[0]))
        elif lengths:
            raise Closed(f"content-length {lengths}")
        else:
            answer.body = self.rest()
        answer.seconds = time.monotonic() - begun
        return answer

    def chunk(self):
        """The next chunk of a chunked body; empty at its end."""
        size = int(self.until(b"\r\n")[:-2].split(b";")[0], 16)
        data = self.take(size)
        if self.take(2) != b"\r\n":
            raise Closed("a chunk without its CRLF")
        return data


def request(method, target, lines=(), version="1.1", host="localhost"):
    """A request's bytes. `target` may be bytes that no string can express."""
    if isinstance(target, str):
        target = target.encode()
    head = [f"Host: {host}"] if host is not None else []
    tail = "".join(f"{line}\r\n" for line in [*head, *lines])
    return method.encode() + b" " + target + f" HTTP/{version}\r\n{tail}\r\n".encode()


def ask(address, method, target, lines=(), version="1.1", host="localhost"):
    """One request on a new connection, and everything that the server sends."""
    with Client(address) as client:
        client.send(request(method, target, [*lines, "Connection: close"], version, host))
        answer = client.answer(method)
        answer.excess = client.rest()
        return answer


def essence(content_type):
    """The media type without its parameters."""
    return content_type.split(";")[0].strip().lower() if content_type is not None else None


def parts(answer):
    """The parts of a multipart/byteranges body: media type, Content-Range, bytes (RFC 9110 §14.6,
    RFC 2046 §5.1.1)."""
    kind, _, boundary = answer.first("content-type").partition("boundary=")
    if essence(kind) != "multipart/byteranges" or not boundary:
        raise ValueError(f"content-type {answer.first('content-type')!r}")
    delimiter = b"\r\n--" + boundary.strip('"').encode()
    # The first delimiter has its CRLF too; without it zsync reads none.
    preamble, *pieces, epilogue = answer.body.split(delimiter)
    if preamble or epilogue not in (b"--", b"--\r\n"):
        raise ValueError(f"multipart between {preamble[:40]!r} and {epilogue[:40]!r}")
    found = []
    for piece in pieces:
        if not piece.startswith(b"\r\n"):
            raise ValueError(f"after a delimiter: {piece[:40]!r}")
        head, gap, body = piece[2:].partition(b"\r\n\r\n")
        if not gap:
            raise ValueError(f"no end of a part's head: {head[:80]!r}")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        fields = {name.lower(): value for name, value in fields.items()}
        found.append((essence(fields.get("content-type")), fields.get("content-range"), body))
    return found
