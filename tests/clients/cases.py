"""The cases: the requests, the clients that send them, and the right results. Each group names the
rows of the case lists for HTTP, WebSocket and files that define what is right."""

from dataclasses import dataclass, field
from typing import Callable

BROWSERS = ["Firefox", "Chromium"]
NODE = ["fetch", "http", "undici", "axios", "got", "superagent"]
PYTHON = ["urllib", "requests"]
HTTP = [*BROWSERS, *PYTHON, *NODE, "Go", "curl", "wget", "Mojolicious", "nginx"]
WEBSOCKET = [*BROWSERS, "websockets", "tornado", "ws", "undici", "Mojolicious"]
# A browser can send a body while it produces it only over HTTP/2, and wget cannot at all.
# superagent can, but looks for an answer only after the end of the body.
STREAMING = [client for client in HTTP if client not in [*BROWSERS, "wget", "superagent"]]

TRIES = 20


@dataclass
class Case:
    name: str
    clients: list
    job: dict
    # Judges a try's result: None, or what is wrong with it.
    wrong: Callable
    # Its tries mostly wait, so they run at the same time.
    together: bool = False
    # Other kinds: a server without free places, or one behind a relay.
    server: str = "main"
    group: str = field(init=False)

    def __post_init__(self):
        self.group = self.name.split()[0]


def answered(status, body=None, header=None):
    """An answer with this status, one of these bodies, and this field in its head."""

    def wrong(got):
        if got["status"] != status:
            return f"status {got['status']}"
        if body and got["body"] not in [*body, None]:
            return f"body {got['body'][:80]!r} of {len(got['body'])}"
        if header is not None and got["headers"].get(header[0]) != header[1]:
            return f"{header[0]}: {got['headers'].get(header[0])}"
        return None

    return wrong


def post(path, megabytes=0, body=None, headers=None):
    body = body or {"pieces": 1, "bytes": int(megabytes * 1_000_000), "pause_ms": 0}
    return {"method": "POST", "path": path, "headers": headers or {}, "body": body}


def get(path, headers=None, **others):
    return {"method": "GET", "path": path, "headers": headers or {}, **others}


def without(*clients):
    return [client for client in HTTP if client not in clients]


WHO = answered(401, ["who are you?\n"])
# 500 kB at 200 kB/s.
SLOWLY = {"pieces": 25, "bytes": 20_000, "pause_ms": 100}
LONG_FIELD = {"X-Long": "x" * 40_000}


def early_answers():
    """HTTP case 24: an answer arrives, whatever part of the request is still on its way."""
    for megabytes in (4, 10, 20, 50):
        yield Case(f"A1 401, {megabytes} MB", HTTP, post("/early/401", megabytes), WHO)
    yield Case("A1 401, 500 kB at 200 kB/s", STREAMING, post("/early/401", body=SLOWLY), WHO, True)
    # No other client waits long for a `100` (case 26).
    asked = post("/early/401", 10, headers={"Expect": "100-continue"})
    yield Case("A1 401 to Expect, 10 MB", ["Go", "curl"], asked, WHO)
    knows = answered(200, ["I know enough\n"])
    yield Case("A1 200, 10 MB", HTTP, post("/early/200", 10), knows)
    yield Case("A1 404, 10 MB", HTTP, post("/nowhere", 10), answered(404))
    allow = answered(405, header=("allow", "GET, HEAD, OPTIONS"))
    yield Case("A1 405, 10 MB", HTTP, post("/only-get", 10), allow)
    yield Case("A1 413, 4 MB", HTTP, post("/upload", 4), answered(413))
    yield Case("A1 413, 20 MB", HTTP, post("/upload", 20), answered(413))
    # Case 26. The other clients may not set the field, or nginx does not pass it on. superagent
    # with a stream sets a field after the head has been sent.
    strange = post("/early/401", 10, headers={"Expect": "200-ok"})
    able = without(*BROWSERS, "fetch", "undici", "superagent", "nginx")
    yield Case("A1 417, 10 MB", able, strange, answered(417))
    # Case 10. nginx has its own limit.
    long = post("/early/401", 10, headers=LONG_FIELD)
    yield Case("A1 431, 10 MB", without("nginx"), long, answered(431))
    # Case 30.
    none = answered(503)
    yield Case("A1 503, 4 MB", HTTP, post("/early/401", 4), none, server="full")


def lone_line_end():
    """HTTP cases 1 and 24, with the clients that let a program write on their connection."""
    asked = get("/big", {"Connection": "close"}, crlf_after_ms=20)
    whole = answered(200, [f"3000000: {'x' * 32}...{'x' * 32}"])
    yield Case("A2 3 MB, a lone CRLF", ["http.client", "http"], asked, whole)


def event_streams():
    """HTTP case 23: a body that the handler leaves unread does no harm to the client."""

    def wrong(got):
        data = [line[6:] for line in got["body"].split("\n") if line.startswith("data: ")]
        if got["status"] != 200 or data != ["1", "2", "3", "4", "5"]:
            return f"{got['status']}, events {data}"
        return None

    yield Case("A3 event stream, 100 KB", HTTP, post("/events", 0.1), wrong)
    halves = {"pieces": 2, "bytes": 50, "pause_ms": 2000}
    # wget waits for the result of the second half before it reads.
    yield Case("A3 event stream, 2 halves", STREAMING, post("/events", body=halves), wrong, True)


def targets():
    """HTTP case 5: characters that browsers send raw in a query. A client may encode them."""
    raw = answered(200, ["path=C:\\temp", "path=C:%5Ctemp", "path=C%3A%5Ctemp"])
    yield Case("C1 ?path=C:\\temp", HTTP, get("/q?path=C:\\temp"), raw)
    percent = answered(200, ["d=100%", "d=100%25"])
    yield Case("C1 ?d=100%", HTTP, get("/q?d=100%"), percent)
    # Go and nginx themselves refuse it; requests, wget and Mojolicious encode it.
    able = without("Go", "nginx", "requests", "wget", "Mojolicious")
    yield Case("C1 400 to /%zz", able, get("/%zz"), answered(400))


def files(tree):
    """The list for static files: `.` segments, and the ranges that zsync asks for."""
    release = (tree / "apt" / "Release").read_text()
    # The other clients remove them before they send the request.
    able = ["urllib", "Go", "curl", "nginx"]
    same = answered(200, [release])
    yield Case("C5 dot segments", able, get("/files/apt/./Release"), same)

    starts = range(0, 40 * 1000, 2000)
    ranges = ", ".join(f"{start}-{start + 999}" for start in starts)
    text = (tree / "text").read_text()

    def wrong(got):
        kind, _, boundary = got["headers"].get("content-type", "").partition("boundary=")
        if got["status"] != 206 or not kind.startswith("multipart/byteranges"):
            return f"status {got['status']}, {kind}"
        parts = got["body"].split(f"--{boundary}")
        if not parts[-1].startswith("--") or len(parts) != len(starts) + 2:
            return f"{len(parts) - 2} parts"
        for start, part in zip(starts, parts[1:-1]):
            _, _, content = part.partition("\r\n\r\n")
            if content != text[start : start + 1000] + "\r\n":
                return f"the part from {start} on is another"
        return None

    asked = get("/files/text", {"Range": f"bytes={ranges}"})
    yield Case("C5 20 ranges", without("wget", "Chromium", "Firefox"), asked, wrong)
    yield Case("C5 apt, ./ segments", ["apt"], {}, lambda got: got["wrong"])
    yield Case("C5 zsync, 60 holes", ["zsync"], {}, lambda got: got["wrong"])


def ended(code, messages=50):
    """All messages, and then this close code (WebSocket case 19). The check ignores whether the
    close was clean: a browser that still had something to send says no."""

    def wrong(got):
        came = got["messages"]
        if got["code"] != code:
            return f"code {got['code']} after {len(came)} messages"
        right = [f"message {n} of 50 ".ljust(1000, "x") for n in range(1, messages + 1)]
        if came != right:
            return f"{len(came)} messages"
        return None

    return wrong


PUSHED = {"400 KB": (50_000, 8), "10 MB": (100_000, 100)}


def pushing(path, amount, first=()):
    size, count = PUSHED[amount]
    send = [{"text": "go"}, *first, {"zeros": size, "count": count}]
    return {"path": path, "send": send}


def endings():
    """WebSocket case 19: all messages before our Close arrive, and the Close, while the client
    pushes bytes."""
    for how, path, code in (
        ("4002", "/ws/close", 4002),
        ("Ok", "/ws/ok", 1000),
        ("Err", "/ws/err", 1011),
        ("panic", "/ws/panic", 1011),
        ("lifetime", "/ws/lifetime", 1001),
    ):
        for amount in PUSHED:
            yield Case(f"B1 {how}, {amount}", WEBSOCKET, pushing(path, amount), ended(code))
    for megabytes in (2, 10):
        send = [{"text": "go"}, {"zeros": megabytes * 1_000_000, "count": 1}]
        long = {"path": "/ws/limit", "send": send}
        yield Case(f"B1 1009, {megabytes} MB", WEBSOCKET, long, ended(1009))
    for other, path, code, able in (
        ("bad UTF-8", "/ws/limit", 1007, ["websockets", "tornado", "ws", "Mojolicious"]),
        ("fragments", "/ws/fragments", 1008, ["websockets", "ws", "Mojolicious"]),
        ("opcode", "/ws/limit", 1002, ["Mojolicious"]),
    ):
        job = pushing(path, "10 MB", [{"other": other}])
        yield Case(f"B1 {code}, 10 MB", able, job, ended(code))


def slow_peers():
    """WebSocket case 18: a peer that takes a message at 1 MB/s is alive, although a ping waits
    behind the message."""
    length = 3 * 1024 * 1024
    told = f"{length}: {'0123456789abcdef' * 2}...{'0123456789abcdef' * 2}"

    def wrong(got):
        if got["messages"] != [told, "bye"] or got["code"] != 1000:
            return f"code {got['code']} after {len(got['messages'])} messages"
        return None

    job = {"path": "/ws/slow", "send": [], "enough": 1}
    yield Case("B2 3 MiB at 1 MB/s", WEBSOCKET, job, wrong, True, server="relay")


def compression():
    """WebSocket case 20: permessage-deflate with the default options, several messages each way."""
    texts = [f"{n} times as much: " * (40 * n) for n in range(1, 9)]

    def wrong(got):
        if got["messages"] != [*texts, "bye"] or got["code"] != 1000:
            return f"code {got['code']} after {len(got['messages'])} messages"
        if not got["extensions"].startswith("permessage-deflate"):
            return f"extensions: {got['extensions']!r}"
        return None

    send = [{"text": text} for text in texts]
    job = {"path": "/ws/deflate", "send": send, "enough": len(texts)}
    yield Case("B7 permessage-deflate", WEBSOCKET, job, wrong)


def all_cases(tree):
    return [
        *early_answers(),
        *lone_line_end(),
        *event_streams(),
        *targets(),
        *files(tree),
        *endings(),
        *slow_peers(),
        *compression(),
    ]
