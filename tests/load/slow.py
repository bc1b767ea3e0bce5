"""slowhttptest's three modes, while a plain client asks every 100 ms."""

import math
import re
import subprocess
import threading
import time

from client import Client, ask, request
from demo import Demo
from process import MIB

CONNECTIONS = 500
P99_MILLISECONDS = 50
BACK_SECONDS = 15
# The memory that the allocator may keep of the threads' buffers.
RSS_BYTES = 16 * MIB
LARGE_FILE_BYTES = 64 * MIB

# Name; path; length in seconds; other arguments of slowhttptest.
MODES = [
    # A field line every 3 s: the deadline for a whole head, 10 s, must end it.
    ("headers", "/api/health", 25, ["-H", "-i", "3", "-x", "24", "-t", "GET"]),
    # Sixteen bytes every 3 s to a route that reads them: the minimum rate for a body, 1 KiB/s after
    # 5 s, must end it.
    ("body", "/api/upload", 25, ["-B", "-i", "3", "-s", "8192", "-x", "16", "-t", "POST"]),
    # 32 bytes each second from a window of at most 1 KiB: after 30 s of waiting for room the server
    # gives up.
    ("read", "/files/large", 45, ["-X", "-n", "1", "-z", "32", "-w", "512", "-y", "1024"]),
]


class Plain(threading.Thread):
    """Sends a request every 100 ms, on a new connection and on a kept one; keeps the latencies in
    ms."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address = address
        self.new, self.kept, self.failures = [], [], []
        self.done = threading.Event()

    def run(self):
        kept = None
        due = time.monotonic()
        while not self.done.is_set():
            try:
                self.new.append(self.ask(None))
            except Exception as error:
                self.failures.append(f"new: {error!r}")
            try:
                kept = kept or Client(self.address, wait=5)
                self.kept.append(self.ask(kept))
            except Exception as error:
                self.failures.append(f"kept: {error!r}")
                if kept:
                    kept.socket.close()
                kept = None
            due += 0.1
            self.done.wait(max(0, due - time.monotonic()))
        if kept:
            kept.socket.close()

    def ask(self, client):
        begun = time.monotonic()
        if client is None:
            with Client(self.address, wait=5) as client:
                return self.ask_on(client, begun)
        return self.ask_on(client, begun)

    @staticmethod
    def ask_on(client, begun):
        client.send(request("GET", "/api/health"))
        answer = client.answer()
        if (answer.status, answer.body) != (200, b'{"status":"ok"}\n'):
            raise ValueError(str(answer))
        return (time.monotonic() - begun) * 1000

    def stop(self):
        self.done.set()
        self.join(10)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def attack(arguments, demo, start, name, path, seconds, flags):
    """Runs slowhttptest. Returns the demo's highest usage meanwhile, and the tool's own report of
    the end."""
    report = arguments.out / f"slow-{name}"
    host, port = demo.address
    # Above 1024 connections the demo answers 503, by its own limit; 500 are below it.
    command = [
        "slowhttptest", "-c", str(CONNECTIONS), "-r", "200", "-l", str(seconds), "-p", "3", "-v",
        "1",
    ]
    command += ["-g", "-o", str(report), "-u", f"http://{host}:{port}{path}", *flags]
    most = start
    with open(arguments.out / f"slow-{name}.log", "wb") as log:
        tool = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + seconds + 30
        while tool.poll() is None and time.monotonic() < deadline:
            most = most.most(demo.usage())
            time.sleep(0.1)
    finally:
        if tool.poll() is None:
            tool.kill()
        tool.wait()
    said = re.sub(
        r"\x1b\[[0-9;?]*[A-Za-z]",
        "",
        (arguments.out / f"slow-{name}.log").read_text(errors="replace"),
    )
    said = [
        line.strip() for line in said.splitlines() if re.search(r"Test ended on|Exit status", line)
    ]
    return most, "; ".join(said) or "slowhttptest said nothing"


def accepted(demo):
    """How many connections the demo has accepted so far, by its own count."""
    metrics = ask(demo.address, "GET", "/metrics").body.decode()
    return int(re.search(r"^akurai_connections_accepted_total (\d+)$", metrics, re.MULTILINE)[1])


def check(arguments, checks):
    files = arguments.out / "files"
    files.mkdir(exist_ok=True)
    with open(files / "large", "wb") as large:
        large.truncate(LARGE_FILE_BYTES)
    with Demo(arguments, files) as demo:
        start = demo.warm()
        print(f"before: {start}")
        for name, path, seconds, flags in MODES:
            plain = Plain(demo.address)
            before, cpu = accepted(demo), demo.cpu_seconds()
            plain.start()
            most, said = attack(arguments, demo, start, name, path, seconds, flags)
            plain.stop()
            cpu = demo.cpu_seconds() - cpu
            attackers = accepted(demo) - before - len(plain.new) - 2
            after, waited = demo.wait_until_back_at(start, BACK_SECONDS, RSS_BYTES)
            print(f"slow {name}: {said}; at most {most}; {cpu:.2f} s of CPU time of the demo")
            checks.that(
                attackers >= 0.95 * CONNECTIONS,
                f"slow {name}: about {attackers} connections of slowhttptest were accepted",
            )
            if name != "read":
                checks.that(
                    "No open connections left" in said,
                    f"slow {name}: the demo let go of them by itself",
                )
            for kind, values in (("new", plain.new), ("kept-alive", plain.kept)):
                values = values or [math.inf]
                p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
                checks.that(
                    p99 < P99_MILLISECONDS,
                    f"slow {name}: {len(values)} plain requests on {kind} connections: "
                    f"p50 {p50:.2f} ms, p99 {p99:.2f} ms (must: < {P99_MILLISECONDS}), max "
                    f"{max(values):.2f} ms",
                )
            checks.that(
                not plain.failures,
                f"slow {name}: every plain request was answered {plain.failures[:3] or ''}".strip(),
            )
            checks.that(
                after.is_back_at(start, RSS_BYTES),
                f"slow {name}: {waited:.1f} s after: {after} "
                f"(must: start, + {RSS_BYTES // MIB} MiB, + spare threads, within {BACK_SECONDS} "
                "s)",
            )
