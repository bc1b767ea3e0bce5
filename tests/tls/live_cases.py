"""What stays open: event streams, WebSockets and a hub's subscribers, under new keys and with slow
readers."""

import re
import selectors
import subprocess
import threading
import time

from client import BINARY, CLOSE, TEXT, Client, EventStream, request
from requests_cases import VERSIONS, is_right
from tls_client import TlsClient

SENDERS = 10
BURSTS = 10
WAIT_SECONDS = 30


def patterned(n, most):
    """The text that app.rs makes."""
    return f"{n} {chr(ord('a') + n % 26) * (most - n * 7919 % (most // 2))}"


def subscribe(server, path, tls, **options):
    client = TlsClient(server.tls, tls, **options)
    client.send(request("GET", path))
    if (head := client.head()).status != 200:
        raise AssertionError(f"{path}: {head}")
    return client, EventStream()


def events(client, stream, until):
    """The data of the events that arrive, up to the first for which `until` holds."""
    seen = []
    while True:
        data = bytes(client.buffer)
        client.buffer.clear()
        for event in stream.feed(data):
            if event.kind == "reset":
                raise AssertionError("a reset")
            seen.append(event.data)
        if seen and until(seen[-1]):
            return seen
        if not client.receive():
            raise AssertionError(f"the end, after {[text[:20] for text in seen[-3:]]}")


def post(server, path, text):
    """Publishes by the port without TLS."""
    with Client(server.plain) as client:
        lines = [f"Content-Length: {len(text)}", "Connection: close"]
        client.send(request("POST", path, lines) + text.encode())
        if (answer := client.answer()).status != 200:
            raise AssertionError(f"{path}: {answer}")


def ticks(server, version):
    client, stream = subscribe(server, "/ticks", server.context(version))
    with client:
        seen = events(client, stream, lambda text: text == "5")
        rest = client.rest()
        return seen == list("12345") and rest == b"" and client.wire_ends(), f"{seen} {rest}"


def parked(server, version):
    """Each push arrives while the client says nothing; then all of twenty at once."""
    client, stream = subscribe(server, "/news", server.context(version))
    with client:
        for n in range(20):
            post(server, "/news", f"{n}")
            if (seen := events(client, stream, lambda _: True)) != [f"{n}"]:
                return False, f"{seen}"
        for n in range(20):
            post(server, "/news", f"{n} again")
        seen = events(client, stream, lambda text: text == "19 again")
        return seen == [f"{n} again" for n in range(20)], f"{seen}"


def echo(server, version):
    with TlsClient(server.tls, server.context(version)) as client:
        client.upgrade("/ws")
        for size in [0, 1, 125, 126, 16_000, 16_384, 65_536, 1_000_000, *range(100, 200)]:
            payload = bytes(n % 251 for n in range(min(size, 251))) * (size // 251 + 1)
            client.send_frame(BINARY, payload[:size])
            if client.frame() != (BINARY, payload[:size]):
                return False, f"{size} bytes"
        client.send_frame(CLOSE, b"\x03\xe8")
        closed = client.frame()
        return closed == (CLOSE, b"\x03\xe8") and client.rest() == b"", f"{closed}"


def senders(server, version):
    """Ten threads of the server send at once, and it answers the client meanwhile."""
    count, size = 200, 2000
    with TlsClient(server.tls, server.context(version)) as client:
        client.upgrade("/ws/senders")
        client.send_frame(TEXT, f"{count} {size}".encode())
        seen, echoes = {n: [] for n in range(SENDERS)}, []
        for n in range(20):
            client.send_frame(TEXT, f"echo {n}".encode())
        while sum(map(len, seen.values())) < SENDERS * count or len(echoes) < 20:
            text = client.frame()[1].decode()
            if text.startswith("echo"):
                echoes.append(text)
            else:
                sender, rest = text.split(" ", 1)
                seen[int(sender)].append(rest)
        right = [patterned(n, size) for n in range(1, count + 1)]
        told = echoes == [f"echo {n}" for n in range(20)]
        return told and all(texts == right for texts in seen.values()), f"{echoes[:3]}"


def member(server, version):
    """A WebSocket of a hub: pushes while it is silent."""
    with TlsClient(server.tls, server.context(version)) as client:
        client.upgrade("/ws/news")
        client.send_frame(TEXT, b"joined")
        client.frame()
        for n in range(20):
            post(server, "/news", f"{n}")
            if (frame := client.frame()) != (TEXT, f"{n}".encode()):
                return False, f"{frame}"
        return True, ""


def latest_only(server, version):
    """A slow reader gets whole values alone, in order, and the last of each burst. It reads nothing
    before the hub has published a burst, or reads slowly meanwhile."""
    client, stream = subscribe(server, "/gauge", server.context(version), receive_buffer=4096)
    count, most, seen = 400, 20_000, []
    with client:
        for burst in range(BURSTS):
            first, server.next_value = server.next_value, server.next_value + count
            words = (server, "/gauge", f"{first} {count} {most}")
            pushing = threading.Thread(target=post, args=words)
            pushing.start()
            if burst % 2:
                pushing.join()
            last = patterned(server.next_value - 1, most)
            seen += events(client, stream, lambda text: text == last)
            pushing.join()
        numbers = [int(text.split(" ", 1)[0]) for text in seen]
        if any(text != patterned(n, most) for n, text in zip(numbers, seen)):
            return False, "values are mixed"
        if numbers != sorted(set(numbers)):
            return False, f"out of order: {numbers}"
        return len(seen) < BURSTS * count, f"{len(seen)} values: the reader was not slow"


class Console:
    """`openssl s_client`: K asks for new keys of both sides, k announces ours."""

    def __init__(self, server, version):
        words = ["openssl", "s_client", "-connect", f"localhost:{server.tls[1]}", "-servername"]
        words += ["localhost", "-CAfile", server.certificates / "ca.pem", "-verify_return_error"]
        words += ["-tls1_3" if version == VERSIONS["TLS 1.3"] else "-tls1_2"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen(list(map(str, words)), bufsize=0, **pipes)
        self.text = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def say(self, text):
        # It reads a command where a line begins in what it reads at once.
        self.process.stdin.write(text.encode())

    def until(self, pattern):
        """Takes the output up to this pattern."""
        deadline = time.monotonic() + WAIT_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not (found := re.search(pattern, self.text)):
                if not selector.select(max(0, deadline - time.monotonic())):
                    raise AssertionError(f"no {pattern}: {self.text[-500:]}")
                if not (more := self.process.stdout.read(65536)):
                    raise AssertionError(f"it ended before {pattern}: {self.text[-500:]}")
                self.text += more
        self.text = self.text[found.end() :]
        return found


def console_parked(server, version):
    """New keys under a parked subscriber, who then gets each push."""
    with Console(server, version) as console:
        console.say("GET /news HTTP/1.1\r\nHost: localhost\r\n\r\n")
        console.until(rb"text/event-stream")
        for n in range(10):
            for command in "Kk" if version == VERSIONS["TLS 1.3"] else "":
                console.say(f"{command}\n")
                console.until(b"KEYUPDATE")
            post(server, "/news", f"push {n}.")
            console.until(b"data: push %d\\." % n)
    return True, ""


def console_busy(server, version):
    """New keys while the server writes at any moment: no tick is lost or damaged."""
    with Console(server, version) as console:
        console.say("GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
        text, n = b"", 0
        for n in range(1, 100):
            console.until(b"event: tick\ndata: %d\n\n" % n)
            if n % 3 == 0 and version == VERSIONS["TLS 1.3"]:
                console.say("K\n" if n % 2 else "k\n")
    return True, ""


CASES = {
    "an event stream and its end": ticks,
    "a parked subscriber": parked,
    "a WebSocket's echo and close": echo,
    "a reader and ten senders on one WebSocket": senders,
    "a hub's WebSocket that is silent": member,
    "latest_only with a slow reader": latest_only,
    "openssl s_client, new keys under a parked subscriber": console_parked,
    "openssl s_client, new keys under a busy connection": console_busy,
}


def check(server, checks, title):
    for name, version in VERSIONS.items():
        for what, case in CASES.items():
            holds, why = is_right(case, server, version)
            checks.that(holds, f"{title}, {name}: {what}" + ("" if holds else f": {why}"))
