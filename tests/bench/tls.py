"""TLS in the process and in front of it: see README.md beside this file."""

import argparse
import os
import re
import socket
import ssl
import subprocess
import tempfile
import time

import cells
import process
import servers
from nginx import Nginx
from process import title

SERVERS = ["akurai", "nginx", "axum", "axum-one", "plain"]
CASES = (
    "1 64 echo-16B-1 echo-16B-64 echo-1KiB-64 post-64KiB-1 post-64KiB-16 download-1MiB-1 "
    "download-1MiB-16 "
    "handshake-1 handshake-16 resumed-16"
).split()

# About how many requests strace counts, and how many bytes in all.
CALLED_REQUESTS = 2000
CALLED_BYTES = 2**28

# In its favour: connections to our server are kept, and no body waits in a file.
FRONT = """
  upstream behind {{ server {behind}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen {address} ssl;
    ssl_certificate {work}/cert.pem;
    ssl_certificate_key {work}/key.pem;
    ssl_protocols TLSv1.3;
    client_max_body_size 0;
    client_body_buffer_size 128k;
    proxy_buffer_size 16k;
    proxy_buffers 8 64k;
    proxy_busy_buffers_size 128k;
    proxy_max_temp_file_size 0;
    proxy_http_version 1.1;
    location / {{ proxy_pass http://behind; proxy_set_header Connection ""; }}
    location /echo {{
      proxy_pass http://behind;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
    }}
  }}
"""


class Front(Nginx):
    """nginx, and our server on plain TCP behind it. Both count, on the same core."""

    def __init__(self, args):
        self.behind = None
        behind = cells.Program(args, "web")
        try:
            super().__init__(args.work, FRONT, behind=behind.address)
        except BaseException:
            behind.close()
            raise
        self.behind = behind

    def pids(self):
        return super().pids() + (self.behind.pids() if self.behind else [])

    def peak(self):
        return super().peak() + self.behind.peak()

    def close(self):
        super().close()
        if self.behind:
            self.behind.close()


def opened(args, server, case):
    match server:
        case "akurai":
            program = cells.Program(args, "web-tls", args.work)
        case "nginx":
            program = Front(args)
        case "axum":
            program = cells.Program(args, "axum-tls", args.work)
        case "axum-one":
            program = cells.Program(args, "axum-tls", args.work, "one")
        case "plain":
            program = cells.Program(args, "web")
    words = [args.work if word == "DIRECTORY" else word for word in case.words("akurai")]
    if server == "plain":
        at = next(at for at, word in enumerate(words) if str(word).startswith("--tls"))
        words[at:at + 2] = []
    return cells.Cell(args, program, case.client, *words)


def tls_case(name):
    tls = ["--tls", "DIRECTORY"]
    if found := re.fullmatch(r"(handshake|resumed)(-\d+)?", name):
        case = servers.http_case("churn" + (found[2] or ""))
        tls[0] = "--tls" if found[1] == "handshake" else "--tls-resumed"
    elif name.startswith("echo-"):
        case = servers.echo_case(name.removeprefix("echo-"))
    else:
        case = servers.http_case(name)
    case.name, case.options = name, [*tls, *case.options]
    return case


def system_calls(args):
    title("System calls")
    print("| | | calls/request | of which |\n|---|---|---|---|")
    for case in args.cases:
        times = max(1, min(CALLED_REQUESTS, CALLED_BYTES // max(case.bytes, 1)) // case.connections)
        for server in args.servers:
            with opened(args, server, case) as cell:
                calls = cell.calls(times)
            cells.print_calls(case.name, server, calls, times * case.connections)


def make_certificate(work):
    """A key on P-256, and a certificate that its owner signed, for both ends."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "30", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
            "-keyout",
            os.path.join(work, "key.pem"),
            "-out",
            os.path.join(work, "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )


def memory(program):
    """Resident bytes, and the process's part of them."""
    with open(f"/proc/{program.process.pid}/smaps_rollup") as file:
        found = {
            line.split(":")[0]: int(line.split()[1]) * 1024
            for line in file
            if line.startswith(("Rss:", "Pss:"))
        }
    return found["Rss"], found["Pss"]


def subscriber(address, context):
    host, port = address.split(":")
    stream = socket.create_connection((host, int(port)), 10)
    if context:
        stream = context.wrap_socket(stream, server_hostname="localhost")
    stream.sendall(b"GET /events HTTP/1.1\r\nHost: bench\r\n\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        head += stream.recv(4096)
    if not head.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"tests/bench: no event stream:\n{head.decode()}")
    return stream


def parked(args):
    """What an event stream that waits costs the Hub."""
    n = args.parked
    title(f"{n:,} subscribers, parked")
    print(
        "| KiB a subscriber | RSS | Pss | after an event to all: RSS | Pss | threads |\n|---|---|---|---|---|---|"
    )
    context = ssl.create_default_context(cafile=os.path.join(args.work, "cert.pem"))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    for name, words, layer in ("plain", ["hub"], None), ("rustls", ["hub-tls", args.work], context):
        program = cells.Program(args, *words)
        streams = []
        try:
            # The first connection also costs what is there once for all.
            streams.append(subscriber(program.address, layer))
            time.sleep(1)
            empty = memory(program)
            streams += [subscriber(program.address, layer) for _ in range(n)]
            time.sleep(1)
            found = list(memory(program))
            program.tell("1 1 100 1")
            for stream in streams:
                seen = b""
                while b"\n\n" not in seen:
                    part = stream.recv(4096)
                    if not part:
                        raise SystemExit("tests/bench: a subscriber did not see the event")
                    seen += part
            time.sleep(1)
            found += memory(program)
            kib = [f"{(bytes - empty[at % 2]) / n / 1024:.2f}" for at, bytes in enumerate(found)]
            print(f"| {name} | {' | '.join(kib)} | {program.status('Threads')} |", flush=True)
        finally:
            for stream in streams:
                stream.close()
            program.close()


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run tls", description=__doc__)
    parser.add_argument("--target", required=True, help=argparse.SUPPRESS)
    parser.add_argument(
        "cases",
        nargs="*",
        metavar="CASE",
        help=f"{' '.join(CASES)} by default: a case of http, echo- and a case "
        "of echo, handshake[-CONNECTIONS], which is http's churn, and the same resumed",
    )
    parser.add_argument(
        "--servers",
        nargs="+",
        choices=SERVERS,
        default=SERVERS,
        help="the first is compared with the others",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1, help="that a round measures")
    parser.add_argument("--calls", action="store_true", help="count system calls alone")
    parser.add_argument("--parked", type=int, nargs="?", const=1000, metavar="SUBSCRIBERS",
                        help="measure the memory of parked subscribers alone, by default of 1,000")
    parser.add_argument(
        "--nice",
        type=int,
        default=0,
        help="of server and client, on a machine that others use; below 0 as root",
    )
    args = parser.parse_args()
    process.NICE = args.nice
    args.cases = [tls_case(name) for name in args.cases or CASES]
    with tempfile.TemporaryDirectory(prefix="akurai-bench-") as args.work:
        make_certificate(args.work)
        if args.parked:
            return parked(args)
        for case in [] if args.calls else args.cases:
            cells.side_by_side(
                args,
                f"tls {case.name}",
                args.servers,
                lambda server, case=case: opened(args, server, case),
                ["cpu_us", "p50", "p99", "rate"],
            )
        if args.calls or cells.has_strace():
            system_calls(args)
        if not args.calls:
            args.parked = 1000
            parked(args)


main()
