"""The demo as a process, and what the system says about it."""

import os
import re
import resource
import subprocess
import time
from dataclasses import dataclass

from client import Client, get

START_SECONDS = 10
MIB = 1 << 20

# Threads that a load may leave: the server keeps them to accept the next connections.
SPARE_THREADS = 4


@dataclass(frozen=True)
class Usage:
    """The demo's usage at one moment. `rss` is in bytes."""

    threads: int
    descriptors: int
    rss: int

    def __str__(self):
        return f"{self.threads} threads, {self.descriptors} descriptors, RSS {self.rss / MIB:.1f} MiB"

    def most(self, other):
        return Usage(
            max(self.threads, other.threads), max(self.descriptors, other.descriptors), max(self.rss, other.rss)
        )

    def is_back_at(self, start, rss_bytes):
        """Whether a load left only spare threads and at most `rss_bytes` of memory."""
        return (
            self.threads <= start.threads + SPARE_THREADS
            and self.descriptors == start.descriptors
            and self.rss <= start.rss + rss_bytes
        )


class Demo:
    """A running demo on a free port of loopback; it ends with the `with` block."""

    def __init__(self, arguments, files=None, descriptors=None):
        self.log = arguments.out / "demo.log"
        command = [arguments.server, "--addr", "127.0.0.1:0", "--quiet"]
        if files is not None:
            command += ["--dir", str(files)]

        def limit():
            if descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, preexec_fn=limit)
        self.pid = self.process.pid
        self.address = ("127.0.0.1", self._port())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _port(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            text = self.log.read_text()
            if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)$", text, re.MULTILINE):
                return int(found[1])
            if self.process.poll() is not None:
                raise SystemExit(f"tests/load: the demo ended: {text}")
            time.sleep(0.05)
        self.process.kill()
        raise SystemExit(f"tests/load: the demo did not say where it listens within {START_SECONDS} s")

    def usage(self):
        with open(f"/proc/{self.pid}/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        return Usage(
            threads=int(fields["Threads"]),
            descriptors=len(os.listdir(f"/proc/{self.pid}/fd")),
            rss=int(fields["VmRSS"].split()[0]) * 1024,
        )

    def warm(self):
        """Sends one request, and returns the usage after it is over: the starting point of a
        load."""
        before = self.usage()
        with Client(self.address) as client:
            client.send(get("/api/health"))
            client.response()
        deadline = time.monotonic() + START_SECONDS
        while self.usage().descriptors > before.descriptors and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.usage()

    def cpu_seconds(self):
        """User and system time of all its threads so far."""
        with open(f"/proc/{self.pid}/stat") as stat:
            # The name before the last parenthesis may contain spaces; utime and stime are fields 14
            # and 15 of proc(5).
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_until_back_at(self, start, rss_bytes, seconds):
        """Waits until the usage is back at `start`, `seconds` at most; returns the last usage, and
        how long it took."""
        begun = time.monotonic()
        while True:
            usage, waited = self.usage(), time.monotonic() - begun
            if usage.is_back_at(start, rss_bytes) or waited >= seconds:
                return usage, waited
            time.sleep(0.25)
