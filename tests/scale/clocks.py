"""Nodes whose clocks are wrong, clients that move between nodes, and entries that are deleted."""

import contextlib
import email.utils
import itertools
import time

from cases import Scene
from client import ask
from clients import Follower, Mover, Publisher, account
from faked_clock import FakedClock
from process import Failed, wait_until
from processes import Late, Node, Redis

MOVERS = 8
EVENTS = 1_000
LATE_SECONDS = 0.03
# Heartbeats, one a second, while clients wait for a node that is cut off.
BEATS = 3
# The stream's default name in the hub's options.
STREAM = "akurai"

# How wrong the clocks of the two nodes are, in seconds. The second node reads late.
OFFSETS = [(3600, -3600), (120, -120), (50, -50), (-120, 120), (-3600, 3600)]
STEPS = [0, -3600, 3600, -120, 120, -50]


class Clock(FakedClock):
    """A node's clock."""

    def __init__(self, arguments, name, offset=0):
        super().__init__(arguments.out / f"clock-{name}", offset)

    def is_told(self, node):
        """Whether the node's answers have that time. If not, the case would prove nothing."""
        answer = ask(("127.0.0.1", node.port), "GET", "/blank")
        date = email.utils.parsedate_to_datetime(answer.first("date"))
        return abs(date.timestamp() - time.time() - self.offset) < 10


class Moving:
    """Eight clients that move between two nodes. The second node reads late; events are published
    at the first."""

    def __init__(self, arguments, redis, clocks):
        self.clocks = clocks
        with contextlib.ExitStack() as stack:
            self.late = stack.enter_context(Late(redis.port, LATE_SECONDS))
            self.nodes = [
                stack.enter_context(Node(arguments, name, url, environment=clock.environment))
                for name, url, clock in zip("ab", (redis.url, self.late.url), clocks)
            ]
            self.ports = [node.port for node in self.nodes]
            # Half of them begin at each node, and no two of them move at the same moment.
            self.movers = [Mover(self.ports, 20 + 3 * at, at) for at in range(MOVERS)]
            for mover in self.movers:
                stack.callback(mover.end)
            wait_until("all follow", lambda: all(mover.cursor for mover in self.movers))
            self.publisher = Publisher(self.ports[:1])
            stack.callback(self.publisher.end)
            self.stack = stack.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def clocks_are_told(self):
        return all(clock.is_told(node) for clock, node in zip(self.clocks, self.nodes))

    def gather(self):
        """Cuts the late node off from Redis and waits until all clients are there, ahead of it.
        Says whether they stay and get heartbeats."""
        self.late.open.clear()
        late = self.ports[1]
        wait_until("all clients are there", lambda: all(one.port == late for one in self.movers))
        self.publisher.hold()
        opens = [mover.opens for mover in self.movers]
        beats = 0
        for _ in range(BEATS):
            since = time.monotonic()
            beaten = lambda: all(mover.last_byte > since for mover in self.movers)
            with contextlib.suppress(Failed):
                wait_until("heartbeats", beaten, 10)
                beats += 1
        return beats == BEATS and opens == [mover.opens for mover in self.movers]

    def end(self, checks, name, each=0):
        """Publishes the rest and judges each client's events: this many resets, and every event
        once, unless a reset stands where it is missing."""
        self.publisher.total = EVENTS
        self.publisher.reach(EVENTS)
        published = self.publisher.end()
        last = max(published.ids)
        has_last = lambda mover: any(number == last for _, number in mover.got[-20:])
        with contextlib.suppress(Failed):
            wait_until("all have the last", lambda: all(map(has_last, self.movers)))
        resets = sum(mover.resets for mover in self.movers)
        twice = missing = 0
        wrong = []
        for mover in self.movers:
            numbers = mover.numbers()
            twice += len(numbers) - len(set(numbers))
            missing += len(set(published.ids) - set(numbers))
            wrong += account(list(mover.got), published, 0, last)
        moves = sum(mover.opens - 1 for mover in self.movers)
        checks.that(
            not wrong and not twice and (each or not missing) and not published.failed
            and {mover.resets for mover in self.movers} == {each} and moves >= MOVERS,
            f"{name}: {MOVERS} clients moved {moves} times while {len(published.ids)} events came: "
            f"{resets} resets, {twice} twice, {missing} missing"
            + "".join(f"\n    {what}" for what in wrong[:4]),
        )


def clocks(arguments, checks):
    """No node's clock decides what a client is told: only the stream's own ids do."""
    for ours, late in OFFSETS:
        given = [Clock(arguments, "a", ours), Clock(arguments, "b", late)]
        with Redis(arguments.out, "redis") as redis, Moving(arguments, redis, given) as moving:
            told = moving.clocks_are_told()
            checks.that(told, f"the nodes' clocks are off by {ours} and {late} s", quiet=True)
            moving.end(checks, f"clocks off by {ours:+d} s, and by {late:+d} s where reads are late")

    given = [Clock(arguments, name) for name in "ab"]
    with Redis(arguments.out, "redis") as redis, Moving(arguments, redis, given) as moving:
        told = []
        steps = list(itertools.product(STEPS, (1, 0)))
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
        # Redis continues from there, since its ids never go back.
        ahead = f"{(int(time.time()) + 3600) * 1000}-0"
        event = ["topic", "elsewhere", "event", "", "data", "ahead", "key", "another-0"]
        redis.ask("XADD", STREAM, ahead, *event)
        moving.publisher.go_on(0)
        moving.end(checks, "an entry with an id that is an hour ahead")


def early(arguments, checks):
    """A client may know more than the node that it comes to. It waits there until the node has
    caught up with it, or knows that its id is of another order."""
    for emptied in (False, True):
        given = [Clock(arguments, name) for name in "ab"]
        with Redis(arguments.out, "redis") as redis, Moving(arguments, redis, given) as moving:
            moving.publisher.reach(EVENTS // 4)
            stay = moving.gather()
            checks.that(stay, f"{MOVERS} clients wait at a node that is cut off from Redis")
            if emptied:
                redis.ask("FLUSHALL")
            moving.publisher.go_on(0)
            moving.publisher.reach(EVENTS // 2)
            moving.late.open.set()
            meanwhile = "emptied meanwhile" if emptied else "as it was"
            moving.end(checks, f"the node is back, the stream {meanwhile}", each=int(emptied))

    with Redis(arguments.out, "redis") as redis, Scene(arguments, checks, redis.url) as scene:
        strangers = []
        for busy in (True, False):
            if not busy:
                scene.publisher.hold()
            for node in scene.nodes:
                stranger = Follower(node.port, f"{(int(time.time()) + 3600) * 1000}-0")
                scene.stack.callback(stranger.end)
                strangers.append(stranger)
                with contextlib.suppress(Failed):
                    wait_until("it is told", lambda: stranger.resets)
        scene.publisher.go_on(0)
        scene.publisher.reach(scene.publisher.next + 100)
        with contextlib.suppress(Failed):
            wait_until("all go on", lambda: all(one.numbers() for one in strangers))
        resets = [one.resets for one in strangers]
        going = all(one.numbers() for one in strangers)
        checks.that(
            resets == [1] * 4 and going,
            f"clients with an id of another Redis, at both nodes, busy and idle: resets {resets}",
        )


def deletions(arguments, checks):
    """XDEL of the newest entry is no loss to clients that have it."""
    with Redis(arguments.out, "redis") as redis, Scene(arguments, checks, redis.url) as scene:
        publisher, followers, deleted = scene.publisher, scene.followers, []

        def delete():
            ((entry, fields),) = redis.ask("XREVRANGE", STREAM, "+", "-", "COUNT", 1)
            deleted.append(int(fields[fields.index("data") + 1]))
            redis.ask("XDEL", STREAM, entry)

        def calm():
            publisher.hold()
            for number in deleted:
                # Perhaps no node has read it before.
                publisher.published.failed[number] = "deleted"
                publisher.published.ids.pop(number, None)
            last = max(publisher.published.ids)
            wait_until("all have the last", lambda: all(f.got[-1][1] >= last for f in followers))

        def settle():
            # After a node has brought another event, it has looked again.
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
        # A reader that reconnects looks for its last entry.
        redis.ask("CLIENT", "KILL", "TYPE", "normal")
        settle()
        publisher.go_on(0)
        for _ in range(20):
            delete()
            publisher.reach(publisher.next + 10)
        calm()
        resets = [follower.resets for follower in followers]
        checks.that(
            resets == [0] * len(followers),
            f"the newest entry deleted, {len(deleted)} times: resets {resets}",
        )
        # A loss after a deletion is reported, too.
        delete()
        redis.ask("FLUSHALL")
        told = lambda: [follower.resets - was for follower, was in zip(followers, resets)]
        with contextlib.suppress(Failed):
            wait_until("all are told", lambda: all(told()), 10)
        checks.that(told() == [1] * len(followers), f"FLUSHALL behind a deletion: resets {told()}")
        settle()
        scene.end("entries deleted, and FLUSHALL", [1])
