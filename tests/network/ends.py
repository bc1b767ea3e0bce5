"""The clients at the far end of a link. Each does what a careful page or program does: it waits for
silence to last, then connects again and goes on where it was."""

import hashlib
import json
import select
import threading
import time

from client import CLOSE, TEXT, Client, Closed, EventStream, request
from link import SERVER, inside

PORT = 8090
PING, PONG = 9, 10
ORDERLY = "an orderly end"

CONNECT_SECONDS = 5
RETRY_SECONDS = 1
# The longest silence after which a client takes its connection for dead. A hub sends a heartbeat
# after 20 s at most, and an answer comes behind a gap of 10 s and the system's own retry.
SILENCE_SECONDS = 35
PIECE_BYTES = 16 * 1024
EVENT_SECONDS = 0.25
PING_SECONDS = 2


class End(threading.Thread):
    """One client. `ends` is why each of its connections ended."""

    def __init__(self, link):
        super().__init__(daemon=True)
        self.link = link
        self.over = threading.Event()
        self.under_way = threading.Event()
        self.opens, self.ends = 0, []
        self.client, self.is_done = None, False
        self.start()

    def run(self):
        while not self.over.is_set():
            try:
                with self.connect() as self.client:
                    self.is_done = bool(self.talk(self.client))
                self.ends.append(ORDERLY)
            except OSError as error:
                self.ends.append(str(error))
            if self.is_done:
                return
            self.over.wait(RETRY_SECONDS)

    def connect(self):
        client = inside(self.link.client, lambda: Client((SERVER, PORT), wait=CONNECT_SECONDS))
        client.socket.settimeout(SILENCE_SECONDS)
        self.opens += 1
        return client

    def port(self):
        """Its end of the connection."""
        return self.client.socket.getsockname()[1]

    def end(self):
        self.over.set()
        if self.client is not None:
            # Wakes its read; the thread closes the socket.
            try:
                self.client.socket.shutdown(2)
            except OSError:
                pass
        self.join(30)


class EventSource(End):
    """Follows the room by an event stream, and comes back with `Last-Event-ID`."""

    def __init__(self, link):
        self.got, self.resets, self.last_id = [], 0, ""
        super().__init__(link)

    def talk(self, client):
        lines = [f"Last-Event-ID: {self.last_id}"] if self.last_id else []
        client.send(request("GET", "/api/chat/events", lines))
        head = client.head()
        if head.status != 200:
            raise Closed(f"status {head.status}")
        stream = EventStream(self.last_id)
        while client.buffer or client.receive():
            for event in stream.feed(client.take(len(client.buffer))):
                if event.kind == "reset":
                    self.resets += 1
                elif event.kind == "chat":
                    self.got.append((event.id, int(json.loads(event.data)["text"])))
                    self.under_way.set()
            self.last_id = stream.last_id


class WebSocket(End):
    """A WebSocket that answers pings. `codes` are those of the Closes that it got."""

    path = ""

    def __init__(self, link):
        self.codes, self.pings = [], 0
        super().__init__(link)

    def take_frame(self, client):
        """The next text; `None` for a control frame. Closed after the server's Close."""
        opcode, payload = client.frame()
        if opcode == PING:
            self.pings += 1
            client.send_frame(PONG, payload)
        elif opcode == PONG:
            self.take_pong(payload)
        elif opcode == CLOSE:
            self.codes.append(int.from_bytes(payload[:2], "big"))
            client.send_frame(CLOSE, payload)
            while client.receive():
                pass
            raise Closed(f"Close {self.codes[-1]}")
        elif opcode == TEXT:
            return payload.decode()
        return None

    def take_pong(self, payload):
        raise Closed(f"a Pong that nobody asked for: {payload}")


class Member(WebSocket):
    """A member of the room that only listens. `got` has a list for each connection."""

    def __init__(self, link):
        self.got = []
        super().__init__(link)

    def talk(self, client):
        client.upgrade("/api/chat?name=far")
        self.got.append([])
        while True:
            if (text := self.take_frame(client)) is not None:
                self.got[-1].append(int(json.loads(text)["text"]))
                self.under_way.set()


class Echo(WebSocket):
    """Asks by a ping and by a text every two seconds, and gets both back in order."""

    def __init__(self, link):
        self.asked = self.answered = 0
        self.longest = 0.0
        super().__init__(link)

    def talk(self, client):
        client.upgrade("/api/ws")
        self.waiting_pongs, waiting_texts = [], []
        due = time.monotonic()
        while True:
            if time.monotonic() >= due:
                due += PING_SECONDS
                self.asked += 1
                word = str(self.asked)
                self.waiting_pongs.append((word.encode(), time.monotonic()))
                waiting_texts.append(word)
                client.send_frame(PING, word.encode())
                client.send_frame(TEXT, word.encode())
            if self.waiting_pongs and time.monotonic() > self.waiting_pongs[0][1] + SILENCE_SECONDS:
                raise TimeoutError("no Pong")
            wait = max(0, due - time.monotonic())
            if not client.buffer and not select.select([client.socket], [], [], wait)[0]:
                continue
            if (text := self.take_frame(client)) is not None:
                if text != waiting_texts.pop(0):
                    raise Closed(f"another echo: {text}")
                self.answered += 1
                self.under_way.set()

    def take_pong(self, payload):
        word, at = self.waiting_pongs.pop(0)
        if payload != word:
            raise Closed(f"another Pong: {payload}")
        self.longest = max(self.longest, time.monotonic() - at)


class Download(End):
    """A file, which goes on by a range where its connection ended."""

    def __init__(self, link, path):
        self.path, self.body, self.size, self.etag = path, bytearray(), None, None
        self.again = 0
        super().__init__(link)

    def talk(self, client):
        lines = [f"Range: bytes={len(self.body)}-", f"If-Range: {self.etag}"] if self.body else []
        client.send(request("GET", self.path, lines))
        head = client.head()
        if head.status == 200:
            self.again += bool(self.body)
            self.body.clear()
            self.size = int(head.first("content-length"))
            self.etag = head.first("etag")
        elif head.status != 206 or not head.first("content-range", "").startswith(
            f"bytes {len(self.body)}-"
        ):
            raise Closed(str(head))
        while len(self.body) < self.size:
            if not client.buffer and not client.receive():
                raise Closed(f"{self.size - len(self.body)} bytes early")
            self.body += client.take(min(len(client.buffer), self.size - len(self.body)))
            self.under_way.set()
        return True

    def digest(self):
        return hashlib.sha256(self.body).digest()


class Upload(End):
    """A body of known length; from its beginning if its connection ends."""

    def __init__(self, link, size):
        self.size, self.sent, self.statuses = size, 0, []
        super().__init__(link)

    def talk(self, client):
        client.send(request("POST", "/api/upload", [f"Content-Length: {self.size}"]))
        self.sent = 0
        piece = bytes(PIECE_BYTES)
        while self.sent < self.size:
            count = min(PIECE_BYTES, self.size - self.sent)
            client.send(piece[:count])
            self.sent += count
            self.under_way.set()
        answer = client.answer("POST")
        self.statuses.append(answer.status)
        if answer.status != 200 or json.loads(answer.body)["bytes"] != self.size:
            raise Closed(str(answer))
        return True


class Speaker(threading.Thread):
    """A member beside the server, which says 1, 2, 3 … `heard` is the last that the room has sent
    back."""

    def __init__(self, link):
        super().__init__(daemon=True)
        self.link, self.over = link, threading.Event()
        self.heard, self.error = 0, None
        self.start()

    def run(self):
        try:
            with inside(self.link.server, lambda: Client(("127.0.0.1", PORT), wait=60)) as client:
                client.upgrade("/api/chat?name=near")
                for number in range(1, 1_000_000):
                    client.send_frame(TEXT, str(number).encode())
                    while self.heard < number:
                        opcode, payload = client.frame()
                        if opcode == TEXT:
                            self.heard = int(json.loads(payload)["text"])
                    if self.over.wait(EVENT_SECONDS):
                        return
        except (OSError, ValueError) as error:
            self.error = repr(error)

    def end(self):
        self.over.set()
        self.join(70)
