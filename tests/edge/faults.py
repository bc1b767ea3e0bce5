"""A server that is away or broken: what an EventSource and what other clients are told."""

import contextlib
import threading

from clients import Http2, Tls
from places import PROXIES, Broken, Proxy, Server
from process import free_port

COME_BACK = b"retry: 2000\n\n"
EVENTS = [("accept", "text/event-stream")]
# So that the check of 504 need not wait an hour, and the check of an absent server need not wait 5
# s.
SHORT = {
    "nginx": [(r"proxy_read_timeout 1h;", "proxy_read_timeout 500ms;")],
    "Caddy": [
        (r"lb_try_duration 5s", "lb_try_duration 500ms"),
        (r"(?=^ *keepalive 10s)", "            response_header_timeout 500ms\n"),
    ],
    "HAProxy": [(r"timeout server 1h", "timeout server 500ms"), (r"timeout connect 5s", "timeout connect 200ms")],
}
AWAY = {"nginx": 502, "Caddy": 502, "HAProxy": 503}


# Whether a request waits for a server that is restarting.
WAITS = {"nginx": False, "Caddy": True, "HAProxy": True}


def check(arguments, checks):
    for kind in PROXIES:
        with Proxy(arguments, kind, ("127.0.0.1", free_port()), "to nobody", SHORT[kind]) as proxy:
            faults(proxy, "/", AWAY[kind], "no server", checks)
        with Broken() as broken, Proxy(arguments, kind, broken.address, "to faults", SHORT[kind]) as proxy:
            # HAProxy ends the stream without any text, as if it were the server: a browser then
            # reconnects by itself.
            faults(proxy, "/502", None if kind == "HAProxy" else 502, "no word", checks)
            faults(proxy, "/503", 503, "the server's own 503", checks)
            faults(proxy, "/504", 504, "no answer", checks)
        restart(arguments, kind, checks)


def faults(proxy, path, expected, text, checks):
    with Http2(proxy.address) as client:
        plain, events = client.ask(path), client.ask(path, EVENTS)
        if expected is None:
            for stream, who in ((plain, "a page"), (events, "an EventSource")):
                is_cut = stream.rest() == b"" and stream.fields is None
                checks.that(is_cut, f"{proxy.name}: {text}: {who} sees its stream reset")
            return
        head = plain.head()
        body = plain.rest()
        holds = head.status == expected
        if path == "/503":
            holds = holds and body == b"own\n" and head.first("retry-after") == "1"
        checks.that(holds, f"{proxy.name}: {text}: a page is told so by {head.status}")
        head = events.head()
        comes_back = head.status == 200 and head.first("content-type") == "text/event-stream"
        comes_back = comes_back and events.rest() == COME_BACK
        checks.that(comes_back, f"{proxy.name}: {text}: an EventSource is told to come back")
    with Tls(proxy.address) as client:
        head = client.ask(path, ["Accept: text/event-stream"])
        holds = head.status == 200 and client.body(head) == COME_BACK
        checks.that(holds, f"{proxy.name}: {text}: over HTTP/1.1 too")


def restart(arguments, kind, checks):
    """A second without a server."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(arguments))
        proxy = stack.enter_context(Proxy(arguments, kind, server.address, "and a restart"))
        client = stack.enter_context(Tls(proxy.address))
        client.ask("/api/health")
        server.kill()
        later = threading.Timer(1, lambda: stack.enter_context(server.again()))
        later.start()
        with Tls(proxy.address) as client:
            status = client.ask("/api/health").status
        later.join()
    expected = 200 if WAITS[kind] else 502
    text = "waits for the server" if WAITS[kind] else "does not wait"
    checks.that(status == expected, f"{proxy.name}: a request {text} ({status})")
