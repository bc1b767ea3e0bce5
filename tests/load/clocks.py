"""A wall clock that steps while the demo runs: over the ends of 32-bit seconds, back over a leap
second, by hours and by decades, and to before 1970. The demo's waits are by another clock."""

import email.utils
import json
import random
import threading
import time
from datetime import datetime, timezone

from client import TEXT, Client, Closed, EventStream, request
from demo import Demo
from faked_clock import FakedClock
from process import MIB, Failed, wait_until

# Steps of the clock: by so many seconds, or to this many seconds since 1970.
HOURS = {"on time": 0, "5 h ahead": 5 * 3600, "5 h back": -5 * 3600}
MOMENTS = {
    "over the end of 31-bit seconds, in 2038": (1 << 31) - 3,
    "over the end of 32-bit seconds, in 2106": (1 << 32) - 3,
    "over the leap second at the end of 2016": 1_483_228_797,
    "a leap day, 2400-02-29": 13_574_563_200,
    "over the end of 9999": 253_402_300_796,
    "over the beginning of 1970": -3,
    "a year before 1970": -86_400 * 365,
    "a leap day, 2000-02-29": 951_782_400,
}
# How long each lasts, so that the clock passes what it stands before.
MOMENT_SECONDS = 4.5
EVENT_SECONDS = 0.1
FILE_BYTES = 4 * MIB
SEED = 1
# The clock also steps by a day so many times, in a few seconds.
DAYS = 400
DAY_SECONDS = 86_400
PING, PONG = 9, 10
# The last that a Date can show: the end of 9999.
LAST_SECOND = 253_402_300_799


class Follower(threading.Thread):
    """An EventSource that never leaves, and counts how often it had to come back."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.got, self.opens, self.resets = address, [], 0, 0
        self.last_id, self.over = "", threading.Event()
        self.start()

    def run(self):
        while not self.over.is_set():
            self.opens += 1
            with Client(self.address, wait=60) as self.client:
                lines = [f"Last-Event-ID: {self.last_id}"] if self.last_id else []
                self.client.send(request("GET", "/api/chat/events", lines))
                try:
                    if self.client.head().status == 200:
                        self.follow(self.client)
                except OSError:
                    pass

    def follow(self, client):
        stream = EventStream(self.last_id)
        while client.buffer or client.receive():
            for event in stream.feed(client.take(len(client.buffer))):
                if event.kind == "reset":
                    self.resets += 1
                elif event.kind == "chat":
                    ms, _, sequence = event.id.partition("-")
                    self.got.append(((int(ms), int(sequence)), int(json.loads(event.data)["text"])))
            self.last_id = stream.last_id

    def leave(self):
        """Loses its connection, and comes back."""
        self.client.socket.shutdown(2)


class Speaker(threading.Thread):
    """A member of the room, on one WebSocket, which says 1, 2, 3 …"""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.heard, self.error = address, 0, None
        self.over = threading.Event()
        self.start()

    def say(self, client):
        number = self.heard + 1
        client.send_frame(TEXT, str(number).encode())
        while self.heard < number:
            opcode, payload = client.frame()
            if opcode == TEXT:
                self.heard = int(json.loads(payload)["text"])

    def run(self):
        try:
            with Client(self.address, wait=60) as client:
                client.upgrade("/api/chat?name=near")
                while not self.over.wait(EVENT_SECONDS):
                    self.say(client)
        except OSError as error:
            self.error = repr(error)


class SlowDownload(threading.Thread):
    """A download that lasts as long as everything else."""

    def __init__(self, address, body, seconds):
        super().__init__(daemon=True)
        self.address, self.body, self.pause = address, body, seconds / 64
        self.error = "did not end"
        self.start()

    def run(self):
        try:
            with Client(self.address, wait=60, receive_buffer=64 * 1024) as client:
                client.send(request("GET", "/files/clocks"))
                size = int(client.head().first("content-length"))
                taken = b""
                while len(taken) < size:
                    taken += client.take(min(size - len(taken), FILE_BYTES // 64))
                    time.sleep(self.pause)
                if taken != self.body:
                    raise Closed("another body")
            self.error = None
        except OSError as error:
            self.error = repr(error)


def at_moment(checks, clock, kept, name, offset):
    """Sets the clock, and looks at what the answers say of the time."""
    clock.set(offset)
    begun, wrong, dates = time.monotonic(), [], []
    while time.monotonic() < begun + MOMENT_SECONDS:
        kept.send(request("GET", "/files/clocks", ["Range: bytes=0-0"]))
        answer = kept.answer()
        dates.append(seconds_of(answer, "date"))
        due = min(max(time.time() + offset, 0), LAST_SECOND)
        # A file is never newer than its answer (RFC 9110 §8.8.2.1).
        is_newer = (
            answer.first("last-modified") is not None
            and seconds_of(answer, "last-modified") > dates[-1]
        )
        if answer.status != 206 or abs(dates[-1] - due) > 3 or is_newer:
            wrong.append((answer.status, answer.first("date"), answer.first("last-modified")))
        time.sleep(0.2)
    shown = datetime.fromtimestamp(dates[-1], timezone.utc)
    what = f"clocks: {name}: {len(dates)} answers, the last of {shown:%Y-%m-%d %H:%M:%S}"
    checks.that(not wrong, f"{what} {wrong[:2] or ''}".rstrip())


def seconds_of(answer, name):
    return email.utils.parsedate_to_datetime(answer.first(name)).timestamp()


class Silent(threading.Thread):
    """A WebSocket that only answers pings."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.client = Client(address, wait=60)
        self.client.upgrade("/api/ws")
        self.pings, self.said = 0, None
        self.start()

    def run(self):
        with self.client:
            while self.said is None:
                opcode, payload = self.client.frame()
                if opcode == PING:
                    self.pings += 1
                    self.client.send_frame(PONG, payload)
                else:
                    self.said = opcode, payload

    def is_there(self):
        self.client.send_frame(TEXT, b"still there")
        self.join(30)
        return self.said == (TEXT, b"still there")


def check(arguments, checks):
    files = arguments.out / "files"
    files.mkdir(exist_ok=True)
    body = random.Random(SEED).randbytes(FILE_BYTES)
    (files / "clocks").write_bytes(body)
    clock = FakedClock(arguments.out / "clock")
    # A leap second is a second that comes twice.
    steps = {**HOURS, **MOMENTS, "a second back": -1, "on time again": 0}
    seconds = len(steps) * MOMENT_SECONDS
    with Demo(arguments, files, environment=clock.environment) as demo:
        start = demo.warm()
        speaker, silent = Speaker(demo.address), Silent(demo.address)
        follower, comes_back = Follower(demo.address), Follower(demo.address)
        download = SlowDownload(demo.address, body, seconds * 0.8)
        with Client(demo.address, wait=60) as kept:
            wait_until("all follow", lambda: follower.got and comes_back.got)
            for name, step in steps.items():
                offset = round(step - time.time()) if name in MOMENTS else step
                at_moment(checks, clock, kept, name, offset)
                comes_back.leave()
            for day in range(DAYS):
                clock.set(day * DAY_SECONDS)
                time.sleep(2 * EVENT_SECONDS / 10)
            clock.set(0)
        answered = silent.is_there()
        speaker.over.set()
        speaker.join(60)
        for one in (follower, comes_back):
            try:
                wait_until("it has the last", lambda: one.got[-1][1] == speaker.heard, 30)
            except Failed:
                pass
            one.over.set()
        download.join(60)
        checks.that(
            answered and not speaker.error,
            f"clocks: WebSockets stay, one that speaks and one that answered {silent.pings} pings "
            f"{speaker.error or ''}".rstrip(),
        )
        for what, one, opens in (
            ("that stays", follower, 1),
            ("that comes back after each step", comes_back, len(steps) + 1),
        ):
            ids, numbers = [id for id, _ in one.got], [number for _, number in one.got]
            whole = numbers == list(range(numbers[0], speaker.heard + 1)) and ids == sorted(
                set(ids)
            )
            span = (ids[-1][0] - ids[0][0]) / 86_400_000
            checks.that(
                whole and not one.resets and one.opens == opens,
                f"clocks: the EventSource {what} has {len(ids)} events once and in order over "
                f"{span:.0f} days of ids, "
                f"{one.opens} connections, {one.resets} resets",
            )
            one.leave()
        checks.that(
            download.error is None,
            f"clocks: a download under way all the time is whole {download.error or ''}".rstrip(),
        )
        after, waited = demo.wait_until_back_at(start, 30)
        checks.that(
            after.is_back_at(start), f"clocks: {waited:.1f} s after the last client left: {after}"
        )
