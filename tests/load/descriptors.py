"""More connections than the demo has descriptors for."""

import selectors
import socket
import time

from client import ask, request
from demo import Demo

LIMIT = 64
CONNECTIONS = 200
STARVED_SECONDS = 5
CPU_SHARE = 0.10
# Connections beyond the listen queue return after TCP's own retries, which double from 1 s on.
SERVED_SECONDS = 40


class Waiting:
    """Connections that each send one request; the test waits for all of them together."""

    def __init__(self, address, count):
        self.selector = selectors.DefaultSelector()
        self.open = {}
        self.answered = set()
        self.failed = []
        for _ in range(count):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(address)
            self.open[client] = b""
            self.selector.register(client, selectors.EVENT_WRITE)

    def look(self, seconds):
        """Sends and receives what it can for this long, or until all have been answered."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and len(self.answered) + len(
            self.failed
        ) < len(self.open):
            for key, events in self.selector.select(min(left, 0.25)):
                try:
                    self.step(key.fileobj, events)
                except OSError as error:
                    self.failed.append(repr(error))
                    self.selector.unregister(key.fileobj)

    def step(self, client, events):
        if events & selectors.EVENT_WRITE:
            if error := client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, "connect")
            client.send(request("GET", "/api/health"))
            self.selector.modify(client, selectors.EVENT_READ)
            return
        data = client.recv(4096)
        self.open[client] += data
        if not data:
            raise OSError(f"closed after {self.open[client]!r}")
        if b'{"status":"ok"}\n' in self.open[client]:
            if not self.open[client].startswith(b"HTTP/1.1 200 "):
                raise OSError(f"answer {self.open[client]!r}")
            self.answered.add(client)
            self.selector.unregister(client)

    def leave(self):
        """Closes the connections that have got their answer."""
        for client in self.answered:
            client.close()

    def close(self):
        for client in self.open:
            client.close()
        self.selector.close()


def check(arguments, checks):
    with Demo(arguments, descriptors=LIMIT) as demo:
        start = demo.warm()
        print(f"before: {start}; limit {LIMIT} descriptors")
        waiting = Waiting(demo.address, CONNECTIONS)
        waiting.look(1)
        starved = len(waiting.answered)
        usage, cpu, begun = demo.usage(), demo.cpu_seconds(), time.monotonic()
        checks.that(
            usage.descriptors >= LIMIT - 2 and starved < CONNECTIONS,
            f"descriptors: starved, {starved} of {CONNECTIONS} connections served: {usage}",
        )
        waiting.look(STARVED_SECONDS)
        cpu, elapsed = demo.cpu_seconds() - cpu, time.monotonic() - begun
        checks.that(
            cpu < CPU_SHARE * elapsed,
            f"descriptors: {cpu:.2f} s of CPU time in {elapsed:.1f} s of starvation "
            f"({100 * cpu / elapsed:.1f} % of a core; must: < {100 * CPU_SHARE:.0f} %)",
        )
        checks.that(
            len(waiting.answered) == starved,
            f"descriptors: it was starved all that time, {len(waiting.answered)} connections "
            "served",
        )
        begun = time.monotonic()
        while (
            len(waiting.answered) + len(waiting.failed) < CONNECTIONS
            and time.monotonic() < begun + SERVED_SECONDS
        ):
            waiting.leave()
            waiting.look(0.25)
        checks.that(
            len(waiting.answered) == CONNECTIONS,
            f"descriptors: all {len(waiting.answered)} connections served "
            f"{time.monotonic() - begun:.1f} s after "
            f"those before them had left {waiting.failed[:3] or ''}".strip(),
        )
        waiting.close()
        after, waited = demo.wait_until_back_at(start, 15, 16 << 20)
        checks.that(
            after.is_back_at(start, 16 << 20), f"descriptors: {waited:.1f} s after: {after}"
        )
        health = ask(demo.address, "GET", "/api/health")
        checks.that(health.status == 200, "descriptors: a new connection is served")
