"""The processes of the cases: Redis servers, nodes, HAProxy. Each ends with its `with` block, and
listens on loopback."""

import contextlib
import os
import queue
import socket
import subprocess
import threading
import time
from pathlib import Path

from process import Process, free_port, wait_until

class Redis:
    """A server with its own directory. It may be ended and restarted on the same port."""

    def __init__(self, out, name, append_only=False):
        self.out, self.name = out, name
        self.port = free_port()
        self.directory = out / name
        self.directory.mkdir(parents=True, exist_ok=True)
        for left in self.directory.glob("**/*"):
            if left.is_file():
                left.unlink()
        self.append_only = append_only
        self.process = None
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", "."]
        command += ["--appendonly", "yes" if self.append_only else "no", "--repl-diskless-sync-delay", "0"]
        self.process = Process(command, self.out / f"{self.name}.log", cwd=self.directory)
        wait_until(f"{self.name} answers", self.answers)

    def answers(self):
        try:
            return self.ask("PING") == "PONG"
        except (OSError, Refused):
            return False

    def ask(self, *args):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            words = [str(arg).encode() for arg in args]
            request = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
            connection.sendall(b"*%d\r\n%s" % (len(words), request))
            return reply(connection.makefile("rb"))

    def commands(self):
        """How many commands it has run so far."""
        (line,) = [line for line in self.ask("INFO", "stats").splitlines() if line.startswith("total_commands_processed:")]
        return int(line.split(":")[1])

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"


class Refused(Exception):
    """An error that Redis returned."""


def reply(lines):
    line = lines.readline()
    if not line.endswith(b"\r\n"):
        raise OSError("Redis closed the connection")
    kind, text = line[:1], line[1:-2]
    if kind == b"-":
        raise Refused(text.decode())
    if kind == b"+":
        return text.decode()
    if kind == b":":
        return int(text)
    if int(text) < 0:
        return None
    if kind == b"$":
        return lines.read(int(text) + 2)[:-2].decode()
    return [reply(lines) for _ in range(int(text))]


class Talking(Process):
    """A program that is asked by lines of its input, and answers by lines of its output."""

    def __init__(self, arguments, name, command, **options):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        super().__init__(command, arguments.out / f"{name}.log", **pipes, **options)


class Node(Talking):
    """One of several servers on one Redis."""

    def __init__(self, arguments, name, url, max_events=100_000, port=0, environment=()):
        command = [Path(arguments.examples) / "node", port, url, max_events]
        super().__init__(arguments, name, command, env={**os.environ, **dict(environment)})
        self.port = int(self.line(r"\d+"))


HAPROXY = """
defaults
    timeout connect 1s
    timeout client 1h
    timeout server 1h
{sections}
"""

NODES = """
frontend web
    mode http
    bind 127.0.0.1:{port}
    default_backend nodes
backend nodes
    mode http
    option httpchk GET /api/ready
    option redispatch
    retries 3
{servers}
"""

MASTER = """
listen redis
    mode tcp
    bind 127.0.0.1:{port}
    option tcp-check
    tcp-check send info\\ replication\\r\\n
    tcp-check expect string role:master
    default-server inter 200ms fall 1 rise 1 on-marked-down shutdown-sessions
{servers}
"""


class Proxy(Process):
    """HAProxy in front of nodes, where the first ready node gets all connections, or in front of a
    Redis and its replicas, where the master gets them."""

    def __init__(self, arguments, section, ports, options=""):
        self.port = free_port()
        servers = "\n".join(
            f"    server s{at} 127.0.0.1:{port} check inter 300ms {options if at else ''}" for at, port in enumerate(ports)
        )
        config = HAPROXY.format(sections=section.format(port=self.port, servers=servers))
        path = arguments.out / "haproxy.cfg"
        path.write_text(config)
        super().__init__(["haproxy", "-db", "-f", path], arguments.out / "haproxy.log")
        self.listens(("127.0.0.1", self.port))


class Late:
    """A relay in front of a Redis, on its own port. It passes Redis' answers on with this delay in
    seconds, and holds them while `open` is not set."""

    def __init__(self, port, seconds):
        self.to, self.seconds = port, seconds
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = []
        self.open = threading.Event()
        self.open.set()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.open.set()
        for one in [self.listener, *self.connections]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.to), timeout=10)
                server.settimeout(None)
                self.connections += [client, server]
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                waiting = queue.SimpleQueue()
                for work, *ends in (
                    (self._ask, client, server),
                    (self._hear, server, waiting),
                    (self._tell, waiting, client),
                ):
                    threading.Thread(target=work, args=ends, daemon=True).start()

    def _ask(self, client, server):
        with contextlib.suppress(OSError):
            while data := client.recv(64 * 1024):
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _hear(self, server, waiting):
        data = b"-"
        while data:
            try:
                data = server.recv(64 * 1024)
            except OSError:
                data = b""
            waiting.put((time.monotonic() + self.seconds, data))

    def _tell(self, waiting, client):
        with contextlib.suppress(OSError):
            while True:
                due, data = waiting.get()
                time.sleep(max(0, due - time.monotonic()))
                self.open.wait()
                if not data:
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)


def cores():
    return len(os.sched_getaffinity(0))
