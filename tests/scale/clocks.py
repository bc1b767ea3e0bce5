"""Nodes whose clocks are wrong, clients that move between them, and entries that somebody deletes."""

import contextlib
import email.utils
import http.client
import itertools
import os
import time
from pathlib import Path

from cases import Scene
from clients import Follower, Mover, Publisher, account
from processes import Failed, Late, Node, Redis, wait_until

MOVERS = 8
EVENTS = 1_000
LATE_SECONDS = 0.03
# Heartbeats, one a second, for as long as clients wait for a node that is cut off.
BEATS = 3
# The stream, where the hub's options do not name another.
STREAM = "akurai"

# What the clocks of the two nodes are off, in seconds; the second one reads late.
OFFSETS = [(3600, -3600), (120, -120), (50, -50), (-120, 120), (-3600, 3600)]
STEPS = [0, -3600, 3600, -120, 120, -50]


def preloaded():
    """libfaketime, as Debian has it."""
    for path in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"):
        return str(path)
    raise Failed("there is no libfaketime: install Debian's package faketime")


class Clock:
    """A clock that a node is given. It may be set while the node runs, and what measures waits is not changed."""

    def __init__(self, arguments, name, offset=0):
        self.path = arguments.out / f"clock-{name}"
        self.set(offset)
        self.environment = {
            "LD_PRELOAD": preloaded(),
            "FAKETIME_TIMESTAMP_FILE": str(self.path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset):
        part = self.path.with_suffix(".part")
        part.write_text(f"{offset:+d}\n")
        os.replace(part, self.path)
        self.offset = offset

    def is_told(self, node):
        """Whether the node's answers have that time: so that nothing is shown by a clock that is right."""
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/blank")
            date = email.utils.parsedate_to_datetime(connection.getresponse().headers["Date"])
        return abs(date.timestamp() - time.time() - self.offset) < 10


class Moving:
    """Eight clients that move between two nodes, of which the second one reads late. Events are published at the first."""

    def __init__(self, arguments, redis, clocks):
        self.clocks = clocks
        with contextlib.ExitStack() as stack:
            self.late = stack.enter_context(Late(redis.port, LATE_SECONDS))
            places = zip("ab", (redis.url, self.late.url), clocks)
            self.nodes = [
                stack.enter_context(Node(arguments, name, url, environment=clock.environment)) for name, url, clock in places
            ]
            ports = [node.port for node in self.nodes]
            # They begin where they move least, and at different times.
            self.movers = [Mover(ports[at % 2 :] + ports[: at % 2], 20 + 3 * at) for at in range(MOVERS)]
            for mover in self.movers:
                stack.callback(mover.end)
            wait_until("all follow", lambda: all(mover.cursor for mover in self.movers))
            self.publisher = Publisher(ports[:1])
            stack.callback(self.publisher.end)
            self.stack = stack.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def clocks_are_told(self):
        return all(clock.is_told(node) for clock, node in zip(self.clocks, self.nodes))

    def gather(self):
        """Cuts the late node off from Redis, and waits until all clients are there, ahead of it. Whether they stay and get
        heartbeats."""
        self.late.open.clear()
        wait_until("all clients are there", lambda: all(mover.port == self.nodes[1].port for mover in self.movers))
        self.publisher.hold()
        at = [mover.opens for mover in self.movers]
        beats = 0
        for _ in range(BEATS):
            since = time.monotonic()
            with contextlib.suppress(Failed):
                wait_until("heartbeats", lambda: all(mover.last_byte > since for mover in self.movers), 10)
                beats += 1
        return beats == BEATS and at == [mover.opens for mover in self.movers]

    def end(self, checks, name, each=0):
        """Publishes the rest, and judges what each client has got: so many resets, and but for them everything once."""
        self.publisher.total = EVENTS
        self.publisher.reach(EVENTS)
        published = self.publisher.end()
        last = max(published.ids)
        has_last = lambda mover: any(number == last for _, number in mover.got[-20:])
        with contextlib.suppress(Failed):
            wait_until("all have the last", lambda: all(map(has_last, self.movers)))
        resets = sum(mover.resets for mover in self.movers)
        twice = lost = 0
        for mover in self.movers:
            numbers = [number for kind, number in mover.got if kind != "reset"]
            twice += len(numbers) - len(set(numbers))
            lost += len(set(published.ids) - set(numbers))
        wrong = [what for mover in self.movers for what in account(list(mover.got), published, 0, last)]
        moves = sum(mover.opens - 1 for mover in self.movers)
        checks.that(
            not wrong and not twice and {mover.resets for mover in self.movers} == {each}
            and (each or not lost) and not published.failed and moves >= MOVERS,
            f"{name}: {MOVERS} clients moved {moves} times while {len(published.ids)} events came: {resets} resets, "
            f"{twice} twice, {lost} missing" + "".join(f"\n    {what}" for what in wrong[:4]),
        )


def clocks(arguments, checks):
    """No clock of a node decides what a client is told: only the stream's own ids do."""
    for offsets in OFFSETS:
        given = [Clock(arguments, name, offset) for name, offset in zip("ab", offsets)]
        with Redis(arguments.out, "redis") as redis, Moving(arguments, redis, given) as moving:
            checks.that(moving.clocks_are_told(), f"the nodes' clocks are off by {offsets} s", quiet=True)
            moving.end(checks, f"clocks off by {offsets[0]:+d} s and, with what reads late, {offsets[1]:+d} s")

    given = [Clock(arguments, name) for name in "ab"]
    with Redis(arguments.out, "redis") as redis, Moving(arguments, redis, given) as moving:
        told = []
        steps = list(itertools.product(STEPS, reversed(range(2))))
        for at, (offset, which) in enumerate(steps):
            given[which].set(offset)
            told.append(given[which].is_told(moving.nodes[which]))
            moving.publisher.reach(EVENTS * (at + 1) // (len(steps) + 1))
        checks.that(all(told), f"the nodes' clocks step: {told}", quiet=True)
        moving.end(checks, f"clocks that step {len(steps)} times while the nodes run")

    given = [Clock(arguments, name) for name in "ab"]
    with Redis(arguments.out, "redis") as redis, Moving(arguments, redis, given) as moving:
        moving.publisher.reach(EVENTS // 4)
        moving.publisher.hold()
        # Redis goes on from there: an id is never before the last one.
        ahead = f"{(int(time.time()) + 3600) * 1000}-0"
        redis.ask("XADD", STREAM, ahead, "topic", "elsewhere", "event", "", "data", "ahead", "key", "another-0")
        moving.publisher.go_on(0)
        moving.end(checks, "an entry with an id that is an hour ahead")


def early(arguments, checks):
    """Clients who come to a node with what it cannot read yet wait there, and are told what is true when it can."""
    for emptied in (False, True):
        given = [Clock(arguments, name) for name in "ab"]
        with Redis(arguments.out, "redis") as redis, Moving(arguments, redis, given) as moving:
            moving.publisher.reach(EVENTS // 4)
            checks.that(moving.gather(), f"all {MOVERS} clients wait at a node that is cut off from Redis, and get heartbeats")
            if emptied:
                redis.ask("FLUSHALL")
            moving.publisher.go_on(0)
            moving.publisher.reach(EVENTS // 2)
            moving.late.open.set()
            moving.end(checks, f"back from there, the stream {'emptied meanwhile' if emptied else 'as it was'}", each=int(emptied))

    with Redis(arguments.out, "redis") as redis, Scene(arguments, checks, redis.url) as scene:
        told = []
        for busy in (True, False):
            if not busy:
                scene.publisher.hold()
            for node in scene.nodes:
                foreign = Follower(node.port, f"{(int(time.time()) + 3600) * 1000}-0")
                scene.stack.callback(foreign.end)
                with contextlib.suppress(Failed):
                    wait_until("it is told", lambda: foreign.resets)
                told.append(foreign)
        scene.publisher.go_on(0)
        scene.publisher.reach(scene.publisher.next + 100)
        wait_until("all go on", lambda: all(f.got and f.got[-1][0] != "reset" for f in told))
        resets = [follower.resets for follower in told]
        checks.that(resets == [1] * 4, f"clients with an id of another Redis, at both nodes, busy and idle: resets {resets}")


def deletions(arguments, checks):
    """XDEL of the newest entry is no loss to those who have it."""
    with Redis(arguments.out, "redis") as redis, Scene(arguments, checks, redis.url) as scene:
        publisher, followers, gone = scene.publisher, scene.followers, []

        def delete():
            ((entry, fields),) = redis.ask("XREVRANGE", STREAM, "+", "-", "COUNT", 1)
            gone.append(int(fields[fields.index("data") + 1]))
            redis.ask("XDEL", STREAM, entry)

        def calm():
            publisher.hold()
            last = max(publisher.published.ids)
            wait_until("all have the last", lambda: all(f.got[-1][1] == last for f in followers))

        def settle():
            # A node's next look has been made when it has brought another event.
            reached = publisher.next
            publisher.go_on(0)
            publisher.reach(reached + 20)
            calm()

        calm()
        for entries in (1, 3):
            for _ in range(entries):
                delete()
            settle()
        delete()
        # A reader that comes back looks for what it had.
        redis.ask("CLIENT", "KILL", "TYPE", "normal")
        settle()
        publisher.go_on(0)
        for _ in range(20):
            delete()
            publisher.reach(publisher.next + 10)
        calm()
        for number in gone:
            # It may have been deleted before a node read it.
            publisher.published.failed[number] = "deleted"
            publisher.published.ids.pop(number, None)
        resets = [follower.resets for follower in followers]
        checks.that(resets == [0] * len(followers), f"the newest entry deleted, {len(gone)} times: resets {resets}")
        # And what is a loss is told, also by who stands on what was deleted.
        before = publisher.next
        delete()
        publisher.published.ids.pop(gone[-1], None)
        publisher.published.failed[gone[-1]] = "deleted"
        redis.ask("FLUSHALL")
        with contextlib.suppress(Failed):
            wait_until("all are told", lambda: all(f.resets == was + 1 for f, was in zip(followers, resets)), 10)
        told = [follower.resets - was for follower, was in zip(followers, resets)]
        checks.that(told == [1] * len(followers), f"FLUSHALL behind a deletion, told {told} times")
        publisher.go_on(0)
        publisher.reach(before + 100)
        scene.end("entries deleted, and FLUSHALL", [1])
