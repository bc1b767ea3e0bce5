"""Sends the same mutated WebSocket handshakes and frames to us and to other echoes, and finds where
we differ."""

import contextlib
import itertools
import os
import random
import struct
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import frames
from differences import Finding
from exchange import Client, Exchange
from http_peers import our_server
from process import Process, free_port

HERE = Path(__file__).resolve().parent
MANY = 3
BATCH = 60
IDLE, CONFIRM_IDLE = 1, 5
LAST = (frames.TEXT, b"the last")
SENTINEL = frames.frame(*LAST)


@dataclass(frozen=True)
class Case:
    """A handshake, and frames behind it, by name; `flip` decides a bit of the first 14 bytes of
    the frames that is changed."""

    handshake: str
    frames: tuple
    flip: int | None = None

    def table(self):
        return frames.COMPRESSED if self.handshake == "deflate" else frames.FRAMES

    def parts(self, address):
        """The handshake's bytes, the frames', and a Close for the end: after an echo of the last
        message, since some servers echo nothing more once they have read it."""
        if self.handshake in ("plain", "deflate"):
            opening = frames.offering(*([frames.DEFLATE] if self.handshake == "deflate" else []))
        else:
            opening = frames.HANDSHAKES[self.handshake]
        data = bytearray(b"".join(self.table()[name] for name in self.frames))
        if self.flip is not None and data:
            data[self.bit() // 8] ^= 0x80 >> self.bit() % 8
        return [
            opening.data(f"{address[0]}:{address[1]}"),
            bytes(data) + SENTINEL,
            frames.close(1000),
        ]

    def changed(self, of_handshake):
        """What it is, in words; `of_handshake` leaves the frames out."""
        if of_handshake or self.handshake not in ("plain", "deflate"):
            return (f"handshake: {self.handshake}",)
        return (*([] if self.flip is None else [self.flipped()]), *sorted(set(self.frames)))

    def flipped(self):
        """What the changed bit belongs to, in the head of the first frame or behind it."""
        ends = {1: "FIN", 4: "RSV", 8: "opcode", 9: "MASK", 16: "length"}
        place = next(
            (name for end, name in ends.items() if self.bit() < end), "length, key or payload"
        )
        return f"a bit of {place}"

    def bit(self):
        return self.flip % (8 * min(14, len(b"".join(self.table()[name] for name in self.frames))))

    def smaller(self):
        if self.flip is None:
            yield from (
                Case(self.handshake, (name,)) for name in self.frames if len(self.frames) > 1
            )
        elif len(self.frames) > 1:
            yield Case(self.handshake, self.frames[:1], self.flip)


def case(rng):
    """A case by chance: a handshake, or frames behind a good one."""
    if rng.random() < 0.3:
        return Case(rng.choice(list(frames.HANDSHAKES)), ("text",))
    handshake = rng.choice(["plain", "plain", "deflate"])
    table = frames.COMPRESSED if handshake == "deflate" else frames.FRAMES
    names = tuple(rng.choice(list(table)) for _ in range(rng.choice([1, 1, 2, 3])))
    flip = rng.getrandbits(16) if rng.random() < 0.2 else None
    return Case(handshake, names, flip)


def cases(rng):
    """Cases without an end. The first have every handshake and every frame by itself."""
    yield from (Case(name, ("text",)) for name in frames.HANDSHAKES)
    yield from (Case("plain", (name,)) for name in frames.FRAMES)
    yield from (Case("deflate", (name,)) for name in frames.COMPRESSED)
    while True:
        yield case(rng)


def view(exchange):
    """What a server did: by aspect."""
    head, found, data = bytes(exchange.received).partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if not found or len(words) < 2:
        return {"handshake": "refused"}
    if words[1] != b"101":
        return {"handshake": "refused", "status": words[1].decode()}
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    fields = {name.lower(): value.strip() for name, _, value in lines}
    seen = {"handshake": "accepted", "messages": [], "pongs": [], "close": None}
    offer = fields.get("sec-websocket-extensions", "")
    seen["extension"] = "; ".join(sorted(part.strip() for part in offer.split(";")))
    seen["subprotocol"] = fields.get("sec-websocket-protocol")
    read_frames(data, seen)
    seen["ended"] = exchange.ended
    return seen


def read_frames(data, seen):
    inflate = zlib.decompressobj(wbits=-15)
    kind, parts, is_compressed = None, b"", False
    while len(data) >= 2:
        first, length = data[0], data[1] & 0x7F
        start = 2 + {126: 2, 127: 8}.get(length, 0)
        if start > 2:
            length = int.from_bytes(data[2:start], "big")
        payload, data = data[start : start + length], data[start + length :]
        match first & 0x0F:
            case frames.CLOSE:
                seen["close"] = struct.unpack("!H", payload[:2])[0] if len(payload) > 1 else "empty"
                return
            case frames.PONG:
                seen["pongs"].append(payload)
                continue
            case frames.TEXT | frames.BINARY as opcode:
                kind, parts, is_compressed = opcode, b"", bool(first & 0x40)
        parts += payload
        if first & 0x80:
            if is_compressed:
                parts = inflate.decompress(parts + b"\0\0\xff\xff")
            seen["messages"].append((kind, parts))


def due(received):
    """How many parts of a case may be sent."""
    head, found, data = bytes(received).partition(b"\r\n\r\n")
    if not found:
        return 1
    seen = {"messages": [], "pongs": []}
    read_frames(data, seen)
    return 3 if LAST in seen["messages"] else 2


def judge(ours, others, case):
    """The aspects in which we differ from many that agree."""
    for aspect in ("handshake", "extension", "subprotocol", "messages", "pongs", "close", "ended"):
        groups = {}
        for peer, seen in others.items():
            if seen["handshake"] == ours["handshake"] or aspect == "handshake":
                groups.setdefault(repr(seen.get(aspect)), []).append(peer)
        for value, peers in groups.items():
            if len(peers) < MANY or value == repr(ours.get(aspect)):
                continue
            of_handshake = aspect in ("handshake", "extension", "subprotocol")
            what = f"ws {ours['handshake']}" if aspect == "handshake" else f"ws {aspect} differs"
            if aspect == "close":
                what = f"ws close {ours['close']} for {value}"
            detail = f"ours {ours.get(aspect)!r:.120}, theirs {value:.120}"
            yield Finding(what, case.changed(of_handshake), tuple(peers), detail)
            if not of_handshake or aspect == "handshake":
                return


def commands(arguments):
    python = [sys.executable, "-B", HERE / "peers/echoes.py"]
    found = {name: [*python, name, "PORT"] for name in ("websockets", "aiohttp", "tornado")}
    return found | {
        "ws": ["node", HERE / "peers/echo.mjs", "PORT"],
        "gorilla": [arguments.gorilla, "PORT"],
    }


class Comparison:
    def __init__(self, arguments, ours, stack):
        self.addresses = {"ours": ("127.0.0.1", ours.live)}
        started = []
        for name, command in commands(arguments).items():
            port = free_port()
            log = arguments.out / f"ws-{name}.log"
            log.unlink(missing_ok=True)
            command = [str(word).replace("PORT", str(port)) for word in command]
            started.append((stack.enter_context(Process(command, log, env=dict(os.environ))), port))
            self.addresses[name] = ("127.0.0.1", port)
        for process, port in started:
            process.listens(("127.0.0.1", port))
        self.processes = [process for process, _ in started]
        self.counts = {name: [0, 0, 0] for name in self.addresses}

    def findings(self, cases, idle=CONFIRM_IDLE):
        exchanges = [
            Exchange((number, name), address, one.parts(address), due)
            for number, one in enumerate(cases)
            for name, address in self.addresses.items()
        ]
        Client(idle).run(exchanges)
        views = [{} for _ in cases]
        for exchange in exchanges:
            number, name = exchange.key
            seen = views[number][name] = view(exchange)
            count = self.counts[name]
            count[0] += seen["handshake"] == "accepted"
            count[1] += len(seen.get("messages", []))
            count[2] += seen.get("close") not in (None, 1000)
        return [list(judge(seen.pop("ours"), seen, one)) for one, seen in zip(cases, views)]

    def take(self, case, finding, differences):
        """Adds the finding. One that no row lists counts once the smallest case shows it again."""
        if not differences.knows(finding):
            for smaller in case.smaller():
                (found,) = self.findings([smaller])
                same = [one for one in found if one.name == finding.name]
                if same:
                    case, finding = smaller, same[0]
                    break
        if not differences.knows(finding):
            (again,) = self.findings([case])
            if finding.key() not in [one.key() for one in again]:
                differences.unsteady(finding)
                return
        differences.add(finding, b"".join(case.parts(("a", 80))))


def compare(arguments, differences, budget):
    """The part of WebSocket: cases until the budget is used."""
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(our_server(arguments))
        comparison = Comparison(arguments, ours, stack)
        endless = cases(random.Random(f"ws {arguments.seed}"))
        count = 0
        while budget.lasts(count):
            batch = list(itertools.islice(endless, BATCH))
            count += len(batch)
            for one, found in zip(batch, comparison.findings(batch, IDLE)):
                for finding in found:
                    comparison.take(one, finding, differences)
            for process in comparison.processes:
                process.fail_if_ended()
        print(f"ws: {count} cases")
        for name, (accepted, messages, closes) in comparison.counts.items():
            print(
                f"ws: {name}: {accepted} handshakes accepted, {messages} messages, {closes} closed "
                "for a fault"
            )
