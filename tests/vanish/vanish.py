"""Clients that vanish without a FIN: the router drops their packets. When does the server
notice?"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

from checks import Checks
from client import opening, request
from process import Process

# The clients' requests. Each has a separate server, whose count of connections is watched.
KINDS = {
    "hub": ("/api/chat/events", "a subscriber of a hub, to which nothing is published"),
    "busy": ("/api/stats", "a subscriber of a hub, 300 bytes a second"),
    "member": ("/api/chat?name=x", "a WebSocket"),
    "thread": ("/api/events", "an event stream with a thread, 30 bytes a second"),
}
# The additional time for a busy machine.
BUSY_SECONDS = 10
SERVER, CLIENT = "10.213.1.1", "10.213.2.1"


def command(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


class Network:
    """A server's and a client's network namespace, and a router's between them."""

    def __init__(self, retries):
        self.server, self.router, self.client = (f"akurai-{os.getpid()}-{end}" for end in ("s", "r", "c"))
        with contextlib.ExitStack() as stack:
            for name in (self.server, self.router, self.client):
                command("ip", "netns", "add", name)
                stack.callback(command, "ip", "netns", "del", name)
            for name, address, far in ((self.server, SERVER, "10.213.1.2"), (self.client, CLIENT, "10.213.2.2")):
                end, at = name[-1], self.inside(self.router)
                command(*at, "ip", "link", "add", f"to-{end}", "type", "veth", "peer", "name", "out", "netns", name)
                command(*at, "ip", "address", "add", f"{far}/30", "dev", f"to-{end}")
                command(*at, "ip", "link", "set", f"to-{end}", "up")
                at = self.inside(name)
                command(*at, "ip", "address", "add", f"{address}/30", "dev", "out")
                for device in ("lo", "out"):
                    command(*at, "ip", "link", "set", device, "up")
                command(*at, "ip", "route", "add", "default", "via", far)
            self.set(self.router, "ip_forward", 1)
            if retries:
                self.set(self.server, "tcp_retries2", retries)
            self.stack = stack.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    @staticmethod
    def inside(name):
        return ("ip", "netns", "exec", name)

    def set(self, name, sysctl, value):
        command(*self.inside(name), "sh", "-c", f"echo {value} > /proc/sys/net/ipv4/{sysctl}")

    def drop(self):
        """From now on the router drops the packets of both directions, without telling anybody."""
        for address in (SERVER, CLIENT):
            command(*self.inside(self.router), "ip", "route", "add", "blackhole", f"{address}/32")


def spawn(name, *words):
    return Process([*Network.inside(name), *words], os.devnull, stdout=subprocess.PIPE)


def follow(name, host, port, path):
    is_websocket = path.startswith("/api/chat?")
    asked = opening(path, host=SERVER) if is_websocket else request("GET", path, host=SERVER)
    program = (
        "import socket, sys, time\n"
        "end = time.monotonic() + 30\n"
        "while True:\n"
        f"  try: s = socket.create_connection(({host!r}, {port})); break\n"
        "  except OSError:\n"
        "    if time.monotonic() > end: raise\n"
        "    time.sleep(0.05)\n"
        f"s.sendall({asked!r})\n"
        "while data := s.recv(65536): sys.stdout.buffer.write(data); sys.stdout.flush()\n"
    )
    return spawn(name, sys.executable, "-c", program)


class Watched:
    """A server, the client that will vanish, and a client beside the server that reads its count of
    connections."""

    def __init__(self, network, program, port, path):
        self.connections, self.seen = 0, threading.Event()
        self.ended = None
        self.server = spawn(network.server, program, "--quiet", "--addr", f"0.0.0.0:{port}", "--host", SERVER)
        self.watcher = follow(network.server, SERVER, port, "/api/stats")
        self.client = follow(network.client, SERVER, port, path)
        threading.Thread(target=self.watch, daemon=True).start()

    def end(self):
        for process in (self.client, self.watcher, self.server):
            process.kill()

    def watch(self):
        for line in self.watcher.process.stdout:
            if line.startswith(b'data: {"at"'):
                self.connections = json.loads(line[6:])["connections"]
                if self.connections == 2:
                    self.seen.set()
                elif self.seen.is_set() and self.ended is None:
                    self.ended = time.monotonic()


def watch(arguments, checks, retries, within, seconds):
    """Lets a client of each kind vanish. The server must notice each `within` its seconds; `None`
    only measures."""
    with Network(retries) as network:
        watched = {
            kind: Watched(network, arguments.server, 8090 + at, KINDS[kind][0]) for at, kind in enumerate(within)
        }
        for kind, one in watched.items():
            checks.that(one.seen.wait(30), f"{kind}: {KINDS[kind][1]} is there", quiet=True)
        network.drop()
        dropped = time.monotonic()
        while time.monotonic() < dropped + seconds and any(one.ended is None for one in watched.values()):
            time.sleep(0.5)
        for kind, one in watched.items():
            after = None if one.ended is None else one.ended - dropped
            told = f"not within {seconds:.0f} s" if after is None else f"after {after:.0f} s"
            most = within[kind]
            checks.that(
                most is None or (after is not None and after <= most + BUSY_SECONDS),
                f"{kind}: {KINDS[kind][1]} vanished; noticed {told}" + (f"; tcp_retries2 {retries}" if retries else ""),
            )
        for one in watched.values():
            one.end()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True, help="the program akurai-server")
    parser.add_argument("--measure", type=float, metavar="SECONDS", help="only measure, for so long at most")
    arguments = parser.parse_args()
    # So that SIGTERM, too, removes the namespaces.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    checks = Checks()
    if arguments.measure:
        watch(arguments, checks, None, dict.fromkeys(KINDS), arguments.measure)
    else:
        watch(arguments, checks, None, {"hub": 63, "busy": 43, "member": 40}, 80)
        watch(arguments, checks, 5, {"thread": 30}, 45)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
