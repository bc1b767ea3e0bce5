"""Sends bytes to many servers at a time, and reads what they answer."""

import contextlib
import json
import re
import selectors
import socket
import time
from dataclasses import dataclass, field

CONCURRENT = 200
# Longest exchange, however much a server says, in seconds.
WHOLE_SECONDS = 20
# How each answer of an origin begins that understood the request.
UNDERSTOOD = re.compile(rb'\{"method": ?"')


@dataclass
class Exchange:
    """Bytes to one server. `parts` are sent one by one: `due` says how many may be sent, given what
    was received; without it, one more at each empty line that the server sends. `received` is
    everything up to the server's end; `ended` is false if it said nothing for so long that the
    client went away."""

    key: object
    address: tuple
    parts: list
    due: object = None
    received: bytearray = field(default_factory=bytearray)
    ended: bool = False
    unsent: bytes = b""
    sent: int = 1
    last: float = 0.0
    begun: float = 0.0
    socket: object = None


class Client:
    """Runs exchanges, `CONCURRENT` of them at a time. `idle` is how long a server may say nothing,
    in seconds."""

    def __init__(self, idle):
        self.idle = idle

    def run(self, exchanges):
        waiting = list(reversed(exchanges))
        with selectors.DefaultSelector() as selector:
            running = []
            while waiting or running:
                while waiting and len(running) < CONCURRENT:
                    exchange = waiting.pop()
                    self.begin(exchange, selector)
                    running.append(exchange)
                for key, events in selector.select(0.02):
                    self.move(key.data, events, selector)
                now = time.monotonic()
                for exchange in running:
                    late = now - exchange.last > self.idle or now - exchange.begun > WHOLE_SECONDS
                    if exchange.socket and late:
                        self.end(exchange, selector, False)
                running = [exchange for exchange in running if exchange.socket]
        return exchanges

    def begin(self, exchange, selector):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(exchange.address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        exchange.socket = sock
        exchange.unsent = exchange.parts[0]
        exchange.last = exchange.begun = time.monotonic()
        selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, exchange)

    def move(self, exchange, events, selector):
        exchange.last = time.monotonic()
        if events & selectors.EVENT_WRITE and not self.write(exchange):
            exchange.unsent = b""
        if not exchange.unsent:
            selector.modify(exchange.socket, selectors.EVENT_READ, exchange)
        if events & selectors.EVENT_READ:
            try:
                data = exchange.socket.recv(1 << 18)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            exchange.received += data
            if not data:
                return self.end(exchange, selector, True)
            due = exchange.due or (lambda received: 1 + received.count(b"\r\n\r\n"))
            due = min(due(exchange.received), len(exchange.parts))
            if due > exchange.sent:
                exchange.unsent += b"".join(exchange.parts[exchange.sent : due])
                exchange.sent = due
                selector.modify(
                    exchange.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, exchange
                )

    def write(self, exchange):
        try:
            exchange.unsent = exchange.unsent[exchange.socket.send(exchange.unsent) :]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def end(self, exchange, selector, ended):
        exchange.ended = ended
        selector.unregister(exchange.socket)
        exchange.socket.close()
        exchange.socket = None


def answers(data):
    """The answers in these bytes, interim ones left out, as (status, fields, body); the last may be
    cut off. None of the requests is a HEAD."""
    found, at = [], 0
    while (end := data.find(b"\r\n\r\n", at)) >= 0:
        status_line, *lines = data[at:end].decode("latin-1").split("\r\n")
        parts = (line.partition(":") for line in lines)
        fields = {name.lower(): value.strip() for name, _, value in parts}
        words = status_line.split(" ")
        status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        at = end + 4
        if 100 <= status < 200 and status != 101:
            continue
        body, at = body_of(data, at, status, fields)
        found.append((status, fields, body))
    return found


def body_of(data, at, status, fields):
    """The body that begins there, and where it ends."""
    if status in (101, 204, 304):
        return b"", at
    if fields.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while (end := data.find(b"\r\n", at)) >= 0:
            size = int(data[at:end].split(b";")[0] or b"0", 16)
            body += data[end + 2 : end + 2 + size]
            at = end + 4 + size
            if size == 0:
                break
        else:
            at = len(data)
        return bytes(body), at
    end = at + int(fields["content-length"]) if "content-length" in fields else len(data)
    return bytes(data[at:end]), end


def understood(exchange):
    """What a server made of the bytes: the requests that it understood up to its first refusal, its
    end (("refused", status, text), ("closed",) or ("waits",)), and how many it understood in
    all: a proxy may go on behind a refusal, and answers HTTP/0.9 without a head."""
    requests, end = [], None
    for status, fields, body in answers(exchange.received):
        if "x-understood" not in fields:
            end = end or ("refused", status, body.decode("latin-1").strip().partition("\n")[0])
        elif end is None:
            with contextlib.suppress(ValueError):
                requests.append(json.loads(body))
    return (
        requests,
        end or (("closed",) if exchange.ended else ("waits",)),
        len(UNDERSTOOD.findall(exchange.received)),
    )
