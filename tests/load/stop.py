"""SIGTERM while downloads, event streams and WebSockets are under way."""

import hashlib
import random
import signal
import subprocess
import threading
import time

from client import CLOSE, TEXT, Client, Closed, request
from demo import Demo
from process import MIB

EACH = 50
GRACE_SECONDS = 30
# More than the kernel's buffers on both sides hold (4 MiB at most by default), so that the server
# is still writing.
FILE_BYTES = 8 * MIB
RECEIVE_BUFFER = 64 * 1024
# The client takes this long to read the rest, so that the server must wait for it.
REST_SECONDS = 3
SEED = 1


class Part(threading.Thread):
    """One client. It reports when it is under way, and continues after SIGTERM was sent."""

    def __init__(self, address, under_way, stopped):
        super().__init__(daemon=True)
        self.address, self.under_way, self.stopped = address, under_way, stopped
        self.error = "did not end"
        self.seconds = 0.0

    def run(self):
        try:
            self.go()
            self.error = None
        except Exception as error:
            self.error = repr(error)
            if not self.stopped.is_set():
                self.under_way.abort()
        self.seconds = time.monotonic()

    def at_stop(self):
        self.under_way.wait(30)
        if not self.stopped.wait(30):
            raise TimeoutError("no SIGTERM")


def at_fin(client):
    """Fails unless the server's FIN comes next: RST raises, and more data is an error."""
    while client.receive():
        pass
    if client.buffer:
        raise Closed(f"{len(client.buffer)} bytes after the end: {bytes(client.buffer[:40])!r}")


class Download(Part):
    """A response that has begun: the client has read the head and the first 64 KiB, and reads the
    rest in pieces afterwards."""

    digest = b""

    def go(self):
        with Client(self.address, receive_buffer=RECEIVE_BUFFER) as client:
            client.send(request("GET", "/files/random"))
            head = client.head()
            if head.status != 200 or head.all("content-length") != [str(FILE_BYTES)]:
                raise Closed(str(head))
            taken = hashlib.sha256(client.take(64 * 1024))
            left = FILE_BYTES - 64 * 1024
            self.at_stop()
            pieces = 32
            for piece in range(pieces, 0, -1):
                count = left // piece
                taken.update(client.take(count))
                left -= count
                time.sleep(REST_SECONDS / pieces)
            if taken.digest() != self.digest:
                raise Closed("another body than the file's")
            at_fin(client)


class Events(Part):
    """An event stream: its first event is read; after SIGTERM it must end between two events."""

    def go(self):
        with Client(self.address) as client:
            client.send(request("GET", "/api/events"))
            head = client.head()
            chunked = head.first("transfer-encoding") == "chunked"
            if head.status != 200 or not head.first("content-type", "").startswith(
                "text/event-stream"
            ):
                raise Closed(str(head))
            read = client.chunk() if chunked else client.until(b"\n\n")
            self.at_stop()
            if chunked:
                while data := client.chunk():
                    read += data
                at_fin(client)
            else:
                while client.receive():
                    pass
                read += client.buffer
            if not read.endswith(b"\n\n") or b"event: tick\n" not in read:
                raise Closed(f"ended with {bytes(read[-40:])!r}")


class WebSocket(Part):
    """A WebSocket that has echoed; after SIGTERM it gets Close 1001, answers it, and sees FIN."""

    def go(self):
        with Client(self.address) as client:
            client.upgrade("/api/ws")
            client.send_frame(TEXT, b"hello")
            if client.frame() != (TEXT, b"hello"):
                raise Closed("no echo")
            self.at_stop()
            opcode, payload = client.frame()
            if opcode != CLOSE or payload[:2] != (1001).to_bytes(2, "big"):
                raise Closed(f"opcode {opcode}, payload {payload!r}, not Close 1001")
            client.send_frame(CLOSE, payload)
            at_fin(client)


def check(arguments, checks):
    files = arguments.out / "files"
    files.mkdir(exist_ok=True)
    body = random.Random(SEED).randbytes(FILE_BYTES)
    (files / "random").write_bytes(body)
    Download.digest = hashlib.sha256(body).digest()
    with Demo(arguments, files) as demo:
        stopped = threading.Event()
        under_way = threading.Barrier(3 * EACH + 1)
        parts = [
            kind(demo.address, under_way, stopped)
            for kind in (Download, Events, WebSocket)
            for _ in range(EACH)
        ]
        for part in parts:
            part.start()
        try:
            under_way.wait(30)
        except threading.BrokenBarrierError:
            checks.that(
                False, f"stop: not under way: {[part.error for part in parts if part.error][:3]}"
            )
            stopped.set()
            return
        with Client(demo.address) as client:
            client.send(request("GET", "/metrics", ["Connection: close"]))
            metrics = client.answer().body.decode()
            at_fin(client)
        counts = [line for line in metrics.splitlines() if not line.startswith("#")]
        print(
            "under way:",
            "; ".join(line for line in counts if "in_progress" in line or "upgraded" in line),
        )
        print(f"before: {demo.usage()}")
        begun = time.monotonic()
        demo.process.send_signal(signal.SIGTERM)
        stopped.set()
        try:
            code = demo.process.wait(GRACE_SECONDS + 10)
        except subprocess.TimeoutExpired:
            code = None
        took = time.monotonic() - begun
        names = {
            Download: f"downloads of {FILE_BYTES // MIB} MiB completed, then FIN",
            Events: "event streams ended by FIN after a whole event",
            WebSocket: "WebSockets got Close 1001, then FIN",
        }
        for kind, name in names.items():
            ours = [part for part in parts if isinstance(part, kind)]
            for part in ours:
                part.join(10)
            good = [part for part in ours if part.error is None]
            bad = [part.error for part in ours if part.error is not None]
            last = max((part.seconds - begun for part in good), default=0)
            checks.that(
                len(good) == EACH,
                f"stop: {len(good)} of {EACH} {name}, the last after {last:.2f} s "
                f"{bad[:3] or ''}".strip(),
            )
        checks.that(
            code == 0 and took < GRACE_SECONDS,
            f"stop: exit code {code} after {took:.2f} s (grace {GRACE_SECONDS} s)",
        )
        try:
            Client(demo.address).socket.close()
            refused = False
        except ConnectionRefusedError:
            refused = True
        checks.that(refused, "stop: nobody listens there any more")
