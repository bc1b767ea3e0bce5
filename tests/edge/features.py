"""What must pass a proxy: event streams, WebSockets, the client's address, the origin, and the end
of a connection."""

import contextlib
import os
import re
import subprocess
import time

from client import ACCEPT, BINARY, CLOSE, TEXT, Client, ask, opening, request
from clients import Http2, Tls, http3_events
from places import PROXIES, Proxy, Server
from process import Failed, wait_until

# An address of loopback that neither the proxy nor the server uses.
ELSEWHERE = "127.0.0.3"
FORGED = "192.0.2.66"
TICKS = 3


def check(arguments, checks):
    with Server(arguments) as server:
        for kind in PROXIES:
            for upstream, name in ((server.address, "to TCP"), (server.path, "to Unix")):
                with Proxy(arguments, kind, upstream, name) as proxy:
                    streams(proxy, checks)
                    sockets(proxy, checks)
                    uploads(proxy, server, checks)
                    addresses(proxy, checks)
                    leaving(proxy, server, checks)
                    origins(proxy, checks)
            with Proxy(arguments, kind, server.address, "with another Host", REWRITING[kind]) as proxy:
                rewritten_host(proxy, checks)
        addresses_without_proxy(server, checks)
        metrics(server, checks)


# ---- Event streams -------------------------------------------------------------------------------


def is_live(status, times):
    """The demo ticks at once and then each second. Buffered ticks come later, or together."""
    steps = [after - before for before, after in zip(times, times[1:])]
    return status == 200 and len(times) == TICKS and times[0] < 1 and all(0.5 < step < 1.5 for step in steps)


def told(times):
    return "ticks after " + ", ".join(f"{t * 1000:.0f}" for t in times) + " ms"


def ticks(stream):
    begun = time.monotonic()
    status, times = stream.head().status, []
    while len(times) < TICKS:
        stream.until(b"data: ")
        times.append(time.monotonic() - begun)
    return status, times


def over_http1(proxy):
    with Tls(proxy.address) as client:
        lines = ["Accept: text/event-stream"]
        client.send(request("GET", "/api/events", lines, host=client.host))
        return ticks(client)


def over_http2(proxy):
    """One of two streams on the same connection, once the other has come as far."""
    with Http2(proxy.address) as client:
        first, second = [client.ask("/api/events", [("accept", "text/event-stream")]) for _ in range(2)]
        status, times = ticks(first)
        both = second.head().status == 200 and second.buffer.count(b"data: ") >= TICKS - 1
        return status if both else 0, times


def over_http3(proxy):
    return http3_events(proxy.address, "/api/events", TICKS)


def streams(proxy, checks):
    ways = [("an event stream over HTTP/1.1", over_http1), ("two event streams on one HTTP/2 connection", over_http2)]
    if proxy.kind == "Caddy":
        ways.append(("an event stream over HTTP/3", over_http3))
    for text, way in ways:
        # Buffered events are late each time; if they are late only once, the machine may be busy.
        for _ in range(3):
            status, times = way(proxy)
            if is_live(status, times):
                break
        checks.that(is_live(status, times), f"{proxy.name}: {text}: {told(times)}")


# ---- WebSocket -----------------------------------------------------------------------------------


def talks(client):
    """Whether an echo echoes, also long messages, and closes as RFC 6455 §7 demands."""
    megabyte = os.urandom(1 << 20)
    client.send_frame(TEXT, "grüße".encode())
    if client.frame() != (TEXT, "grüße".encode()):
        return False
    client.send_frame(BINARY, megabyte)
    if client.frame() != (BINARY, megabyte):
        return False
    client.send_frame(CLOSE, b"\x03\xe8bye")
    return client.frame() == (CLOSE, b"\x03\xe8bye")


def sockets(proxy, checks):
    with Tls(proxy.address) as client:
        client.send(opening("/api/ws", [f"Origin: {proxy.origin}"], client.host))
        head = client.head()
        holds = head.status == 101 and head.first("sec-websocket-accept") == ACCEPT and talks(client)
    checks.that(holds, f"{proxy.name}: a WebSocket over HTTP/1.1: text, 1 MiB, close")

    with Http2(proxy.address) as client:
        announced = client.has_extended_connect()
        if proxy.kind != "HAProxy":
            # A browser then opens an HTTP/1.1 connection for it, which is tested above and in
            # Chromium.
            checks.that(not announced, f"{proxy.name}: does not offer WebSocket over HTTP/2 (RFC 8441)")
            return
        stream = client.websocket("/api/ws", proxy.origin)
        events = client.ask("/api/events", [("accept", "text/event-stream")])
        status = stream.head().status
        holds = announced and status == 200 and talks(stream) and events.head().status == 200
        text = "a WebSocket over HTTP/2 (RFC 8441), beside an event stream: text, 1 MiB, close"
        checks.that(holds, f"{proxy.name}: {text}")
        foreign = client.websocket("/api/chat?name=x", "https://elsewhere.example")
        checks.that(foreign.head().status == 403, f"{proxy.name}: over HTTP/2, too, a foreign page is refused")


# ---- Uploads --------------------------------------------------------------------------------


def uploads(proxy, server, checks):
    size = 3 << 20
    with Tls(proxy.address) as client:
        head = client.ask("/api/upload", method="POST", body=bytes(size))
        status = head.status
        body = client.body(head).decode() if status == 200 else ""
    checks.that((status, body) == (200, f'{{"bytes":{size}}}\n'), f"{proxy.name}: an upload of 3 MiB: {status} {body.strip()}")

    with Tls(proxy.address) as client:
        lines = [f"Content-Length: {size}"]
        client.send(request("POST", "/api/upload", lines, host=client.host) + bytes(1000))
        # A proxy that gathers the body would not have asked the server yet. The request for this
        # number is under way, too.
        asked = comes(lambda: counted(server, b"akurai_requests_in_progress") > 1)
    checks.that(asked, f"{proxy.name}: an upload reaches the server as it comes")


# ---- The client's address ------------------------------------------------------------------------


def addresses(proxy, checks):
    forged = [
        f"X-Forwarded-For: {FORGED}",
        "X-Forwarded-Proto: http",
        f"Forwarded: for={FORGED};proto=http",
        f"X-Real-IP: {FORGED}",
    ]
    # Event streams may have a separate section in the configuration.
    for lines, text in (
        ([], "the client's address and scheme are told"),
        (forged, "a forged one is not believed"),
        ([*forged, "Accept: text/event-stream"], "nor for an event stream"),
    ):
        with Tls(proxy.address, ELSEWHERE) as client:
            got = client.body(client.ask("/api/client", lines)).decode()
        checks.that(got == f"{ELSEWHERE} https", f"{proxy.name}: {text} ({got})")


def addresses_without_proxy(server, checks):
    """The server trusts 127.0.0.1. It believes neither field from any other address."""
    fields = [f"X-Forwarded-For: {FORGED}", "X-Forwarded-Proto: https"]
    for source, expected, who in (
        ("127.0.0.1", f"{FORGED} https", "the proxy's address"),
        (ELSEWHERE, f"{ELSEWHERE} http", "another"),
    ):
        with Client(server.address, source) as client:
            client.send(request("GET", "/api/client", fields))
            got = client.answer().body.decode()
        checks.that(got == expected, f"no proxy: X-Forwarded-For and -Proto from {who} give {got}")


# ---- What Prometheus reads -----------------------------------------------------------------------


def scraped(server):
    return ask(server.address, "GET", "/metrics").body


def promtool(text):
    """What Prometheus' own parser and lint object to; nothing if nothing."""
    judged = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60)
    told = (judged.stdout + judged.stderr).decode().strip()
    return told or ("" if judged.returncode == 0 else f"status {judged.returncode}")


def metrics(server, checks):
    ask(server.address, "GET", "/api/%22odd%5C")
    text = scraped(server)
    told = promtool(text)
    samples = sum(not line.startswith(b"#") for line in text.splitlines())
    checks.that(not told, f"promtool accepts {samples} samples {told}")
    routes = (rb'route="/api/\"odd\\",class="2xx"', b'route="/api/events",class="2xx"', b'route="/api/ws",class="1xx"')
    kinds = (*routes, b"akurai_hub_ready", b"process_open_fds")
    checks.that(all(kind in text for kind in kinds), "durations, the hub's counts and the process's are among them")
    checks.that(bool(promtool(text + text)), "promtool refuses what is twice")


# ---- A client that leaves ------------------------------------------------------------------------


def counted(server, name):
    return int(re.search(rb"^%b (\d+)$" % name, scraped(server), re.MULTILINE)[1])


def comes(condition):
    """Whether this comes to hold, 5 s from now at most."""
    with contextlib.suppress(Failed):
        return wait_until("it holds", condition, 5)
    return False


def is_alone(server):
    """Whether no stream and no WebSocket is left soon."""
    return comes(lambda: counted(server, b"akurai_upgraded_connections") == 0)


def leaving(proxy, server, checks):
    """If a proxy does not report it at once, the server finds out at its next tick, or the one
    after."""
    for _ in range(3):
        there, took = leave(proxy, server)
        if took < 0.9:
            break
    text = f"{proxy.name}: clients that leave are noticed before the next tick"
    checks.that(there == 3 and took < 0.9, f"{text}, after {took * 1000:.0f} ms")


def leave(proxy, server):
    """How many streams and WebSockets there were, and how long it took until none was left."""
    is_alone(server)
    with Tls(proxy.address) as client, Tls(proxy.address) as socket, Http2(proxy.address) as http2:
        client.ask("/api/events", ["Accept: text/event-stream"])
        socket.send(opening("/api/ws", [f"Origin: {proxy.origin}"], socket.host))
        socket.head()
        stream = http2.ask("/api/events", [("accept", "text/event-stream")])
        stream.head()
        there = counted(server, b"akurai_upgraded_connections")
        begun = time.monotonic()
        stream.cancel()
        client.socket.close()
        socket.socket.close()
        is_alone(server)
        return there, time.monotonic() - begun


# ---- The origin ----------------------------------------------------------------------------------

# Each proxy is set so that the server sees another Host than the page's: nginx does so by default.
REWRITING = {
    "nginx": [(r"^ *proxy_set_header Host .*\n", "")],
    "Caddy": [(r"(?=^ *transport http)", "        header_up Host {upstream_hostport}\n")],
    "HAProxy": [(r"(?=^ *server one)", "    http-request set-header Host internal\n")],
}


def ask_to_upgrade(proxy, path, origin, lines=()):
    with Tls(proxy.address) as client:
        client.send(opening(path, [f"Origin: {origin}", *lines], client.host))
        head = client.head()
        return head.status, "" if head.status == 101 else client.body(head).decode()


def origins(proxy, checks):
    status, _ = ask_to_upgrade(proxy, "/api/chat?name=x", proxy.origin)
    checks.that(status == 101, f"{proxy.name}: a page of the public name opens a WebSocket")
    status, text = ask_to_upgrade(proxy, "/api/chat?name=x", "https://elsewhere.example")
    checks.that(status == 403, f"{proxy.name}: a page of another origin is refused")


def rewritten_host(proxy, checks):
    host = proxy.origin.removeprefix("https://")
    for lines, text in (
        ([], "the page is refused, and told why"),
        ([f"X-Forwarded-Host: {host}"], "whatever X-Forwarded-Host says"),
    ):
        status, said = ask_to_upgrade(proxy, "/api/chat?name=x", proxy.origin, lines)
        holds = status == 403 and "allow_origins" in said
        checks.that(holds, f"{proxy.name}: {text} ({status})")
    status, _ = ask_to_upgrade(proxy, "/api/named", "https://example.org")
    checks.that(status == 101, f"{proxy.name}: an origin that the server names is admitted")
    status, _ = ask_to_upgrade(proxy, "/api/named", "https://elsewhere.example")
    checks.that(status == 403, f"{proxy.name}: any other is not")
