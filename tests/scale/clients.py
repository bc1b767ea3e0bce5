"""Publishers and followers over sockets, and the check of what the followers got."""

import bisect
import contextlib
import http.client
import itertools
import operator
import re
import socket
import threading
import time
from dataclasses import dataclass, field

from client import Client, EventStream, request


@dataclass
class Published:
    """The result for each number: its id, or why it may not be stored."""

    ids: dict = field(default_factory=dict)
    failed: dict = field(default_factory=dict)
    slowest_failure: float = 0.0


class Publisher(threading.Thread):
    """Publishes 0, 1, 2 … one after the other, to these nodes in turn. It does not repeat a publish
    that failed."""

    def __init__(self, ports, per_second=500, total=None):
        super().__init__(daemon=True)
        self.ports, self.pause, self.total = list(ports), 1 / per_second, total
        self.published = Published()
        self.next = 0
        self.over = threading.Event()
        self.held = threading.Event()
        self.start()

    def run(self):
        connections = {}
        due = time.monotonic()
        while not self.over.is_set() and self.next != self.total:
            if self.held.is_set():
                time.sleep(0.005)
                due = time.monotonic()
                continue
            number, port = self.next, self.ports[self.next % len(self.ports)]
            begun = time.monotonic()
            try:
                connection = connections.get(port) or http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                connections[port] = connection
                connection.request("POST", "/numbers", str(number))
                answer = connection.getresponse()
                text = answer.read().decode()
                if answer.status == 200:
                    self.published.ids[number] = text
                else:
                    self.published.failed[number] = text
            except (OSError, http.client.HTTPException) as error:
                connections.pop(port, None)
                self.published.failed[number] = repr(error)
            took = time.monotonic() - begun
            if number in self.published.failed:
                self.published.slowest_failure = max(self.published.slowest_failure, took)
            self.next += 1
            due = max(due + self.pause, time.monotonic() - 0.1)
            time.sleep(max(0, due - time.monotonic()))

    def reach(self, number, seconds=60):
        """Waits until this many publishes were tried."""
        deadline = time.monotonic() + seconds
        while self.next < number and self.is_alive():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.next} of {number} published")
            time.sleep(0.005)

    def go_on(self, seconds):
        """Lets it publish for this long."""
        self.held.clear()
        time.sleep(seconds)

    def hold(self):
        """Stops it between two events, until `go_on`."""
        self.held.set()
        while True:
            before = self.next
            time.sleep(0.1)
            if self.next == before:
                return

    def end(self):
        self.over.set()
        self.join(30)
        return self.published


class Follower(threading.Thread):
    """An EventSource that follows the standard: it reconnects with the id of the last event, to the
    same address."""

    def __init__(self, port, cursor="", got=(), path="/numbers"):
        super().__init__(daemon=True)
        self.port, self.cursor, self.path = port, cursor, path
        # (id, data) of an event, or ("reset", id).
        self.got = list(got)
        self.opens = 0
        self.last_byte = 0.0
        self.over = False
        self.socket = None
        self.start()

    def run(self):
        while not self.over:
            try:
                self.follow()
            except OSError:
                pass
            time.sleep(0.1)

    def follow(self):
        with Client(("127.0.0.1", self.port), wait=30) as client:
            self.socket = client.socket
            lines = [f"Last-Event-ID: {self.cursor}"] if self.cursor else []
            client.send(request("GET", self.path, lines))
            if client.head().status != 200:
                raise OSError("no stream")
            self.opens += 1
            stream = EventStream(self.cursor)
            # An event after the one at which it goes away has not come, as for a page that closes
            # its EventSource.
            while client.buffer or client.receive():
                self.last_byte = time.monotonic()
                for event in stream.feed(client.take(len(client.buffer))):
                    self.cursor = event.id
                    is_reset = event.kind == "reset"
                    self.got.append(("reset", event.id) if is_reset else (event.id, int(event.data)))
                    if self.goes_away():
                        return
                self.cursor = stream.last_id

    def goes_away(self):
        """Whether the client ends its connection after the events that it has got."""
        return False

    def numbers(self):
        return [number for kind, number in self.got if kind != "reset"]

    @property
    def resets(self):
        return sum(1 for kind, _ in self.got if kind == "reset")

    def leave(self):
        """Loses its connection, and reconnects."""
        if self.socket is not None:
            try:
                self.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def end(self):
        self.over = True
        self.leave()
        self.join(30)


class Mover(Follower):
    """Moves to the next node at once, each time it has got this many events."""

    def __init__(self, ports, events, first=0):
        self.ports, self.events = itertools.cycle(ports), events
        for _ in range(first % len(ports)):
            next(self.ports)
        super().__init__(next(self.ports))

    def run(self):
        while not self.over:
            self.due = len(self.got) + self.events
            try:
                self.follow()
            except OSError:
                time.sleep(0.1)
            self.port = next(self.ports)

    def goes_away(self):
        return len(self.got) >= self.due


class Loader(Mover):
    """A page that is loaded repeatedly. It shows a node's `/history`, and continues with a stream
    of the next node."""

    def __init__(self, ports, events, first=0):
        # The events of each page: its history, and its stream's events.
        self.pages = []
        super().__init__(ports, events, first)

    def run(self):
        while not self.over:
            try:
                self.load()
                self.follow()
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)

    def load(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/history/numbers")
            self.cursor, *lines = connection.getresponse().read().decode().splitlines()
        self.got = [(event_id, int(number)) for event_id, number in map(str.split, lines)]
        self.pages.append(self.got)
        self.due = len(self.got) + self.events
        self.port = next(self.ports)


def account(got, published, first, last):
    """What is wrong with one client's events: `[]` if every acknowledged number from `first` to
    `last` came, in order and once, or a reset stands where it is missing. A number whose publish
    failed may have come, once, in its place or later: a server that was stopped takes the commands
    that wait in its connections in any order."""
    wrong = []
    late = set(published.failed)
    expected = first
    reset = False
    ids = []
    for kind, number in got:
        if kind == "reset":
            reset = True
            continue
        if number < expected and number in late:
            late.remove(number)
            ids.append(kind)
            continue
        if number < expected:
            wrong.append(f"{number} came when {expected} was due")
            continue
        missing = [n for n in range(expected, number) if n in published.ids]
        if missing and not reset:
            wrong.append(f"lost silently: {missing[0]}…{missing[-1]} ({len(missing)})")
        if number in published.ids and published.ids[number] != kind:
            wrong.append(f"{number} came as {kind}, and was published as {published.ids[number]}")
        late.discard(number)
        ids.append(kind)
        reset = False
        expected = number + 1
    missing = [n for n in range(expected, last + 1) if n in published.ids]
    if missing and not reset:
        wrong.append(f"lost silently at the end: {missing[0]}…{missing[-1]} ({len(missing)})")
    keys = [tuple(map(int, re.fullmatch(r"(\d+)-(\d+)", one).groups())) for one in ids]
    if keys != sorted(set(keys)):
        wrong.append("ids do not grow")
    return wrong


def account_of_ids(ids, resets, order):
    """The same for many events, whose ids are numbers. `resets` has, for each reset, how many
    events came before it; `order` is the expected order. Counts events that were lost silently,
    that came twice or out of order, resets where something is missing, and resets where nothing
    is."""
    had = set(ids)
    twice = max(len(ids) - len(had), sum(map(operator.le, ids[1:], ids)))
    # Before its first event the server owes a client nothing, unless it reported a loss there.
    begin = 0 if 0 in resets or not ids else bisect.bisect_left(order, ids[0])
    if not resets and list(ids) == order[begin:]:
        return 0, twice, 0, 0
    lost, excused = 0, set()
    for id in order[begin:]:
        if id in had:
            continue
        # A reset must stand where the missing event should have been.
        place = bisect.bisect_left(ids, id)
        if place in resets:
            excused.add(place)
        else:
            lost += 1
    told = sum(place in excused for place in set(resets))
    return lost, twice, told, len(resets) - told


def account_of_ids_holds():
    order = [10, 20, 30, 40, 50]
    judge = lambda ids, resets=(): account_of_ids(ids, list(resets), order)
    return (
        judge(order) == (0, 0, 0, 0)
        and judge(order[1:]) == (0, 0, 0, 0)
        and judge([10, 20, 40, 50]) == (1, 0, 0, 0)
        and judge([10, 20, 30]) == (2, 0, 0, 0)
        and judge([10, 20, 40, 50], [2]) == (0, 0, 1, 0)
        and judge([10, 20, 40, 50], [2, 2]) == (0, 0, 1, 1)
        and judge([10, 20, 40, 50], [3]) == (1, 0, 0, 1)
        and judge(order, [5]) == (0, 0, 0, 1)
        and judge([10, 20, 20, 30, 40, 50]) == (0, 1, 0, 0)
        and judge([10, 30, 20, 40, 50])[1] == 1
    )


def account_holds():
    """Whether the checks find the errors that they must find, and no others."""
    published = Published({n: f"{n}-0" for n in range(6) if n != 3}, {3: "refused"})
    whole = [(f"{n}-0", n) for n in range(6) if n != 3]
    gap = [one for one in whole if one[1] != 2]
    fine = [whole, whole[:3] + [("3-0", 3)] + whole[3:], gap[:2] + [("reset", "1-1")] + gap[2:], whole[:4] + [("reset", "4-1")]]
    fine.append(whole[:4] + [("4-1", 3)] + whole[4:])
    wrong = [
        gap,
        whole[:4],
        whole[1:],
        whole[:2] + whole[1:],
        [whole[1], whole[0], *whole[2:]],
        [("reset", "0-0")] + whole[:1] + gap[1:],
        [("7-7", 0)] + whole[1:],
        whole[:3] + [("3-0", 3), whole[3], ("4-1", 3)] + whole[4:],
        whole[:4] + [("4-1", 3), ("4-2", 3)] + whole[4:],
    ]
    judge = lambda got: account(got, published, 0, 5)
    return not any(map(judge, fine)) and all(map(judge, wrong)) and account_of_ids_holds()
