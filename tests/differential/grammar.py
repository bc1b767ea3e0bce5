"""Requests as pieces with labels, and the mutations of them. A mutation has a name, which says what
it does and where: differences are classified by it."""

import random
from dataclasses import dataclass, field

from field_values import VALUES
from mutations import BODIES, FIELD_LINES, LINES, METHODS, PLAIN, TARGETS, VERSIONS, setting

END = b"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@dataclass
class Request:
    """A request in pieces. `lines` are (name, colon, value, end) of each field."""

    method: bytes = b"GET"
    target: bytes = b"/a?b=c"
    version: bytes = b"HTTP/1.1"
    between: list = field(default_factory=lambda: [b" ", b" "])
    before: bytes = b""
    first_end: bytes = b"\r\n"
    lines: list = field(default_factory=list)
    empty_line: bytes = b"\r\n"
    body: list = field(default_factory=list)

    def pieces(self):
        """What it consists of, as [label, bytes]."""
        yield ["start", self.before]
        yield ["method", self.method]
        yield ["first space", self.between[0]]
        yield ["target", self.target]
        yield ["second space", self.between[1]]
        yield ["version", self.version]
        yield ["request line's end", self.first_end]
        for name, colon, value, end in self.lines:
            framing = name.lower() in (
                b"host",
                b"content-length",
                b"transfer-encoding",
                b"connection",
                b"expect",
            )
            of = name.decode("latin-1") if framing else "field"
            yield [f"{of} name", name]
            yield [f"{of} colon", colon]
            yield [f"{of} value", value]
            yield ["field line's end", end]
        yield ["empty line", self.empty_line]
        yield from ([label, data] for label, data in self.body)


def line(name, value):
    return [name, b": ", value, b"\r\n"]


def get():
    return Request(lines=[line(b"Host", b"a"), line(b"X-A", b"one"), line(b"Accept", b"*/*")])


def post():
    lines = [line(b"Host", b"a"), line(b"Content-Type", b"text/plain"), line(b"X-A", b"one")]
    lines.append(line(b"Content-Length", b"5"))
    return Request(method=b"POST", lines=lines, body=[("body", b"hello")])


def chunked():
    lines = [line(b"Host", b"a"), line(b"Transfer-Encoding", b"chunked"), line(b"X-A", b"one")]
    body = []
    for data in (b"hello", b"0123456789"):
        size = b"%x" % len(data)
        body += [("chunk size", size), ("chunk extension", b""), ("chunk line's end", b"\r\n")]
        body += [("chunk data", data), ("chunk data's end", b"\r\n")]
    body += [
        ("last chunk", b"0"),
        ("last chunk's extension", b""),
        ("last chunk's line end", b"\r\n"),
    ]
    body += [("trailers", b""), ("trailers' end", b"\r\n")]
    return Request(method=b"POST", lines=lines, body=body)


def http_1_0():
    lines = [line(b"Host", b"a"), line(b"Connection", b"keep-alive"), line(b"Content-Length", b"3")]
    return Request(method=b"POST", version=b"HTTP/1.0", lines=lines, body=[("body", b"abc")])


def expecting():
    request = post()
    request.lines.append(line(b"Expect", b"100-continue"))
    return request


BASES = {"get": get, "post": post, "chunked": chunked, "1.0": http_1_0, "expect": expecting}
BYTES = {
    "NUL": b"\0", "TAB": b"\t", "VT": b"\x0b", "FF": b"\x0c", "a control": b"\x01", "ESC": b"\x1b",
    "DEL": b"\x7f", "0x80": b"\x80", "0x85": b"\x85", "0xA0": b"\xa0", "0xFF": b"\xff",
    "space": b" ",
    "CR": b"\r", "LF": b"\n", "CRLF": b"\r\n", "comma": b",", "semicolon": b";", "colon": b":",
    "quote": b'"', "backslash": b"\\", "slash": b"/", "at": b"@", "percent": b"%", "hash": b"#",
    "question": b"?", "plus": b"+", "minus": b"-", "underscore": b"_", "dot": b".", "digit": b"7",
    "letter": b"x", "bracket": b"[", "angle": b"<", "UTF-8": "é".encode(), "equals": b"=",
}  # fmt: skip


def all_changes():
    """Every mutation of a request's structure, by kind and name."""
    found = {}
    for part, table in (("method", METHODS), ("target", TARGETS), ("version", VERSIONS)):
        found[part] = {f"{part}: {name}": setting(**{part: value}) for name, value in table.items()}
    found["value"] = {
        f"{field}: {name}": set_value(field.encode(), values)
        for field, table in VALUES.items()
        for name, values in table.items()
    }
    for kind, table in (
        ("field line", FIELD_LINES),
        ("line", LINES),
        ("body", BODIES),
        ("plain", PLAIN),
    ):
        found[kind] = {f"{kind}: {name}": apply for name, apply in table.items()}
    return found


def set_value(name, values):
    """Gives a field these values, a line each; none takes it away."""

    def apply(request):
        at = next(
            (n for n, line in enumerate(request.lines) if line[0] == name), len(request.lines)
        )
        request.lines[at : at + 1] = [line(name, value) for value in values]

    return apply


CHANGES = all_changes()
OFTEN = ["target", "value", "value", "value", "body"]


@dataclass(frozen=True)
class Change:
    """One mutation: `name` of a request's structure, or else of a byte, which `seed` decides."""

    name: str | None
    seed: int = 0

    def apply(self, request):
        kind = self.name.partition(": ")[0]
        CHANGES[kind if kind in CHANGES else "value"][self.name](request)


@dataclass(frozen=True)
class Case:
    """A pipeline of requests. The changes are made in the first of them: some servers read a
    whole pipeline before they answer, and would refuse a request for the fault of a later one."""

    bases: tuple
    changes: tuple

    def parts(self):
        """The bytes of the changed request, those behind it, and the names of the changes."""
        first, *others = [BASES[base]() for base in self.bases]
        names = set()
        for change in self.changes:
            if change.name:
                change.apply(first)
                names.add(change.name)
        pieces = list(first.pieces())
        for change in self.changes:
            if not change.name:
                names.add(change_byte(pieces, random.Random(change.seed)))
        others = b"".join(data for request in others for _, data in request.pieces())
        return b"".join(data for _, data in pieces), others + END, sorted(names)

    def data(self):
        return b"".join(self.parts()[:2])

    def changed(self):
        """What was changed, in words."""
        return tuple(self.parts()[2]) or (f"unchanged {' '.join(self.bases)}",)

    def smaller(self):
        """The cases with less of this one, the smallest first."""
        fewer = [self.bases[:1], self.bases] if len(self.bases) > 1 else [self.bases]
        for bases in fewer:
            yield Case(bases, ())
            if len(self.changes) > 1:
                yield from (Case(bases, (change,)) for change in self.changes)
        if len(self.bases) > 1:
            yield Case(self.bases[:1], self.changes)


def change_byte(pieces, rng):
    """Puts a byte into a piece, or takes one out. Returns what that is called."""
    at = rng.randrange(len(pieces))
    label, data = pieces[at]
    name = rng.choice(list(BYTES))
    where = rng.choice(["begin", "middle", "end"])
    place = {"begin": 0, "middle": len(data) // 2, "end": len(data)}[where]
    match rng.choice(["insert", "insert", "replace", "delete", "double"]):
        case "replace" if data:
            place = min(place, len(data) - 1)
            pieces[at][1] = data[:place] + BYTES[name] + data[place + 1 :]
            return f"byte: {name} in {label}"
        case "delete" if data:
            place = min(place, len(data) - 1)
            pieces[at][1] = data[:place] + data[place + 1 :]
            return f"byte: one less in {label}"
        case "double" if data:
            pieces[at][1] = data + data
            return f"byte: {label} twice"
    pieces[at][1] = data[:place] + BYTES[name] + data[place:]
    return f"byte: {name} in {label}"


def change(rng):
    if rng.random() < 0.3:
        return Change(None, rng.getrandbits(32))
    return Change(rng.choice(list(CHANGES[rng.choice([*CHANGES, *OFTEN])])))


def case(rng):
    """A case by chance: mostly one change, sometimes two; mostly one request."""
    bases = tuple(rng.choice(list(BASES)) for _ in range(rng.choice([1, 1, 1, 2, 3])))
    return Case(bases, tuple(change(rng) for _ in range(rng.choice([1, 1, 1, 1, 2]))))


def every_change(bases):
    """For each mutation of the structure a case of each of these requests that it changes."""
    for name in (name for names in CHANGES.values() for name in names):
        cases = (Case((base,), (Change(name),)) for base in bases)
        yield [one for one in cases if one.data() != Case(one.bases, ()).data()]
