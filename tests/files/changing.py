"""Files that are truncated, overwritten, replaced or deleted while the server sends them: the
client must never take a wrong body for a whole one."""

import os
import random
import time

from client import Client, Closed, request
from process import MIB

# More than the kernel buffers between the two (4 MiB and a little by default), so that the server
# is still reading.
FILE_BYTES = 24 * MIB
RECEIVE_BUFFER = 64 * 1024
READ_BEFORE = 512 * 1024
BACK_SECONDS = 15
# So long ago that no clock's resolution hides a change.
PAST = 1_614_834_367


def truncated(path):
    os.truncate(path, READ_BEFORE)


def emptied(path):
    os.truncate(path, 0)


def shortened(path):
    """By one byte, which no reader notices before the end."""
    os.truncate(path, FILE_BYTES - 1)


def grown(path):
    with open(path, "ab") as file:
        file.write(b"more")


def overwritten(path):
    with open(path, "r+b") as file:
        file.seek(FILE_BYTES // 2)
        file.write(b"other" * 1000)


def truncated_and_written(path):
    """As many editors and `cp` do: the same file, truncated and then written to the same length."""
    path.write_bytes(bytes(FILE_BYTES))


def replaced(path):
    fresh = path.with_suffix(".new")
    fresh.write_bytes(bytes(FILE_BYTES // 2))
    os.rename(fresh, path)


def deleted(path):
    path.unlink()


def moved(path):
    path.rename(path.with_suffix(".moved"))


ABORTS = (truncated, emptied, shortened, grown, overwritten, truncated_and_written)
KEEPS = (replaced, deleted, moved)
HALF = FILE_BYTES // 2
REQUESTS = (
    ("1.1", "whole", [], 200),
    ("1.1, close", "whole", ["Connection: close"], 200),
    ("1.0", "whole", [], 200),
    ("1.1", "range", [f"Range: bytes=1000-{FILE_BYTES - 1}"], 206),
    ("1.0", "range", [f"Range: bytes=1000-{FILE_BYTES - 1}"], 206),
    ("1.1", "multipart", [f"Range: bytes=0-{HALF - 1},{HALF}-{FILE_BYTES - 1}"], 206),
)


def download(address, version, lines, change):
    """Sends a request, calls `change` while the answer comes, and returns the head, the body as far
    as it came, and whether RST ended it."""
    with Client(address, receive_buffer=RECEIVE_BUFFER) as client:
        client.send(request("GET", "/files/changing.bin", lines, version.split(",")[0]))
        head = client.head()
        body = bytearray(client.take(READ_BEFORE))
        change()
        length = head.first("content-length")
        try:
            while length is None or len(body) < int(length):
                if not client.buffer and not client.receive():
                    return head, body, False
                body += client.take(len(client.buffer))
            return head, body, False
        except ConnectionResetError:
            return head, body + client.buffer, True


def expected(kind, content):
    return {"whole": [content], "range": [content[1000:]], "multipart": [content[:HALF], content[HALF:]]}[kind]


def judge(change, kind, status, content, got):
    """What is wrong with the answer. None if the connection was aborted where it must be, or if all
    of the old content came."""
    head, body, reset = got
    length = head.first("content-length")
    if head.status != status:
        return f"status {head.status}"
    looks_whole = not reset and (length is None or len(body) == int(length))
    if change in ABORTS:
        return "the client cannot tell that it is not whole" if looks_whole else None
    if not looks_whole:
        return f"{len(body)} of {length} bytes, though the old file is open"
    if kind == "multipart":
        pieces = expected(kind, content)
        return None if all(piece in body for piece in pieces) else "other bytes than the old file's"
    return None if body == expected(kind, content)[0] else "other bytes than the old file's"


def check(arguments, checks):
    root = arguments.out / "changing" / "files"
    root.mkdir(parents=True, exist_ok=True)
    path = root / "changing.bin"
    content = random.Random(1).randbytes(FILE_BYTES)
    with arguments.subject(arguments, root) as subject:
        start = subject.settled()
        for change in (*ABORTS, *KEEPS):
            for version, kind, lines, status in REQUESTS:
                path.unlink(missing_ok=True)
                path.write_bytes(content)
                os.utime(path, (PAST, PAST))
                begun = time.monotonic()
                came = 0
                try:
                    got = download(subject.address, version, lines, lambda: change(path))
                    came, fault = len(got[1]), judge(change, kind, status, content, got)
                except (Closed, OSError, ValueError) as error:
                    fault = repr(error)
                seconds = time.monotonic() - begun
                outcome = fault or f"{came} bytes, then the end, after {seconds:.1f} s"
                name = change.__name__.replace("_", " ")
                checks.that(fault is None, f"changing: {name}, HTTP/{version}, {kind}: {outcome}")
        usage, _ = subject.wait_until_back_at(start, BACK_SECONDS)
        checks.that(usage.is_back_at(start), f"changing: before {start}; after {usage}")
        panics = subject.log.read_text().count("panicked")
        checks.that(panics == 0, f"changing: {panics} panics in the demo's log")
