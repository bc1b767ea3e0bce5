"""Raw clients. They implement HTTP and WebSocket from the RFCs, independently of our code, so that
a bug of ours cannot hide."""

import os
import socket
import struct

TEXT, BINARY, CLOSE = 1, 2, 8
WAIT_SECONDS = 20


class Closed(Exception):
    """The server ended the connection in the middle of a response."""


class Client:
    """One connection, with a buffer of received bytes that are not taken yet."""

    def __init__(self, address, source="127.0.0.1", wait=WAIT_SECONDS, receive_buffer=None):
        self.socket = socket.socket()
        try:
            self.socket.settimeout(wait)
            if receive_buffer is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.socket.bind((source, 0))
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

    def reset(self):
        """Ends the connection with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """Takes the bytes that have arrived, or waits for them. False at the server's FIN."""
        data = self.socket.recv(64 * 1024)
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

    def head(self):
        """The next response's status and its fields by lower-case name."""
        status_line, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = {}
        for line in filter(None, lines):
            name, value = line.split(":", 1)
            fields[name.lower()] = value.strip()
        return int(status_line.split()[1]), fields

    def response(self):
        """The next response, whose length must be announced: status, fields, body."""
        status, fields = self.head()
        return status, fields, self.take(int(fields["content-length"]))

    def chunk(self):
        """The next chunk of a chunked body; empty at its end."""
        size = int(self.until(b"\r\n")[:-2], 16)
        data = self.take(size)
        if self.take(2) != b"\r\n":
            raise Closed("a chunk without its CRLF")
        return data

    def upgrade(self, path):
        """A WebSocket opening handshake."""
        self.send(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        status, fields = self.head()
        # RFC 6455 §1.3 gives this key and the answer to it.
        if status != 101 or fields.get("sec-websocket-accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=":
            raise Closed(f"handshake: {status} {fields}")

    def send_frame(self, opcode, payload):
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


def get(path, extra=""):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{extra}\r\n".encode()
