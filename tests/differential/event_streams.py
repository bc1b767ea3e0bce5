"""Our server sends fuzzed events, and clients of others say what they saw."""

import json
import os
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from client import Client, EventStream, ask, request
from differences import Finding
from http_peers import our_server
from process import Process, wait_until

HERE = Path(__file__).resolve().parent
STREAMS = 100
CLIENT_SECONDS = 300
END = "the end"

# Pieces of texts. The first of them are what an event stream's syntax is made of.
PIECES = (
    "\n", "\r", "\r\n", "\n\n", ":", " ", "  ", "\t", "data: ", "data", "event: x", "id: 9",
    "retry: 1", ": c",
    "\ufeff", "\0", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\x7f",
    "\x1b", "\xa0",
    "a", "hello", "é", "€", "😀", "\ud7ff", "\ue000", "\ufffd", "\uffff", "\U0010ffff", "x" * 300,
    "1", "0", "-",
)  # fmt: skip
NAMES = {
    "\n": "LF", "\r": "CR", "\r\n": "CRLF", "\n\n": "LF", ":": "colon", " ": "space",
    "  ": "space", "\t": "TAB",
    "\ufeff": "BOM", "\0": "NUL", "\x0b": "VT", "\x0c": "FF", "\x1c": "FS", "\x1d": "GS",
    "\x1e": "RS",
    "\x85": "NEL", "\u2028": "U+2028", "\u2029": "U+2029", "\x1b": "ESC", "\x7f": "DEL",
}  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """An event that our server is told to send; None for a field that it does not have."""

    data: str | None = None
    comment: str | None = None
    event: str | None = None
    id: str | None = None
    retry: int | None = None

    def script(self):
        fields = {
            "data": self.data,
            "comment": self.comment,
            "event": self.event,
            "id": self.id,
            "retry": self.retry,
        }
        lines = (
            f"{name} {str(text).encode().hex()}\n"
            for name, text in fields.items()
            if text is not None
        )
        return "".join(lines) + "\n"

    def is_refused(self):
        """Whether our library refuses it, as its documentation says."""
        if self.event is not None and set(self.event) & set("\r\n"):
            return True
        id_ = self.id or ""
        return id_ != id_.strip(" \t") or any(
            ord(c) < 32 and c != "\t" or ord(c) == 127 for c in id_
        )

    def has(self):
        """The odd pieces of its texts, by name."""
        texts = {"data": self.data, "name": self.event, "id": self.id, "comment": self.comment}
        found = {
            f"{name} with {NAMES[piece]}"
            for name, text in texts.items()
            for piece in PIECES
            if text and piece in text and piece in NAMES
        }
        found.update(f"empty {name}" for name, text in texts.items() if text == "")
        return found | ({"a retry"} if self.retry is not None else set())


def lines(text):
    """As the HTML standard's parser joins them."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


# Where clients depart from the HTML standard: `differences` says how.
STICKS = "an id is only its own event's"
EMPTY_ID = "an empty id is ignored"
NO_DATA = "an event without data is dispatched"
DEPARTURES = {
    "sseclient-py": STICKS,
    "eventsource": STICKS,
    "undici": EMPTY_ID,
    "httpx-sse": NO_DATA,
}


def expected(stream, departure=None):
    """What a client should see, with its departure: [kind, data, last id] of each event
    (HTML §9.2.6)."""
    last, seen = "", []
    for event in stream:
        if event.is_refused():
            continue
        if event.id is not None and (event.id or departure != EMPTY_ID):
            last = event.id
        if event.data is not None:
            id_ = event.id or "" if departure == STICKS else last
            seen.append([event.event or "message", lines(event.data), id_])
        elif departure == NO_DATA and (event.event or last or event.retry is not None):
            seen.append([event.event or "message", "", last])
    if departure == NO_DATA and last:
        seen.append(["message", "", last])
    return seen


def text(rng):
    return "".join(rng.choice(PIECES) for _ in range(rng.choice([0, 1, 1, 2, 3, 5, 8])))


def stream(rng):
    """Some events, and an event that ends the stream."""

    def maybe(part, share):
        return part() if rng.random() < share else None

    events = []
    for _ in range(rng.randrange(1, 8)):
        with_data = rng.random() < 0.85
        events.append(
            Sent(
                data=text(rng) if with_data else None,
                comment=None if with_data else maybe(lambda: text(rng), 0.5),
                event=maybe(lambda: text(rng), 0.3),
                id=maybe(lambda: text(rng), 0.4),
                # A client that waits for it would take its time.
                retry=maybe(lambda: rng.choice([0, 1, 2500, 10**9]), 0.1),
            )
        )
    return [*events, Sent(data="", event=END)]


def probes():
    """A stream for each odd piece in each text, and an event behind it that has none."""
    ends = [Sent(data="plain"), Sent(data="", event=END)]
    for piece in NAMES:
        around = (piece, f"a{piece}", f"{piece}a", f"a{piece}b")
        yield [*(Sent(data=text) for text in around), *ends]
        yield [*(Sent(data="x", event=text) for text in around), *ends]
        yield [*(Sent(data="x", id=text) for text in around), *ends]
        yield [*(Sent(comment=text) for text in around), *ends]
    yield [Sent(data=""), *ends]
    yield [Sent(data="x", event=""), *ends]
    yield [Sent(data="x", id="1"), *ends]
    yield [Sent(id="1"), *ends]
    yield [Sent(data="x", id="1"), Sent(data="x", id=""), *ends]
    yield [Sent(data="x", retry=2500), *ends]
    yield [Sent(retry=2500), *ends]
    yield [Sent(comment=""), *ends]


def told(ours, streams):
    """Gives our server the streams."""
    for number, events in enumerate(streams):
        post(ours, f"/stream/{number}", "".join(event.script() for event in events))
    kinds = [
        sorted({"message", END, *(event.event for event in events if event.event)})
        for events in streams
    ]
    post(ours, "/notes/kinds", json.dumps(kinds))
    post(ours, "/notes/seen", "")


def post(ours, path, body):
    body = body.encode()
    with Client(("127.0.0.1", ours.live)) as client:
        client.send(request("POST", path, [f"Content-Length: {len(body)}"]) + body)
        if (status := client.answer().status) != 200:
            raise ValueError(f"POST {path}: {status}")


class Clients:
    """Clients of others, a process for each."""

    def __init__(self, arguments, ours):
        self.out, self.ours = arguments.out, ours
        self.base = f"http://127.0.0.1:{ours.live}"
        python = [sys.executable, "-B", HERE / "peers/events.py"]
        node = ["node", HERE / "peers/events.mjs"]
        self.commands = {name: [*python, name, self.base] for name in ("httpx-sse", "sseclient-py")}
        self.commands |= {name: [*node, name, self.base] for name in ("eventsource", "undici")}

    def seen(self):
        """What each saw: for each client a list of streams."""
        found = {"ours": self.raw()}
        for name, command in self.commands.items():
            output, log = self.out / f"events-{name}", self.out / f"events-{name}.log"
            for file in (output, log):
                file.unlink(missing_ok=True)
            with open(output, "wb") as stdout, Process(
                command, log, stdout=stdout, env=dict(os.environ)
            ) as process:
                process.process.wait(CLIENT_SECONDS)
            found[name] = [json.loads(line) for line in output.read_bytes().split(b"\n") if line]
        return found | {"chromium": self.chromium()}

    def raw(self):
        """By the harness's own parser, which takes LF alone as a line's end: we send no other."""
        kinds = json.loads(ask(("127.0.0.1", self.ours.live), "GET", "/notes/kinds").body)
        found = []
        for number in range(len(kinds)):
            body = ask(("127.0.0.1", self.ours.live), "GET", f"/stream/{number}").body
            found.append(
                [
                    [event.kind or "message", event.data, event.id]
                    for event in EventStream().feed(body)
                ]
            )
        return found

    def chromium(self):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            switches = [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ]
            command = [
                "chromium",
                *switches,
                "--disable-background-networking",
                f"--user-data-dir={profile}",
            ]
            page = f"{self.base}/page"
            with Process(
                [*command, "--remote-debugging-port=0", page], self.out / "chromium.log"
            ) as process:

                def left():
                    process.fail_if_ended()
                    return ask(("127.0.0.1", self.ours.live), "GET", "/notes/seen").body

                return json.loads(wait_until("Chromium has read the streams", left, CLIENT_SECONDS))


def first_difference(wanted, seen):
    """Where what a client saw first differs from what was sent, and in what."""
    for at, want in enumerate(wanted):
        if at >= len(seen):
            return at, "an event is missing", f"sent {want!r:.200}"
        for part, one, other in zip(("kind", "data", "id"), want, seen[at]):
            if one != other:
                return at, f"{part} differs", f"sent {one!r:.200}, seen {other!r:.200}"
    return len(wanted), "an event too many", f"seen {seen[len(wanted):]!r:.200}"


def pieces(sent, at):
    """The odd pieces of the event with data number `at`, and of those without data before it."""
    found = set()
    for event in (event for event in sent if not event.is_refused()):
        found |= event.has()
        if event.data is not None:
            if at == 0:
                break
            at, found = at - 1, set()
    return found or {"nothing odd"}


def judge(name, sent, seen):
    """How what a client saw differs from what was sent: a finding, or None."""
    seen = [[kind, data, id_ or ""] for kind, data, id_ in seen]
    wanted = expected(sent)
    if seen == wanted:
        return None
    departure = DEPARTURES.get(name)
    if departure and seen == expected(sent, departure):
        return Finding(f"sse {name}", (departure,), (name,))
    at, what, detail = first_difference(wanted, seen)
    return Finding(f"sse {name}: {what}", tuple(sorted(pieces(sent, at))), (name,), detail)


def compare(arguments, differences, budget):
    """The part of event streams: the probes, and batches by chance until the budget is used."""
    rng = random.Random(f"sse {arguments.seed}")
    counts = {}
    count, streams = 0, list(probes())
    with our_server(arguments) as ours:
        clients = Clients(arguments, ours)
        while True:
            told(ours, streams)
            for name, all_ in clients.seen().items():
                if len(all_) != len(streams):
                    raise ValueError(f"{name} read {len(all_)} of {len(streams)} streams")
                of_client = counts.setdefault(name, [0, 0])
                for sent, seen in zip(streams, all_):
                    of_client[0] += len(seen)
                    if finding := judge(name, sent, seen):
                        of_client[1] += 1
                        differences.add(finding, "".join(event.script() for event in sent).encode())
            count += len(streams)
            if not budget.lasts(count):
                break
            streams = [stream(rng) for _ in range(STREAMS)]
    for name, (events, differing) in counts.items():
        print(f"sse: {name}: {count} streams, {events} events, {differing} streams seen otherwise")
