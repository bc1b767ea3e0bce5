"""Figures of the guide's pages about sizing and deploying: what glibc's arenas take of the demo's
memory, and which descriptors its listeners hold."""

import re

from client import BINARY, TEXT, Client, request
from demo import Demo
from descriptors import Waiting
from process import MIB

ARENAS = ("", "2", "1")
CONNECTIONS = (64, 1000)
SHORT, LONG = b"x" * 1024, b"x" * (256 << 10)
ROUNDS = 3

LISTENERS = (1, 4, 16)
DESCRIPTORS = 128
# What a listener holds at most besides its own descriptor: a place for each thread in accept(2).
IN_ACCEPT = 4


def echo(clients, opcode, payload):
    """All send at once, so that as many threads allocate."""
    for client in clients:
        client.send_frame(opcode, payload)
    for client in clients:
        client.frame()


def arenas(arguments, checks, limit, count):
    environment = {"MALLOC_ARENA_MAX": limit} if limit else {}
    with Demo(arguments, descriptors=4096, environment=environment) as demo:
        start = demo.warm()
        clients = [Client(demo.address) for _ in range(count)]
        for client in clients:
            client.upgrade("/api/ws")
        echo(clients, TEXT, SHORT)
        short = demo.usage()
        for _ in range(ROUNDS):
            for at in range(0, count, 64):
                echo(clients[at : at + 64], BINARY, LONG)
        long = demo.usage()
        for client in clients:
            client.socket.close()
        after, _ = demo.wait_until_back_at(start, 15)
        rss = [usage.rss / MIB for usage in (start, short, long, after)]
        print(
            f"MALLOC_ARENA_MAX={limit or '(unset)'}, {count} WebSockets: RSS {rss[0]:.1f} MiB at "
            f"rest, {rss[1]:.1f} with them, {rss[2]:.1f} after 3 x 256 KiB on each, {rss[3]:.1f} "
            "when they have left"
        )
        checks.that(long.threads >= count, f"figures: {count} threads answered")


def listeners(arguments, checks, count):
    more = ["--addr", "127.0.0.1:0"] * (count - 1)
    with Demo(arguments, descriptors=DESCRIPTORS, options=more) as demo:
        rest = demo.usage()
        said = re.findall(r"127\.0\.0\.1:(\d+)$", demo.log.read_text(), re.M)
        # Busy for a moment, each listener has as many threads in accept(2) as it ever has.
        for port in said:
            clients = [Client(("127.0.0.1", int(port))) for _ in range(6)]
            for client in clients:
                client.send(request("GET", "/api/health"))
            for client in clients:
                client.answer()
                client.socket.close()
        waiting = Waiting(demo.address, 2 * DESCRIPTORS)
        waiting.look(2)
        full, served = demo.usage().descriptors, len(waiting.answered)
        waiting.close()
        print(
            f"{count} listeners: {rest.descriptors} descriptors at rest; of {DESCRIPTORS}, "
            f"{served} served a client, and {DESCRIPTORS - full} were in no list"
        )
        checks.that(
            DESCRIPTORS - full <= IN_ACCEPT * count and served >= DESCRIPTORS - 6 - 5 * count,
            f"figures: {count} listeners hold 1 descriptor each, and up to {IN_ACCEPT} unlisted",
        )


def check(arguments, checks):
    for count in LISTENERS:
        listeners(arguments, checks, count)
    for limit in ARENAS:
        for count in CONNECTIONS:
            arenas(arguments, checks, limit, count)
