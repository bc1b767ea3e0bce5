"""Requests and their answers, by Python's ssl and by curl."""

import http.client
import os
import socket
import ssl
import subprocess

from client import ask, request
from tls_client import TlsClient, context

VERSIONS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}
BIG = b"0123456789abcdef" * 200_000
# Plain bytes of a record, so that the ends of long ones fall anywhere in what the server reads.
RECORDS = [16_384, 1, 500, 3000]


def records(data):
    """These bytes in pieces of such lengths."""
    at = turn = 0
    while at < len(data):
        yield data[at : at + RECORDS[turn % len(RECORDS)]]
        at += RECORDS[turn % len(RECORDS)]
        turn += 1


def keep_alive(server, version):
    with TlsClient(server.tls, server.context(version)) as client:
        for _ in range(3):
            client.send(request("GET", "/tls"))
            text = client.answer().body.decode()
        client.send(request("GET", "/tls") * 3 + request("GET", "/big", ["Connection: close"]))
        piped = [client.answer().body.decode() for _ in range(3)]
        big = client.answer().body
        rest = client.rest()
    number = "3" if version == VERSIONS["TLS 1.3"] else "2"
    plain = ask(server.plain, "GET", "/tls").body
    # Each library writes the version in its own way.
    right = text.startswith("name localhost, TLSv1") and f"{number}, certificate 0, secure true" in text
    right = right and plain == b"plain, secure false\n"
    return right and piped == [text] * 3 and big == BIG and rest == b"", f"{text!r} {piped}"


def upload(server, version):
    body = os.urandom(3_000_000)
    with TlsClient(server.tls, server.context(version)) as client:
        client.send(request("POST", "/echo", [f"Content-Length: {len(body)}"]))
        for record in records(body):
            client.send(record)
        whole = client.answer().body
        client.send(request("PUT", "/echo", ["Transfer-Encoding: chunked"]))
        for record in records(body):
            client.send(b"%x\r\n%s\r\n" % (len(record), record))
        client.send(b"0\r\n\r\n")
        chunked = client.answer().body
        lines = ["Content-Length: 4", "Expect: 100-continue"]
        client.send(request("POST", "/echo", lines))
        if (interim := client.head()).status != 100:
            return False, f"{interim}"
        client.send(b"body")
        return (whole, chunked, client.answer().body) == (body, body, b"body"), "other bytes"


def half_close(server, version):
    with TlsClient(server.tls, server.context(version)) as client:
        client.send(request("GET", "/big"))
        client.say_close()
        answer = client.answer()
        return answer.body == BIG and client.rest() == b"" and client.wire_ends(), f"{answer.status}"


def http_1_0(server, version):
    """Only the close_notify says that the stream is whole."""
    with TlsClient(server.tls, server.context(version)) as client:
        client.send(request("GET", "/ticks", version="1.0"))
        head = client.head()
        body = client.rest()
        return body.count(b"event: tick") == 5 and client.wire_ends(), f"{head} {body[-60:]}"


def resumed(server, version):
    tls = server.context(version)
    with TlsClient(server.tls, tls) as client:
        client.send(request("GET", "/tls"))
        client.answer()
        session = client.tls.session
    with TlsClient(server.tls, tls, session=session) as client:
        client.send(request("GET", "/tls"))
        return client.answer().status == 200 and client.tls.session_reused, "a new session"


def certificate(server, version):
    made = context(server.certificates, version, certificate=True)
    with TlsClient(server.tls, made) as client:
        client.send(request("GET", "/tls"))
        text = client.answer().body.decode()
        return ", certificate " in text and "certificate 0" not in text, text


def stray_certificate(server, version):
    """A client's certificate of another CA fails the handshake."""
    made = server.context(version)
    made.load_cert_chain(server.certificates / "stray.pem", server.certificates / "stray.key")
    try:
        with TlsClient(server.tls, made) as client:
            client.send(request("GET", "/tls"))
            return False, f"{client.answer()}"
    except ssl.SSLError as error:
        return "alert" in str(error).lower(), f"{error}"


def alpn(server, version):
    with TlsClient(server.tls, context(server.certificates, version, ["h2", "http/1.1"])) as client:
        chosen = client.tls.selected_alpn_protocol()
    try:
        TlsClient(server.tls, context(server.certificates, version, ["h2"])).socket.close()
        return False, "h2 was accepted"
    except ssl.SSLError as error:
        return chosen == "http/1.1" and "no application protocol" in str(error), f"{chosen} {error}"


def python_socket(server, version):
    """Python's own socket: an end without close_notify is an error, and `unwrap` waits for it."""
    tls = server.context(version)
    with socket.create_connection(server.tls, 20) as wire:
        with tls.wrap_socket(wire, server_hostname="localhost", suppress_ragged_eofs=False) as end:
            end.sendall(request("GET", "/big", ["Connection: close"]))
            received = b""
            while more := end.recv(65536):
                received += more
            end.unwrap().close()
    connection = http.client.HTTPSConnection("localhost", server.tls[1], timeout=20, context=tls)
    connection._create_connection = lambda _, *rest: socket.create_connection(server.tls, *rest)
    bodies = []
    for _ in range(2):
        connection.request("POST", "/echo", b"by http.client")
        bodies.append(connection.getresponse().read())
    connection.close()
    return received.endswith(BIG) and bodies == [b"by http.client"] * 2, f"{len(received)} {bodies}"


def curl(server, *words, data=None):
    ca = server.certificates / "ca.pem"
    command = ["curl", "-sS", "--noproxy", "*", "--cacert", ca, "--max-time", "30", *words]
    done = subprocess.run(command, input=data, capture_output=True)
    return done.returncode, done.stdout, done.stderr.decode()


def by_curl(server, checks, title):
    origin = f"https://localhost:{server.tls[1]}"
    body = (server.files / "file.bin").read_bytes()
    file = server.files / "file.bin"
    mark = "\n%{http_version} %{num_connects} %{ssl_verify_result}"
    cases = {
        "a file": ([f"{origin}/files/file.bin"], body),
        "a range": (["-r", "1000-1999", f"{origin}/files/file.bin"], body[1000:2000]),
        "HTTP/1.0": (["--http1.0", f"{origin}/files/file.bin"], body),
        "HTTP/1.0, an event stream": (["--http1.0", f"{origin}/ticks"], b"event: tick"),
        "-T, a file": (["-T", file, f"{origin}/echo"], body),
        "-T, from a pipe": (["-T", "-", f"{origin}/echo"], body),
        "TLS 1.2": (["--tls-max", "1.2", f"{origin}/files/file.bin"], body),
        "two on one connection": ([f"{origin}/tls", f"{origin}/tls", "-w", mark], b"\n1.1 0 0"),
        "an event stream": (["-N", f"{origin}/ticks"], b"event: tick"),
    }
    for name, (words, right) in cases.items():
        status, out, err = curl(server, *words, data=body)
        holds = status == 0 and (out == right or (len(right) < 20 and right in out))
        checks.that(holds, f"{title}, curl: {name} ({status} {err.strip()})", quiet=not err)


def is_right(case, *arguments):
    """Whether the case holds, and what is wrong otherwise."""
    try:
        return case(*arguments)
    except Exception as error:
        return False, f"{type(error).__name__}: {error}"


CASES = {
    "keep-alive, pipelined requests, a big answer, close": keep_alive,
    "uploads in records of all lengths, chunked, after 100": upload,
    "an answer after the client's close_notify": half_close,
    "HTTP/1.0 up to the close_notify": http_1_0,
    "a resumed session": resumed,
    "a client's certificate": certificate,
    "a certificate of another CA": stray_certificate,
    "ALPN": alpn,
    "Python's socket and http.client": python_socket,
}


def check(server, checks, title):
    for name, version in VERSIONS.items():
        for what, case in CASES.items():
            holds, why = is_right(case, server, version)
            checks.that(holds, f"{title}, {name}: {what}" + ("" if holds else f": {why}"))
    by_curl(server, checks, title)
