"""A million events, eight clients that move, and both nodes killed in turn."""

import array
import http.client
import re
import selectors
import socket
import threading
import time

from clients import account_of_ids
from clocks import Clock
from process import Failed
from processes import Node, Redis

EVENTS = 1_000_000
CLIENTS = 8
BATCH = 1_000
# Publishers wait for a client that is further behind. With the events under way, this is less than
# the 20,000 events that a node keeps.
WINDOW = 10_000
# How many events are published while a node is killed: more than it keeps.
WITHOUT = 30_000
KILLS = 4
# The longest time without any event, also on a very busy machine.
SECONDS = 60
# How wrong the nodes' clocks are, in seconds.
OFFSETS = (3600, -120)

EVENT = re.compile(rb"data: (\d+)\nid: (\d+)-(\d+)\n\n")


class Numbers:
    """Publishes 0, 1, 2 … in batches, a thread for each node, as far as `may` allows. It does not
    repeat a publish that a node did not acknowledge."""

    def __init__(self):
        self.lock = threading.Lock()
        self.next, self.may, self.over = 0, 0, False
        # The id of each number, or 0.
        self.ids = array.array("Q", bytes(8 * (EVENTS + (KILLS + 2) * 2 * BATCH)))
        self.acknowledged = 0
        self.threads = []

    def publish_at(self, node):
        thread = threading.Thread(target=self._run, args=(node,), daemon=True)
        self.threads.append(thread)
        thread.start()

    def end(self):
        self.over = True
        for thread in self.threads:
            thread.join(30)

    def _batch(self):
        with self.lock:
            first = self.next
            if self.acknowledged >= EVENTS or first + BATCH > min(self.may, len(self.ids)):
                return None
            self.next += BATCH
            return first

    def _run(self, node):
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
        try:
            while not self.over:
                first = self._batch()
                if first is None:
                    time.sleep(0.001)
                    continue
                connection.request("POST", "/batch/numbers", f"{first} {BATCH}")
                lines = connection.getresponse().read().split(b"\n")
                with self.lock:
                    for line in lines[:-1]:
                        number, ms, seq = re.split(b"[ -]", line)
                        self.ids[int(number)] = packed(ms, seq)
                    self.acknowledged += len(lines) - 1
        except (OSError, http.client.HTTPException):
            # The node was killed. Redis may have stored events that it did not acknowledge.
            pass
        finally:
            connection.close()


def packed(ms, seq):
    """An id as one number. Redis adds fewer than 2²⁰ entries in a millisecond."""
    return int(ms) << 20 | int(seq)


class Walker:
    """An EventSource that moves to the other node each time it has got this many events, and when
    its node is gone."""

    def __init__(self, crowd, at, events):
        self.crowd, self.at, self.events = crowd, at, events
        self.ids, self.numbers = array.array("Q"), array.array("I")
        # How many events it had at each reset.
        self.resets = []
        self.cursor, self.newest, self.opens = b"", -1, 0
        self.socket = None
        self.go_on()

    def go_on(self):
        """Opens its stream at its node, or at the other if its node is gone."""
        self.close()
        for _ in self.crowd.ports:
            port = self.crowd.ports[self.at % len(self.crowd.ports)]
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
                break
            except OSError:
                self.at += 1
        else:
            raise Failed("no node takes a client")
        line = b"Last-Event-ID: %s\r\n" % self.cursor if self.cursor else b""
        self.socket.sendall(b"GET /numbers HTTP/1.1\r\nHost: t\r\n%s\r\n" % line)
        self.socket.setblocking(False)
        self.crowd.selector.register(self.socket, selectors.EVENT_READ, self)
        self.buffer, self.head, self.opens = b"", True, self.opens + 1
        self.due = len(self.ids) + self.events

    def close(self):
        if self.socket is not None:
            self.crowd.selector.unregister(self.socket)
            self.socket.close()
            self.socket = None

    def take(self):
        try:
            data = self.socket.recv(256 * 1024)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # The same node may have ended the stream, because the client read too slowly.
            self.go_on()
            return
        self.buffer += data
        if self.head:
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 200 " not in head.partition(b"\r\n")[0]:
                self.at += 1
                self.go_on()
                return
            self.head, self.buffer = False, rest
        blocks, end, rest = self.buffer.rpartition(b"\n\n")
        if end:
            self.buffer = rest
            self.read(blocks + end)
            if len(self.ids) >= self.due:
                self.at += 1
                self.leave()

    def leave(self):
        self.go_on()

    def read(self, blocks):
        """Whole blocks of the stream."""
        before, reset, after = blocks.partition(b"event: reset\n")
        found = EVENT.findall(before)
        if found:
            self.ids.extend([packed(ms, seq) for _, ms, seq in found])
            self.numbers.extend([int(number) for number, _, _ in found])
            self.newest = max(self.newest, self.numbers[-1])
        if reset:
            self.resets.append(len(self.ids))
            _, _, after = after.partition(b"\n\n")
        line = blocks.rfind(b"id: ")
        if line >= 0:
            self.cursor = blocks[line + 4 : blocks.index(b"\n", line)]
        if after:
            self.read(after)


class Sleeper(Walker):
    """Stays away each time until its next event is gone."""

    # It reconnects when this many events are acknowledged; and how often it did.
    wakes_at, naps = None, 0

    def leave(self):
        acknowledged = self.crowd.numbers.acknowledged
        if acknowledged + 2 * WITHOUT > EVENTS:
            return self.go_on()
        self.close()
        self.wakes_at = acknowledged + WITHOUT

    def wake(self):
        if self.wakes_at is not None and self.crowd.numbers.acknowledged >= self.wakes_at:
            self.wakes_at = None
            self.naps += 1
            self.go_on()


class Crowd:
    def __init__(self, ports, numbers):
        self.ports, self.numbers = ports, numbers
        self.selector = selectors.DefaultSelector()


def million(arguments, checks):
    numbers = Numbers()
    with Redis(arguments.out, "redis") as redis:
        given = zip("ab", OFFSETS)
        clocks = [Clock(arguments, name, offset).environment for name, offset in given]
        start = lambda at, port=0: Node(
            arguments, "ab"[at], redis.url, port=port, environment=clocks[at]
        )
        nodes = [start(at) for at in range(2)]
        crowd = Crowd([node.port for node in nodes], numbers)
        walkers = [Walker(crowd, at, 4_000 + 700 * at) for at in range(CLIENTS)]
        sleeper = Sleeper(crowd, 0, 50_000)

        def until(what, condition):
            so_far, deadline = None, 0
            while not condition():
                reached = numbers.acknowledged, min(walker.newest for walker in walkers)
                if reached != so_far:
                    so_far, deadline = reached, time.monotonic() + SECONDS
                if time.monotonic() > deadline:
                    so_far = f"{numbers.acknowledged} events are acknowledged"
                    raise Failed(f"nothing came for {SECONDS} s: {what}, {so_far}")
                for key, _ in crowd.selector.select(0.05):
                    key.data.take()
                numbers.may = min(walker.newest for walker in walkers) + WINDOW
                sleeper.wake()

        try:
            until("all follow", lambda: all(one.cursor for one in [*walkers, sleeper]))
            for node in nodes:
                numbers.publish_at(node)
            killed = 0
            while killed < KILLS:
                at, due = killed % 2, EVENTS * (killed + 1) // (KILLS + 1)
                until("a node's time", lambda: numbers.acknowledged >= due)
                nodes[at].kill()
                killed += 1
                until("the other goes on", lambda: numbers.acknowledged >= due + WITHOUT)
                nodes[at] = start(at, nodes[at].port)
                numbers.publish_at(nodes[at])
            until("a million", lambda: numbers.acknowledged >= EVENTS)
            numbers.end()
            last = max(numbers.ids)
            settled = time.monotonic() + 30
            have_last = lambda: all(one.ids[-1] >= last for one in [*walkers, sleeper])
            until("all have the last", lambda: have_last() or time.monotonic() > settled)
        finally:
            numbers.end()
            for one in [*walkers, sleeper]:
                one.close()
            for node in nodes:
                node.kill()
    judge(checks, numbers, walkers, sleeper)


def judge(checks, numbers, walkers, sleeper):
    published = {id: number for number, id in enumerate(numbers.ids) if id}
    # An event that was not acknowledged, but that a client got, was stored: every client should get
    # it.
    order = dict(published)
    for one in [*walkers, sleeper]:
        order.update(zip(one.ids, one.numbers))
    others = sum(order[id] != number for id, number in published.items())
    order = sorted(order)
    accounts = [account_of_ids(walker.ids, walker.resets, order) for walker in walkers]
    lost, twice, told, false = (sum(column) for column in zip(*accounts))
    moves = sum(walker.opens - 1 for walker in walkers)
    checks.that(
        lost == twice == told == false == others == 0
        and len(published) >= EVENTS and moves >= CLIENTS * 10,
        f"{len(published)} events acknowledged and {len(order) - len(published)} more kept, "
        f"{KILLS} times a node killed, {CLIENTS} clients moved {moves} times: {lost} lost, "
        f"{twice} twice or out of order, {others} under another id, {told + false} resets",
    )
    lost, twice, told, false = account_of_ids(sleeper.ids, sleeper.resets, order)
    checks.that(
        lost == twice == false == 0 and 0 < told <= sleeper.naps,
        f"one more stayed away {sleeper.naps} times, until its next event was gone: "
        f"{told} resets where events are missing, {false} where none is, {lost} lost without one, "
        f"{twice} twice or out of order",
    )
