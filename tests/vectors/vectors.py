"""Run by `run`: the request vectors of other parsers, to our server, whole and cut at each byte."""

import asyncio
import contextlib
import json
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from checks import Checks
from exchange import answers
from process import Process

CONCURRENT = 100
# So long a vector is cut at each byte. Longer ones are about limits, and are only sent whole.
CUT_BYTES = 600
# An exchange that takes longer has failed. The server ends each one, since the client does.
SECONDS = 30
REQUEST_LINE = re.compile(rb"^[^\r\n]+ HTTP/1\.1\r\n", re.M)


@dataclass
class Vector:
    """The bytes of a vector, and the requests that its owner understands: (method, target,
    body)."""

    name: str
    data: bytes
    requests: list


def with_hosts(data, bodies):
    """The bytes with a Host in each request of HTTP/1.1: most vectors have none, which alone makes
    a request invalid (RFC 9112 §3.2). What looks like a request within a body stays as it is."""
    parts, at = [], 0
    for line in REQUEST_LINE.finditer(data):
        head = data[line.end() : data.find(b"\r\n\r\n", line.end()) % (1 << 40)]
        of_body = any(line[0] in body for body in bodies)
        if not of_body and not re.search(rb"^host[ \t]*:", head, re.I | re.M):
            parts += [data[at : line.end()], b"Host: example.com\r\n"]
            at = line.end()
    return b"".join(parts) + data[at:]


def target_of(text):
    """A target as our server shows it: the path and the query."""
    text = re.sub(r"^[a-z]+://[^/?]*", "", text)
    return text if text.startswith(("/", "*")) else f"/{text}"


def octets(body):
    return body.encode() if isinstance(body, str) else body


# gunicorn: tests/requests/{valid,invalid}/NAME.http, and NAME.py with what is expected.


def unescaped(text):
    """Line ends of the file are none of the vector; its own are written as in C."""
    plain = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0"}
    kind = rb"\\(?:x([0-9A-Fa-f]{2})|([rnt0]))"
    byte = lambda found: bytes.fromhex(found[1].decode()) if found[1] else plain[found[2]]
    return re.sub(kind, byte, text.replace(b"\n", b""))


def of_gunicorn(folder):
    for file in sorted(folder.glob("tests/requests/*/*.http")):
        kind = file.parent.name
        requests = []
        if kind == "valid":
            # The files import gunicorn's options, which are pure Python.
            names = {"uri": target_of}
            exec(file.with_suffix(".py").read_text(), names)  # noqa: S102
            expected = names["request"]
            expected = expected if isinstance(expected, list) else [expected]
            requests = [(one["method"], one["uri"], octets(one["body"])) for one in expected]
        data = with_hosts(unescaped(file.read_bytes()), [body for *_, body in requests])
        yield Vector(f"gunicorn/{kind}/{file.stem}", data, requests)


# llhttp: test/request/NAME.md, with blocks `http` and, behind each, `log`.


def of_llhttp(folder):
    block = r"^```{}\n(.*?)\n?^```$"
    names = set()
    for file in sorted(folder.glob("test/request/*.md")):
        for section in re.split(r"^#+ ", file.read_text(), flags=re.M):
            meta = re.search(r"<!-- meta=(.*?) *-->", section)
            options = json.loads(meta[1]) if meta else {}
            # Others are about its own options: what it allows, and where it pauses.
            if options.get("type") != "request" or options.keys() - {"type", "noScan"}:
                continue
            text, log = (
                re.search(block.format(kind), section, re.M | re.S)[1] for kind in ("http", "log")
            )
            name = f"llhttp/{file.stem}/{section.partition(chr(10))[0]}"
            while name in names:
                name += " (again)"
            names.add(name)
            requests = logged(log)
            data = with_hosts(written(text), [body for *_, body in requests])
            yield Vector(name, data, requests)


def written(text):
    """The bytes of a block: a line's end is CRLF, unless a backslash stands before it."""
    text = re.sub(r"\\\n", "", text).replace("\n", "\r\n")
    for escape, byte in ((r"\r", "\r"), (r"\n", "\n"), (r"\t", "\t"), (r"\f", "\f")):
        text = text.replace(escape, byte)
    text = re.sub(r"\\x([0-9a-fA-F]+)", lambda found: chr(int(found[1], 16)), text)
    text = re.sub(r"\\([0-7]{1,3})", lambda found: chr(int(found[1], 8)), text)
    repeat = r'\$\{["\'](.*?)["\']\.repeat\((\d+)\)\}'
    text = re.sub(repeat, lambda found: found[1] * int(found[2]), text)
    return text.encode("utf-8", "surrogateescape") if not text.isascii() else text.encode()


def logged(log):
    """The requests that are complete in a log of events."""
    found, spans = [], {}
    for line in log.splitlines():
        if line.endswith("message begin"):
            spans = {"method": "", "url": "", "body": ""}
        elif span := re.match(r'off=\d+ len=\d+ span\[(method|url|body)\]="(.*)"$', line):
            spans[span[1]] += span[2].replace("\\t", "\t")
        elif span := re.match(r"off=\d+ len=1 span\[body\]=(lf|cr)$", line):
            spans["body"] += {"lf": "\n", "cr": "\r"}[span[1]]
        elif line.endswith("message complete"):
            found.append((spans["method"], target_of(spans["url"]), spans["body"].encode()))
    return found


async def understood(address, parts):
    """What our server understands of the bytes: the requests, and the status of its refusal. The
    client ends its side behind them."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        for part in parts:
            await asyncio.sleep(0.002 if part is not parts[0] else 0)  # So that it reads each one.
            writer.write(part)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        with contextlib.suppress(OSError):  # It may have ended the connection.
            writer.write_eof()
        received = await reader.read(-1)
    finally:
        writer.close()
    requests, refusal = [], None
    for status, fields, body in answers(received):
        if "x-understood" in fields:
            one = json.loads(body)
            requests.append((one["method"], one["target"], one["body"].encode("latin-1")))
        else:
            refusal = refusal or status
    return requests, refusal


def verdict(vector, requests, refusal):
    """How our server differs; None if it does not."""
    if requests == vector.requests:
        return None
    if any(ours != theirs for ours, theirs in zip(requests, vector.requests)):
        return "otherwise"
    if len(requests) > len(vector.requests):
        return "accepted"
    return f"answered {refusal}" if refusal else "no answer"


def listed(text):
    """The differences that may occur: pairs of verdict and name. A row is a verdict with names, a
    line each, and behind them indented lines that say why."""
    found, verdict_, why = set(), None, True
    for line in filter(None, (line.rstrip() for line in text.splitlines())):
        if line.startswith("#"):
            continue
        if line.startswith("    "):
            why = True
            continue
        if why:
            verdict_, why = line.rstrip(":"), False
            continue
        found.add((verdict_, line.strip()))
    return found


async def check(address, vectors, checks, allowed):
    gate, count, seen = asyncio.Semaphore(CONCURRENT), 0, set()

    async def ask(*parts):
        nonlocal count
        async with gate:
            count += 1
            return await asyncio.wait_for(understood(address, parts), SECONDS)

    async def one(vector):
        whole = await ask(vector.data)
        if different := verdict(vector, *whole):
            seen.add((different, vector.name))
        known = not different or (different, vector.name) in allowed
        detail = f"{vector.data[:300]!r}: {whole}, where {vector.requests}"
        told = f"{different or 'agreed'}: {vector.name}"
        checks.that(known, told if known else f"{told}: {detail}", quiet=True)
        if len(vector.data) <= CUT_BYTES:
            cuts = range(1, len(vector.data))
            results = await asyncio.gather(
                *(ask(vector.data[:cut], vector.data[cut:]) for cut in cuts)
            )
            wrong = [cut for cut, result in zip(cuts, results) if result != whole]
            checks.that(not wrong, f"{vector.name}: another result cut at {wrong[:9]}", quiet=True)

    await asyncio.gather(*map(one, vectors))
    return count, seen


def main():
    server, listing, out, folders = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]
    # So that SIGTERM, too, leaves the `with` block, which stops the server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    vectors = []
    for folder, read in zip(map(Path, folders), (of_gunicorn, of_llhttp)):
        # An answer to HEAD has no body that could say what was understood.
        is_sent = lambda one: not any(method == "HEAD" for method, *_ in one.requests)
        found = list(filter(is_sent, read(folder)))
        print(f"{len(found)} vectors of {read.__name__[3:]}")
        vectors += found
    allowed, checks = listed(listing.read_text()), Checks()
    log = out / "server.log"
    log.unlink(missing_ok=True)
    with Process([server], log, stdin=-1, stdout=-1, text=True) as process:
        address = "127.0.0.1", int(process.line(r"[\d ]+").split()[0])
        count, seen = asyncio.run(check(address, vectors, checks, allowed))
    owners = {vector.name.split("/")[0] for vector in vectors}
    for different, name in sorted(allowed - seen):
        if name.split("/")[0] in owners:
            checks.that(False, f"listed, and does not occur: {different}: {name}")
    print(f"{len(vectors)} vectors, {count} exchanges, {len(seen)} listed differences")
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
