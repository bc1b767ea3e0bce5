"""Clients that are silent, slow, broken or too many, and what they cost the server."""

import os
import socket
import ssl
import time

from client import Client, request
from process import wait_until
from requests_cases import is_right
from tls_client import Cut, TlsClient, raw_answer

# run gives such limits to the server of these cases.
IDLE_SECONDS = 2
MOST_CONNECTIONS = 3
LATE_SECONDS = 20


def hello(server):
    """The wire's bytes of a client's first flight."""
    with TlsClient(server.tls, server.context(None), handshake=False) as client:
        try:
            client.tls.do_handshake()
        except ssl.SSLWantReadError:
            return client.wire_out()
    raise AssertionError("a handshake without the server")


def fails(server, what, by=1):
    """Runs this, and waits until the server has counted failed sessions for it."""
    before = server.stats()["failed_sessions"]
    result = what()
    wait_until("failed sessions", lambda: server.stats()["failed_sessions"] >= before + by)
    return result


def is_nothing(wire):
    """Whether there is no byte, or only the alert close_notify, not encrypted in a handshake."""
    return wire == b"" or (len(wire) == 7 and wire[0] == 21 and wire[6] == 0)


def plain_http(server):
    received = fails(server, lambda: raw_answer(server.tls, request("GET", "/tls")))
    return b"HTTP" not in received and len(received) < 100, f"{received}"


def noise(server):
    received = fails(server, lambda: raw_answer(server.tls, os.urandom(2000)))
    return b"HTTP" not in received and len(received) < 100, f"{received}"


def half_hello(end):
    """A client that leaves is no failure of its session."""

    def case(server):
        first = hello(server)
        before = server.stats()["failed_sessions"]
        with Client(server.tls) as client:
            client.send(first[: len(first) // 2])
            wait_until("a connection", lambda: server.stats()["connections"] > 0)
            if end == "RST":
                client.reset()
                received = b""
            else:
                client.socket.shutdown(socket.SHUT_WR)
                received = client.rest()
        wait_until("the connection's end", lambda: server.stats()["connections"] == 0)
        failed = server.stats()["failed_sessions"] - before
        return is_nothing(received) and failed == 0, f"{received}, {failed} failed"

    return case


def half_record(end):
    """A request whose last record never comes whole: FIN or RST."""

    def case(server):
        with TlsClient(server.tls, server.context(None)) as client:
            client.send(request("GET", "/tls"))
            client.answer()
            client.tls.write(request("GET", "/tls"))
            wire = client.wire_out()
            client.socket.sendall(wire[: len(wire) - 5])
            before = server.stats()["connections"]
            if end == "RST":
                client.reset()
            else:
                client.socket.shutdown(socket.SHUT_WR)
                try:
                    # All answers are whole, so a close_notify is right too.
                    if rest := client.rest():
                        return False, f"{rest}"
                except Cut:
                    pass
        wait_until("the connection's end", lambda: server.stats()["connections"] < before)
        return True, ""

    return case


def broken_record(server):
    with TlsClient(server.tls, server.context(None)) as client:
        client.tls.write(request("GET", "/tls"))
        wire = bytearray(client.wire_out())
        wire[-1] ^= 1

        def answer():
            client.socket.sendall(wire)
            try:
                return f"{client.rest()}"
            except ssl.SSLError as error:
                return str(error)

        said = fails(server, answer)
        return "bad record mac" in said.lower().replace("_", " "), said


def silent(server):
    begun = time.monotonic()
    received = raw_answer(server.tls, b"", wait=LATE_SECONDS)
    waited = time.monotonic() - begun
    return is_nothing(received) and waited > IDLE_SECONDS / 2, f"{received} after {waited:.1f} s"


def dribbled(server):
    """A byte each 100 ms: the handshake as a whole is bounded, not each wait."""
    first = hello(server)
    begun = time.monotonic()
    with socket.create_connection(server.tls, LATE_SECONDS) as wire:
        wire.settimeout(0.1)
        for at in range(len(first)):
            try:
                wire.sendall(first[at : at + 1])
                if wire.recv(100) == b"":
                    break
            except socket.timeout:
                pass
            except OSError:
                break
            if time.monotonic() - begun > LATE_SECONDS:
                return False, "it is still open"
        waited = time.monotonic() - begun
    return waited > IDLE_SECONDS / 2, f"after {waited:.1f} s"


def cut_answer(server):
    """An answer that the handler cannot finish ends without a close_notify: nothing else says so to
    a client of HTTP/1.0."""
    with TlsClient(server.tls, server.context(None)) as client:
        client.send(request("GET", "/broken", version="1.0"))
        client.head()
        try:
            return False, f"an orderly end after {client.rest()}"
        except Cut:
            return client.buffer == b"half of it\n", f"{bytes(client.buffer)}"


def idle(server):
    """An idle connection ends in order."""
    with TlsClient(server.tls, server.context(None), wait=LATE_SECONDS) as client:
        client.send(request("GET", "/tls"))
        client.answer()
        return client.rest() == b"" and client.wire_ends(), "bytes"


def too_many(server):
    """Over the limit a connection is closed without a byte: there is no session to say 503 in."""
    held = []
    before = server.stats()["overloaded"]
    try:
        for _ in range(MOST_CONNECTIONS):
            client = TlsClient(server.tls, server.context(None))
            held.append(client)
            client.send(request("GET", "/held"))
            client.head()
        received = raw_answer(server.tls, b"")
        return received == b"" and server.stats()["overloaded"] > before, f"{received}"
    finally:
        for client in held:
            client.socket.close()


CASES = {
    "HTTP without TLS": plain_http,
    "noise": noise,
    "half a hello, then FIN": half_hello("FIN"),
    "half a hello, then RST": half_hello("RST"),
    "half a record, then FIN": half_record("FIN"),
    "half a record, then RST": half_record("RST"),
    "a broken record": broken_record,
    "a silent client": silent,
    "a handshake byte by byte": dribbled,
    "an answer that breaks off": cut_answer,
    "an idle connection": idle,
    "too many connections": too_many,
}


def check(server, checks, title):
    for what, case in CASES.items():
        wait_until("no connection", lambda: server.stats()["connections"] == 0)
        holds, why = is_right(case, server)
        checks.that(holds, f"{title}: {what}" + ("" if holds else f": {why}"))
