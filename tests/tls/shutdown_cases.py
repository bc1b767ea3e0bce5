"""SIGTERM in each phase of a connection: an orderly end says close_notify, and the server ends."""

import signal
import ssl

from client import CLOSE, TEXT, request
from process import wait_until
from requests_cases import is_right
from tls_client import Cut, TlsClient, raw_answer

END_SECONDS = 30


def handshake(server, ends):
    client = TlsClient(server.tls, server.context(None), handshake=False)
    try:
        client.tls.do_handshake()
    except ssl.SSLWantReadError:
        wire = client.wire_out()
    client.socket.sendall(wire[: len(wire) // 2])
    ends()
    with client:
        try:
            received = client.socket.recv(4096)
        except ConnectionResetError:
            received = b""
        # Nothing, or an alert that was not encrypted.
        return received == b"" or received[0] == 21, f"{received}"


def fresh(server, ends):
    """The handshake is over, and no request came."""
    with TlsClient(server.tls, server.context(None)) as client:
        ends()
        return client.rest() == b"" and client.wire_ends(), "bytes"


def idle(server, ends):
    with TlsClient(server.tls, server.context(None)) as client:
        client.send(request("GET", "/tls"))
        client.answer()
        ends()
        return client.rest() == b"" and client.wire_ends(), "bytes"


def in_request(server, ends):
    with TlsClient(server.tls, server.context(None)) as client:
        client.send(request("GET", "/held"))
        head = client.head()
        client.until(b"held\n\r\n")
        ends()
        body = client.body(head)
        return body == b"released\n" and client.rest() == b"" and client.wire_ends(), f"{body}"


def stream(path):
    """An event stream: with a thread of its own, or parked."""

    def case(server, ends):
        with TlsClient(server.tls, server.context(None)) as client:
            client.send(request("GET", path))
            client.head()
            ends()
            client.rest()
            return client.wire_ends(), "bytes behind the close_notify"

    return case


def websocket(path):
    def case(server, ends):
        with TlsClient(server.tls, server.context(None)) as client:
            client.upgrade(path)
            client.send_frame(TEXT, b"here")
            client.frame()
            ends()
            frame = client.frame()
            client.send_frame(CLOSE, frame[1][:2])
            right = frame[0] == CLOSE and frame[1][:2] == (1001).to_bytes(2, "big")
            return right and client.rest() == b"" and client.wire_ends(), f"{frame}"

    return case


def forced(server, ends):
    """A WebSocket whose client does not answer the Close is cut when the grace is over."""
    with TlsClient(server.tls, server.context(None)) as client:
        client.upgrade("/ws")
        client.send_frame(TEXT, b"here")
        client.frame()
        ends()
        frame = client.frame()
        try:
            client.rest()
        except Cut:
            pass
        return frame[0] == CLOSE, f"{frame}"


CASES = {
    "a handshake": handshake,
    "a connection without a request": fresh,
    "an idle connection": idle,
    "a request": in_request,
    "an event stream": stream("/endless"),
    "a parked event stream": stream("/news"),
    "a WebSocket": websocket("/ws"),
    "a hub's WebSocket": websocket("/ws/news"),
    "a WebSocket that says no Close": forced,
}


def check(start, checks, title):
    for what, case in CASES.items():
        with start() as server:

            def ends():
                server.signal(signal.SIGTERM)

            holds, why = is_right(case, server, ends)
            checks.that(holds, f"{title}: SIGTERM in {what}" + ("" if holds else f": {why}"))
            server.process.stdin.close()
            ended = lambda: server.process.poll() is not None
            wait_until("the server's end", ended, END_SECONDS)
            checks.that(server.process.returncode == 0, f"{title}: … it ended", quiet=True)
