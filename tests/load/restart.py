"""SIGHUP to the example `restart`, again and again under load: every process hands its listener to
the next one, and no client may lose a request, an event or a message."""

import os
import shutil
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from client import BINARY, CLOSE, TEXT, Client, Closed, EventStream, ask, request
from process import Failed, Process, free_port, wait_until

EACH = 100
SPEAKERS = 20
RESTARTS = 10
# Fewer where systemd has made the listener: the restarts are the same then.
RESTARTS_OF_SYSTEMD = 3
# Between two requests of one client.
PAUSE_SECONDS = 0.01
POST_SECONDS = 0.1
PING, PONG = 9, 10
GOING_AWAY = 1001


@dataclass
class Load:
    """What the clients share."""

    address: object
    over: threading.Event = field(default_factory=threading.Event)
    quiet: threading.Event = field(default_factory=threading.Event)
    said: dict = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, text):
        """The server has accepted this message, so every client must get it."""
        with self.lock:
            self.said[text] = None

    def texts(self):
        with self.lock:
            return list(self.said)

    def connect(self):
        while True:
            try:
                return Client(self.address)
            except BlockingIOError:
                # The queue of a Unix socket is full. TCP would try again by itself.
                time.sleep(0.01)


class Part(threading.Thread):
    """One client, which does the same again until the load is over."""

    def __init__(self, load, number):
        super().__init__(daemon=True)
        self.load, self.number = load, number
        self.error = None
        self.done = 0
        self.is_open = False

    def run(self):
        try:
            while not self.is_over():
                self.go()
        except Exception as error:
            if not self.load.over.is_set():
                self.error = f"{type(self).__name__} {self.number}, {self.done}: {error!r}"
                self.is_open = False

    def is_over(self):
        return self.load.over.is_set()


class Fresh(Part):
    """A connection for each request. None of them may fail."""

    def go(self):
        with self.load.connect() as client:
            client.send(request("GET", "/process", ["Connection: close"]))
            self.check(client.answer())
        time.sleep(PAUSE_SECONDS)

    def check(self, answer):
        if answer.status != 200 or not answer.body.isdigit():
            raise Closed(str(answer))
        self.done += 1


class Kept(Fresh):
    """A connection for many requests. A request may meet the end of its connection if that has had
    an answer and gives this one no byte; then it is sent again (RFC 9112 §9.3.1)."""

    repeated = 0

    def go(self):
        with self.load.connect() as client:
            for number in range(1000):
                try:
                    client.send(request("GET", "/process"))
                    answer = client.answer()
                except (Closed, ConnectionError):
                    if number == 0 or client.buffer:
                        raise
                    self.repeated += 1
                    return
                self.check(answer)
                if answer.closes() or self.load.over.is_set():
                    return
                time.sleep(PAUSE_SECONDS)


class Poster(Part):
    """Posts messages, which must not be sent twice: so none of these requests may fail."""

    def go(self):
        text = f"post {self.number} {self.done}"
        with self.load.connect() as client:
            lines = ["Connection: close", f"Content-Length: {len(text)}"]
            client.send(request("POST", "/news", lines) + text.encode())
            answer = client.answer()
            if answer.status != 200:
                raise Closed(str(answer))
        self.load.say(text)
        self.done += 1
        self.load.quiet.wait(POST_SECONDS)

    def is_over(self):
        return self.load.quiet.is_set()


class Stream(Part):
    """An event stream that comes back with the id of its last event."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.last_id = ""
        self.texts = {}

    def go(self):
        with self.load.connect() as client:
            lines = [f"Last-Event-ID: {self.last_id}"] if self.last_id else []
            client.send(request("GET", "/events", lines))
            head = client.head()
            if head.status != 200:
                raise Closed(str(head))
            self.is_open = True
            self.done += 1
            events = EventStream(self.last_id)
            chunked = head.first("transfer-encoding") == "chunked"
            while data := self.more(client, chunked):
                for event in events.feed(data):
                    self.take(event)
                self.last_id = events.last_id
            self.is_open = False
            if events.unread:
                raise Closed(f"ends within an event: {events.unread!r}")

    @staticmethod
    def more(client, chunked):
        if chunked:
            return client.chunk()
        return client.take(len(client.buffer)) if client.buffer or client.receive() else b""

    def take(self, event):
        if event.kind != "message" or event.data in self.texts:
            raise Closed(f"{event.kind}: {event.data!r}, after {len(self.texts)}")
        self.texts[event.data] = None

    def missing(self):
        return [text for text in self.load.texts() if text not in self.texts]


class Room(Part):
    """A WebSocket that comes back with the place that the server told it. Some of them speak."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.place = ""
        self.texts = {}
        self.again = 0

    def go(self):
        with self.load.connect() as client:
            client.upgrade(f"/room?after={self.place}")
            self.done += 1
            spoken = f"room {self.number} {self.done}"
            while True:
                opcode, payload = client.frame()
                if opcode == TEXT:
                    text = payload.decode()
                    self.again += text in self.texts
                    self.texts[text] = None
                    if text == spoken:
                        self.load.say(text)
                elif opcode == BINARY:
                    self.place = payload.decode()
                    self.is_open = True
                    # The first time, the others may not be there yet.
                    if self.number < SPEAKERS and self.done > 1:
                        client.send_frame(TEXT, spoken.encode())
                elif opcode == PING:
                    client.send_frame(PONG, payload)
                elif opcode == CLOSE:
                    self.is_open = False
                    if int.from_bytes(payload[:2], "big") != GOING_AWAY:
                        raise Closed(f"Close {payload!r}")
                    client.send_frame(CLOSE, payload)
                    client.rest()
                    return

    missing = Stream.missing


PARTS = {Fresh: 4, Kept: 4, Poster: 2, Stream: EACH, Room: EACH}


class Generations:
    """The program, whichever of its processes serves at the moment."""

    def __init__(self, address, program):
        self.address, self.program = address, program
        self.serving = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.kill()
        if self.serving and not self.is_gone(self.serving):
            os.kill(self.serving, signal.SIGKILL)

    def is_gone(self, pid):
        if pid == self.program.pid:
            return self.program.process.poll() is not None
        try:
            # The name before the last parenthesis may contain spaces.
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    def begin(self):
        """Waits until the first process serves."""
        self.program.come_up("it answers", self.answers)
        self.serving = self.process()

    def answers(self):
        try:
            return self.process()
        except OSError:
            return None

    def process(self):
        """The process that answers now."""
        return int(ask(self.address, "GET", "/process").body)

    def restart(self):
        old = self.serving
        os.kill(old, signal.SIGHUP)
        wait_until(f"process {old} makes room", lambda: self.process() != old)
        self.serving = self.process()
        wait_until(f"process {old} ends", lambda: self.is_gone(old), 60)

    def end(self):
        os.kill(self.serving, signal.SIGTERM)
        wait_until(f"process {self.serving} ends", lambda: self.is_gone(self.serving), 60)


def under_load(name, restarts, generations, checks):
    load = Load(generations.address)
    parts = [kind(load, number) for kind, count in PARTS.items() for number in range(count)]
    parked = [part for part in parts if isinstance(part, (Stream, Room))]
    generations.begin()
    # A hub whose engine has no event yet gives places that no later process can tell from lost
    # ones.
    ask(load.address, "POST", "/news", ["Content-Length: 0"])

    def is_settled():
        return all(part.is_open or part.error for part in parked)

    begun = time.monotonic()
    try:
        # A client gets the messages from its first connection on.
        for part in parked:
            part.start()
        wait_until("all clients are there", is_settled)
        for part in parts:
            if part not in parked:
                part.start()
        for _ in range(restarts):
            generations.restart()
            wait_until("all clients are back", is_settled)
        took = time.monotonic() - begun
        load.quiet.set()
        for part in parts:
            if isinstance(part, Poster):
                part.join()
        wait_until(
            "all messages are there",
            lambda: not any(part.missing() for part in parked if not part.error),
        )
    except Failed as error:
        errors = [part.error for part in parts if part.error]
        errors += [
            f"{type(part).__name__} lacks {part.missing()[:3]}" for part in parked if part.missing()
        ]
        checks.that(False, f"{name}: {error}, {len(errors)} clients fail {errors[:3]}")
        return
    finally:
        load.over.set()
    said = load.texts()
    for kind, what in [
        (Fresh, "requests on connections of their own are answered"),
        (Kept, "requests on kept connections are answered"),
        (Poster, "posts are answered"),
        (Stream, "event streams are opened"),
        (Room, "WebSockets are opened"),
    ]:
        ours = [part for part in parts if isinstance(part, kind)]
        bad = [part.error for part in ours if part.error]
        done = sum(part.done for part in ours)
        if kind is Kept:
            what += f", {sum(part.repeated for part in ours)} of them at the second try"
        if kind is Room:
            what += f", {sum(part.again for part in ours)} messages came twice"
        checks.that(not bad, f"{name}: {done} {what} {bad[:3] or ''}".strip())
    for kind, what in [
        (Stream, "event streams have each of them once"),
        (Room, "WebSockets have each of them"),
    ]:
        ours = [part for part in parts if isinstance(part, kind)]
        lost = [part.missing()[:3] for part in ours if part.missing()]
        checks.that(
            not lost and len(ours) == EACH,
            f"{name}: {len(said)} messages are said; {EACH - len(lost)} {what} "
            f"{lost[:3] or ''}".strip(),
        )
    checks.that(True, f"{name}: {restarts} restarts in {took:.1f} s")


def keeps_on_without_a_successor(program, generations, checks):
    """A successor that does not start costs nothing."""
    before = generations.serving
    good = program.with_suffix(".good")
    program.rename(good)
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    os.kill(before, signal.SIGHUP)
    log = generations.program.log
    wait_until("it says that it goes on", lambda: f"process {before} goes on" in log.read_text())
    checks.that(generations.process() == before, "restart: without a successor the process goes on")
    good.replace(program)


def takes_its_successor_along(program, generations, checks):
    """A process that is asked to end while its successor starts leaves none behind."""
    before = generations.serving
    good = program.with_suffix(".good")
    program.rename(good)
    begun, go = program.with_suffix(".begun"), program.with_suffix(".go")
    program.write_text(f'#!/bin/sh\necho $$ >"{begun}.part" && mv "{begun}.part" "{begun}"\n'
                       f'until [ -e "{go}" ]; do sleep 0.1; done\nexec "{good}" "$@"\n')
    program.chmod(0o755)
    for file in (begun, go):
        file.unlink(missing_ok=True)
    os.kill(before, signal.SIGHUP)
    wait_until("a successor starts", begun.exists)
    successor = int(begun.read_text())
    with Client(generations.address) as idle:
        idle.send(request("GET", "/process"))
        idle.answer()
        os.kill(before, signal.SIGTERM)
        idle.rest()  # It ends: the stop has begun.
    go.touch()
    wait_until(f"process {before} ends", lambda: generations.is_gone(before), 60)
    is_gone = generations.is_gone(successor)
    if not is_gone:
        os.kill(successor, signal.SIGKILL)
    checks.that(is_gone, "restart: a process that must end leaves no successor behind")


def check(arguments, checks):
    program = (arguments.out / "restart").resolve()
    shutil.copy(arguments.restart, program)
    log = arguments.out / "restart.log"
    log.unlink(missing_ok=True)
    redis = (arguments.out / "redis.sock").resolve()
    command = [
        "redis-server", "--port", "0", "--unixsocket", redis, "--save", "", "--dir",
        arguments.out.resolve(),
    ]
    with Process(command, arguments.out / "redis.log") as engine:
        engine.listens(str(redis))
        address = ("127.0.0.1", free_port())
        command = [program, f"127.0.0.1:{address[1]}", f"unix:{redis}"]
        with Generations(address, Process(command, log)) as generations:
            under_load("restart", RESTARTS, generations, checks)
            keeps_on_without_a_successor(program, generations, checks)
            takes_its_successor_along(program, generations, checks)
        shutil.copy(arguments.restart, program)
        path = str((arguments.out / "restart.sock").resolve())
        Path(path).unlink(missing_ok=True)
        # It passes the listener as descriptor 3, and sh moves it to standard input.
        moved = 'exec "$0" stdin "$1" <&3 3<&-'
        command = [
            "systemd-socket-activate", "-l", path, "sh", "-c", moved, program, f"unix:{redis}",
        ]
        with Generations(path, Process(command, log)) as generations:
            under_load("restart of systemd's listener", RESTARTS_OF_SYSTEMD, generations, checks)
            generations.end()
