"""Programs that the harnesses start, the demo among them, and what the system says about them."""

import atexit
import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from client import ask

START_SECONDS = 30
MIB = 1 << 20

# Threads that a load may leave: the server keeps them to accept the next connections.
SPARE_THREADS = 4


class Failed(Exception):
    """A program could not be started, or a state was not reached in time."""


def free_port():
    """A free port of loopback, by TCP and by UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def accepts(address):
    """Whether something listens at this address: ("127.0.0.1", port), or the path of a Unix
    socket."""
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    with socket.socket(family) as probe:
        return probe.connect_ex(address) == 0


def wait_until(what, condition, seconds=START_SECONDS):
    """Waits until the condition holds; returns its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(0.02)
    return value


@dataclass(frozen=True)
class Usage:
    """What a program uses at one moment. `rss` is its memory in bytes, and `peak` the most so
    far."""

    threads: int
    descriptors: int
    rss: int
    peak: int

    def __str__(self):
        memory = f"RSS {self.rss / MIB:.1f} MiB, VmHWM {self.peak / MIB:.1f} MiB"
        return f"{self.threads} threads, {self.descriptors} descriptors, {memory}"

    def most(self, other):
        return Usage(*map(max, vars(self).values(), vars(other).values()))

    def is_back_at(self, start, rss_bytes=None):
        """Whether a load left only spare threads, and at most `rss_bytes` of memory if given."""
        return (
            self.threads <= start.threads + SPARE_THREADS
            and self.descriptors == start.descriptors
            and (rss_bytes is None or self.rss <= start.rss + rss_bytes)
        )


class Process:
    """A program that appends its output to `log`. It ends with the `with` block, or with this
    process; only its own pid gets a signal. `options` are those of `Popen`."""

    def __init__(self, command, log, **options):
        self.log = Path(log)
        with open(log, "ab") as output:
            pipes = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output, **options}
            self.process = subprocess.Popen([str(word) for word in command], **pipes)
        self.pid = self.process.pid
        # Also ends a program that does not come up, before any `with` block has begun.
        atexit.register(self.kill)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """Like a crash: the program tells nobody."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def come_up(self, what, condition):
        """Waits until the condition holds, and returns its value. Fails if the program ends."""
        try:
            return wait_until(what, lambda: condition() or self.fail_if_ended())
        except Failed as error:
            self.kill()
            said = self.log.read_text(errors="replace")[-2000:]
            raise Failed(f"{self.process.args[0]}: {error}; {self.log.name}: {said}") from None

    def fail_if_ended(self):
        if self.process.poll() is not None:
            raise Failed(f"it ended with {self.process.returncode}")

    def listens(self, *addresses):
        """Waits until it accepts connections at each of these."""
        for address in addresses:
            self.come_up(f"it listens at {address}", lambda at=address: accepts(at))

    def line(self, pattern):
        """The next line of its output, which must match; its program has a pipe for it."""
        line = self.process.stdout.readline().rstrip("\n")
        if not re.fullmatch(pattern, line):
            self.kill()
            raise Failed(f"{self.process.args[0]} says {line!r}: see {self.log}")
        return line

    def ask(self, line):
        """Its answer to a line of input."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def usage(self):
        with open(f"/proc/{self.pid}/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        descriptors = len(os.listdir(f"/proc/{self.pid}/fd"))
        peak = int(fields["VmHWM"].split()[0]) * 1024
        return Usage(int(fields["Threads"]), descriptors, self.rss(), peak)

    def rss(self):
        """Exact resident bytes: VmRSS may be some pages off for each thread."""
        with open(f"/proc/{self.pid}/smaps_rollup") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Rss:")) * 1024

    def settled(self, path="/"):
        """The usage after one request has been answered and is over: the starting point of a
        load."""
        before = self.usage()
        ask(self.address, "GET", path)
        return self.wait_until_back_at(before, START_SECONDS)[0]

    def wait_until_back_at(self, start, seconds, rss_bytes=None):
        """Waits until the usage is back at `start`, `seconds` at most; returns the last usage, and
        how long it took."""
        begun = time.monotonic()
        while True:
            usage, waited = self.usage(), time.monotonic() - begun
            if usage.is_back_at(start, rss_bytes) or waited >= seconds:
                return usage, waited
            time.sleep(0.1)


class Demo(Process):
    """The demo, on a free port of loopback or on this one. `runner` starts it where the system
    alone cannot: an emulator."""

    def __init__(self, server, log, *options, port=0, runner=(), **around):
        # The line below must not be an earlier demo's.
        Path(log).unlink(missing_ok=True)
        command = [*runner, server, "--addr", f"127.0.0.1:{port}", "--quiet", *options]
        super().__init__(command, log, **around)
        says = re.compile(r"listening on http://127\.0\.0\.1:(\d+)$", re.MULTILINE)
        said = self.come_up("it says where it listens", lambda: says.search(self.log.read_text()))
        self.port = int(said[1])
        self.address = ("127.0.0.1", self.port)
