"""A long life in little time: millions of requests, then connections that come and go, each with a
topic of its own. At the end the server must hold what it held after the first tenth."""

import multiprocessing
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from client import ACCEPT, CLOSE, TEXT, Client, Closed, opening, request
from process import MIB, SPARE_THREADS, Process

KIB = 1024
PING = 9
WORKERS = 2
THREADS = 8
STEPS = 10
# For each million requests there are so many connections.
CONNECTIONS_PER_MILLION = 100_000
PIPELINED = 400
# One connection in so many is an event stream, the others are WebSockets.
STREAMS = 8
BACK_SECONDS = 30
# How far the end may exceed the first tenth.
RSS_GROWTH = (0.10, 2 * MIB)
TABLES_GROWTH = (0.10, 64 * KIB)

GET = request("GET", "/")
CLOSE_FRAME = b"\x88\x82\0\0\0\0\x03\xe8"


@dataclass(frozen=True)
class Figures:
    """What the server holds at rest; sizes in bytes."""

    rss: int
    tables: int
    threads: int
    descriptors: int

    @classmethod
    def of(cls, process):
        usage = process.usage()
        with open(f"/proc/{process.pid}/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        return cls(
            usage.rss, int(fields["VmPTE"].split()[0]) * KIB, usage.threads, usage.descriptors
        )

    def row(self, name):
        sizes = f"{self.rss / MIB:8.2f} | {self.tables / KIB:11.0f}"
        return f"| {name:30} | {sizes} | {self.threads:7} | {self.descriptors:11} |"

    def is_within(self, tenth):
        def grew(now, then, growth):
            share, more = growth
            return now > then * (1 + share) + more

        return (
            not grew(self.rss, tenth.rss, RSS_GROWTH)
            and not grew(self.tables, tenth.tables, TABLES_GROWTH)
            and self.threads <= tenth.threads + SPARE_THREADS
            and self.descriptors == tenth.descriptors
        )


def requests(address, count, source):
    """So many pipelined requests on one connection. All answers are equally long."""
    with Client(address, source) as client:
        client.send(GET)
        first = client.head()
        first.body = client.body(first)
        if first.body != b"here\n":
            raise Closed(str(first))
        client.send(GET)
        length = len(client.until(b"\r\n\r\nhere\n"))
        left = count - 2
        while left > 0:
            many = min(left, PIPELINED)
            client.send(GET * many)
            answers = client.take(many * length)
            if (
                answers.count(b"HTTP/1.1 200 OK\r\n") != many
                or answers.count(b"\r\n\r\nhere\n") != many
            ):
                raise Closed("other answers")
            left -= many


def member(address, topic, source):
    """A WebSocket that gets its topic's event, and closes."""
    with Client(address, source) as client:
        client.send(opening(f"/members/{topic}"))
        if ACCEPT.encode() not in client.until(b"\r\n\r\n") or client.frame() != (TEXT, b"here"):
            raise Closed("no event")
        client.send(CLOSE_FRAME)
        opcode = PING
        # On a busy machine 20 s may have passed.
        while opcode == PING:
            opcode, payload = client.frame()
        if opcode != CLOSE or client.receive():
            raise Closed(f"opcode {opcode}, {payload[:40]}, and no proper close")


def stream(address, topic, source):
    """An event stream that gets its topic's event, and leaves."""
    with Client(address, source) as client:
        client.send(request("GET", f"/events/{topic}"))
        client.until(b"data: here\n")


def connections(address, first, count, source):
    for number in range(first, first + count):
        one = stream if number % STREAMS == 0 else member
        one(address, f"topic-{number}", f"{source}.{1 + number % 250}")


def work(step, requests_each, connections_each, address, number):
    """A worker's share of one step, on addresses of its own, so that the ports do not run out."""
    os.nice(5)
    if requests_each:
        requests(address, requests_each, f"127.0.{1 + number}.1")
        return
    # A hub's event takes some milliseconds, so several connections are under way.
    each = connections_each // THREADS
    first = (step * WORKERS + number) * connections_each
    with ThreadPoolExecutor(THREADS) as pool:
        shares = [
            pool.submit(connections, address, first + at * each, each, f"127.{1 + number}.{1 + at}")
            for at in range(THREADS)
        ]
        for share in shares:
            share.result()


def check(arguments, checks):
    command = [arguments.long_life, 0]
    log, spawn = arguments.out / "long_life.log", multiprocessing.get_context("fork")
    # With a heap for each thread, glibc's free pieces add up for a million connections before they
    # stay at what they are. A leak would show in one heap too.
    env = {"MALLOC_ARENA_MAX": "1", **os.environ}
    with Process(command, log, stdout=subprocess.PIPE, text=True, env=env) as server:
        server.address = ("127.0.0.1", int(server.line(r"\d+")))
        rest = server.settled()
        start = Figures.of(server)
        million = arguments.millions * 1_000_000
        parts = {
            f"{arguments.millions} million requests": (million // STEPS // WORKERS, 0),
            f"{arguments.millions * CONNECTIONS_PER_MILLION} connections": (
                0,
                arguments.millions * CONNECTIONS_PER_MILLION // STEPS // WORKERS,
            ),
        }
        print(
            f"| {'after':30} | RSS, MiB | tables, KiB | threads | descriptors |\n|---|---|---|---|---|"
        )
        print(start.row("start"), flush=True)
        for name, shares in parts.items():
            begun, figures = time.monotonic(), []
            for step in range(STEPS):
                workers = [
                    spawn.Process(
                        target=work, args=(step, *shares, server.address, number), daemon=True
                    )
                    for number in range(WORKERS)
                ]
                for worker in workers:
                    worker.start()
                for worker in workers:
                    worker.join()
                failed = [worker.exitcode for worker in workers if worker.exitcode != 0]
                if failed or server.process.poll() is not None:
                    checks.that(
                        False, f"long: {name}: step {step + 1} of {STEPS}: workers {failed}"
                    )
                    return
                server.wait_until_back_at(rest, BACK_SECONDS)
                figures.append(Figures.of(server))
                print(figures[-1].row(f"{step + 1} of {STEPS}: {name}"), flush=True)
            tenth, end = figures[0], figures[-1]
            checks.that(
                end.is_within(tenth),
                f"long: {name} in {time.monotonic() - begun:.0f} s: at the end as after a tenth "
                f"(RSS at most + {RSS_GROWTH[0]:.0%} + {RSS_GROWTH[1] // MIB} MiB, "
                f"most {max(one.rss for one in figures) / MIB:.2f} MiB)",
            )
