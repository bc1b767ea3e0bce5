"""A node that crashes under a browser, and five thousand clients that reconnect at once."""

import json
import selectors
import socket
import subprocess
import time
from pathlib import Path

from clients import Follower, Publisher, account
from client import EventStream, request
from process import Demo, Failed, wait_until
from processes import NODES, Node, Proxy, Redis, Talking

EVENTS = 10_000
PER_SECOND = 700
CROWD = 5_000


class Browser(Talking):
    """Chromium with an EventSource; `browser.mjs` prints the events so far."""

    def __init__(self, arguments, port):
        command = ["node", Path(__file__).with_name("browser.mjs"), arguments.playwright, arguments.chromium]
        command += [f"http://127.0.0.1:{port}", arguments.out / "profile"]
        super().__init__(arguments, "browser", command)
        self.line("open")

    def has(self):
        """The events so far, as in `Follower.got`, and how often the stream was opened."""
        told = json.loads(self.ask("tell"))
        return [tuple(one) for one in told["got"]], told["opens"]


def crash(arguments, checks):
    """kill -9 of a node in the middle of the stream, with a browser and others behind HAProxy."""
    with Redis(arguments.out, "redis") as redis:
        with Node(arguments, "a", redis.url) as first, Node(arguments, "b", redis.url) as second:
            with Proxy(arguments, NODES, [first.port, second.port], "backup") as proxy, Browser(arguments, proxy.port) as browser:
                followers = [Follower(proxy.port) for _ in range(20)]
                wait_until("all follow", lambda: all(follower.cursor for follower in followers))
                publisher = Publisher([second.port], PER_SECOND, EVENTS)
                publisher.reach(EVENTS // 2)
                first.kill()
                publisher.join(120)
                published = publisher.published
                wait_until("the last is there", lambda: all(f.got[-1][1] == EVENTS - 1 for f in followers))
                wait_until("the browser has the last", lambda: browser.has()[0][-1][1] == EVENTS - 1)
                got, opens = browser.has()
                for follower in followers:
                    follower.end()
    expected = [(published.ids.get(number), number) for number in range(EVENTS)]
    checks.that(
        len(published.ids) == EVENTS and got == expected and opens == 2,
        f"a node killed: Chromium got {len(got)} of {EVENTS} events, as published, in order, once each, over {opens} connections"
        + "".join(f"\n    {what}" for what in account(got, published, 0, EVENTS - 1)[:8]),
    )
    alike = [follower.got == expected for follower in followers]
    checks.that(all(alike), f"a node killed: so did {sum(alike)} of {len(alike)} other clients")


def demo(arguments, checks):
    """The demo's page at two servers: a chat between them, and the numbers of both."""
    server = Path(arguments.examples).with_name("akurai-server")
    start = lambda name, url: Demo(server, arguments.out / f"demo-{name}.log", "--engine", url)
    with Redis(arguments.out, "redis") as redis, start("a", redis.url) as first, start("b", redis.url) as second:
        command = ["node", str(Path(__file__).with_name("demo.mjs")), arguments.playwright, arguments.chromium]
        command += [str(arguments.out / "profile-demo"), *(f"http://127.0.0.1:{node.port}/" for node in (first, second))]
        told = subprocess.run(command, capture_output=True, text=True, timeout=120)
    checks.that(told.returncode == 0, f"the demo's chat and dashboard span two servers: {told.stdout.strip()} {told.stderr.strip()[:400]}")


def herd(arguments, checks):
    """Five thousand clients lose their node at once and move to the other: Redis does not
    notice."""
    with Redis(arguments.out, "redis") as redis:
        with Node(arguments, "a", redis.url) as first, Node(arguments, "b", redis.url) as second:
            # Only a few events, since each goes to all clients, and one thread here reads them all.
            publisher = Publisher([second.port], 4)
            publisher.reach(4)
            begun, before = time.monotonic(), redis.commands()
            time.sleep(3)
            calm = (redis.commands() - before) / (time.monotonic() - begun)
            crowd = Crowd(first.port, [""] * CROWD)
            crowd.until(lambda client: client.cursor)
            arrived = publisher.next
            crowd.until(lambda client: client.numbers and client.numbers[-1] >= arrived)
            cursors = [client.cursor for client in crowd.clients]
            begun, before, from_number = time.monotonic(), redis.commands(), publisher.next
            first.kill()
            crowd.end()
            second_crowd = Crowd(second.port, cursors)
            second_crowd.until(lambda client: client.numbers and client.numbers[-1] >= from_number)
            seconds = time.monotonic() - begun
            rate = (redis.commands() - before) / seconds
            publisher.end()
            whole = sum(
                before.numbers[-1:] + client.numbers == list(range(before.numbers[-1], client.numbers[-1] + 1))
                for before, client in zip(crowd.clients, second_crowd.clients)
                if before.numbers
            )
            resets = sum(client.resets for client in second_crowd.clients)
            second_crowd.end()
    checks.that(
        whole == CROWD and resets == 0,
        f"{CROWD} clients lost their node and came to the other within {seconds:.1f} s: {whole} of them without a gap, {resets} resets",
    )
    # The killed node's share is gone. The INFO clients here may make the rest busier.
    checks.that(rate < calm * 1.2 + 10, f"Redis meanwhile: {rate:.0f} commands/s, and {calm:.0f} before")


class Crowd:
    """Event streams on one thread."""

    def __init__(self, port, cursors):
        self.selector = selectors.DefaultSelector()
        self.clients = [One(self.selector, port, cursor) for cursor in cursors]

    def take(self, seconds):
        for key, _ in self.selector.select(seconds):
            key.data.take(self.selector)

    def until(self, condition, seconds=90):
        deadline = time.monotonic() + seconds
        while not all(map(condition, self.clients)):
            if time.monotonic() > deadline:
                raise Failed(f"{sum(map(bool, map(condition, self.clients)))} of {len(self.clients)} clients are so far")
            self.take(0.2)

    def end(self):
        for client in self.clients:
            client.socket.close()
        self.selector.close()


class One:
    def __init__(self, selector, port, cursor):
        self.stream, self.numbers, self.resets = EventStream(cursor), [], 0
        self.head = b""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        lines = [f"Last-Event-ID: {cursor}"] if cursor else []
        self.socket.sendall(request("GET", "/numbers", lines))
        self.socket.setblocking(False)
        selector.register(self.socket, selectors.EVENT_READ, self)

    @property
    def cursor(self):
        return self.stream.last_id

    def take(self, selector):
        try:
            data = self.socket.recv(64 * 1024)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            selector.unregister(self.socket)
            return
        if self.head is not None:
            self.head, end, data = (self.head + data).partition(b"\r\n\r\n")
            if not end:
                return
            self.head = None
        for event in self.stream.feed(data):
            if event.kind == "reset":
                self.resets += 1
            elif event.kind == "message":
                self.numbers.append(int(event.data))
