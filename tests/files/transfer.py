"""Long downloads: cut and resumed, assembled from ranges, at constant memory."""

import hashlib
import io
import os
import random
import re
import subprocess
import time
import zipfile

from client import Client, Closed, ask, request
from process import MIB
from ranges import parts

SEED = 9110
PAST = 1_614_834_367
RESUMED_BYTES = 48 * MIB
CUTS = 2
CURL_SECONDS = 60
BIG_BYTES = 1 << 30
# How much memory a download of any size may add to a server, and how much the server may use in
# all.
GROWTH_BYTES = 8 * MIB
PEAK_BYTES = 48 * MIB
RANGES_AT_ONCE = 64


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resume(arguments, checks, root):
    """`curl -C -` after its own death, twice, and after the server's."""
    source, got = root / "resumed.bin", arguments.out / "resumed.part"
    source.write_bytes(random.Random(SEED).randbytes(RESUMED_BYTES))
    got.unlink(missing_ok=True)

    def curl(port, rate):
        url = f"http://127.0.0.1:{port}/files/resumed.bin"
        command = ["curl", "-sS", "--noproxy", "*", "--fail", "-C", "-", "--limit-rate", rate, "-o", str(got), url]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def until(process, size):
        deadline = time.monotonic() + CURL_SECONDS
        while not (got.exists() and got.stat().st_size >= size):
            if process.poll() is not None or time.monotonic() > deadline:
                return
            time.sleep(0.01)

    cuts = []
    with arguments.subject(arguments, root) as subject:
        for cut in range(1, CUTS + 1):
            with curl(subject.address[1], "15M") as process:
                until(process, cut * 10 * MIB)
                process.kill()
            cuts.append(got.stat().st_size)
        with curl(subject.address[1], "15M") as process:
            until(process, 30 * MIB)
            subject.kill()
            code = process.wait(CURL_SECONDS)
        cuts.append(got.stat().st_size)
    checks.that(code in (18, 56), f"transfer: curl sees that the server died: exit code {code}")
    with arguments.subject(arguments, root) as subject, curl(subject.address[1], "4G") as process:
        error = process.communicate(timeout=CURL_SECONDS)[1].decode().strip()
    at = ", ".join(f"{cut / MIB:.1f}" for cut in cuts)
    checks.that(
        all(0 < cut < RESUMED_BYTES for cut in cuts) and cuts == sorted(set(cuts)),
        f"transfer: curl was cut at {at} MiB of {RESUMED_BYTES // MIB}",
    )
    checks.that(
        process.returncode == 0 and digest(got) == digest(source),
        f"transfer: curl -C - has the file after {len(cuts)} cuts, by SHA-256 {error}".strip(),
    )


class Remote(io.RawIOBase):
    """A file at the other end, read by range requests. Every byte that came is kept."""

    def __init__(self, client, target):
        self.client, self.target = client, target
        first = self.get("bytes=-1")
        self.etag = first.first("etag")
        self.size = int(re.fullmatch(r"bytes \d+-\d+/(\d+)", first.first("content-range"))[1])
        self.data = {}
        self.at = 0

    def get(self, ranges, lines=()):
        self.client.send(request("GET", self.target, [f"Range: {ranges}", *lines]))
        answer = self.client.answer()
        if answer.status != 206:
            raise ValueError(f"{ranges}: status {answer.status}")
        return answer

    def fetch(self, spans):
        """The bytes of each (first, last), in one request."""
        asked = "bytes=" + ", ".join(f"{first}-{last}" for first, last in spans)
        answer = self.get(asked, [f"If-Range: {self.etag}"])
        if len(spans) == 1:
            found = [(None, answer.first("content-range"), answer.body)]
        else:
            found = parts(answer)
        wanted = [f"bytes {first}-{last}/{self.size}" for first, last in spans]
        if [place for _, place, _ in found] != wanted:
            raise ValueError(f"{wanted} asked, {[place for _, place, _ in found]} sent")
        for (first, last), (_, _, data) in zip(spans, found):
            if len(data) != last - first + 1:
                raise ValueError(f"{len(data)} bytes of {first}-{last}")
            self.data[first] = data
        return [data for _, _, data in found]

    def seekable(self):
        return True

    def readable(self):
        return True

    def tell(self):
        return self.at

    def seek(self, offset, whence=io.SEEK_SET):
        self.at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence])
        return self.at

    def read(self, count=-1):
        last = self.size - 1 if count is None or count < 0 else min(self.at + count, self.size) - 1
        if last < self.at:
            return b""
        (data,) = self.fetch([(self.at, last)])
        self.at = last + 1
        return data


def assemble(arguments, checks, root):
    """A zip: its directory at the end says where the members are, and multipart answers bring them
    one by one."""
    chance = random.Random(SEED)
    source = root / "archive.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for number in range(100):
            method = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            archive.writestr(f"member {number}.bin", chance.randbytes(chance.randrange(40_000)), method)
    # While the file is younger than 2 s its tag is weak, and so does not allow a range.
    os.utime(source, (PAST, PAST))
    with arguments.subject(arguments, root) as subject, Client(subject.address) as client:
        remote = Remote(client, "/files/archive.zip")
        starts = sorted(info.header_offset for info in zipfile.ZipFile(remote).infolist())
        # After the last member only the directory follows.
        spans = [(first, after - 1) for first, after in zip(starts, [*starts[1:], remote.size])]
        chance.shuffle(spans)
        remote.data.clear()
        turns = [spans[at : at + RANGES_AT_ONCE] for at in range(0, len(spans), RANGES_AT_ONCE)]
        for turn in turns:
            remote.fetch(turn)
    whole = b"".join(data for _, data in sorted(remote.data.items()))
    checks.that(
        whole == source.read_bytes() and zipfile.ZipFile(io.BytesIO(whole)).testzip() is None,
        f"transfer: a zip of {len(whole)} bytes from {len(spans)} ranges in {len(turns)} multipart answers",
    )


def big_file(path):
    """A sparse file, each MiB of which begins with its own number."""
    with open(path, "wb") as file:
        file.truncate(BIG_BYTES)
        for number in range(BIG_BYTES // MIB):
            file.seek(number * MIB)
            file.write(number.to_bytes(16, "big"))


def is_big_file(client, first, count):
    """Whether the next `count` bytes are those of that file from `first` on; both are whole MiB."""
    room = bytearray(MIB)
    zeros = bytes(MIB - 16)
    for number in range(first // MIB, (first + count) // MIB):
        begun = min(len(client.buffer), MIB)
        room[:begun] = client.take(begun)
        view = memoryview(room)[begun:]
        while view:
            got = client.socket.recv_into(view)
            if got == 0:
                raise Closed(f"in MiB {number}")
            view = view[got:]
        if room[:16] != number.to_bytes(16, "big") or room[16:] != zeros:
            return False
    return True


def constant_memory(arguments, checks, root):
    big_file(root / "big.bin")
    half = BIG_BYTES // 2
    with arguments.subject(arguments, root) as subject:
        start = subject.settled()
        for what, version, lines in (
            ("whole", "1.1", []),
            ("whole, HTTP/1.0", "1.0", []),
            ("in two parts", "1.1", [f"Range: bytes={half}-{BIG_BYTES - 1},0-{half - 1}"]),
        ):
            begun = time.monotonic()
            with Client(subject.address) as client:
                client.send(request("GET", "/files/big.bin", [*lines, "Connection: close"], version))
                head = client.head()
                if lines:
                    good = head.status == 206
                    for first in (half, 0):
                        good = f"bytes {first}-".encode() in client.until(b"\r\n\r\n") and good
                        good = is_big_file(client, first, half) and good
                else:
                    good = (head.status, head.first("content-length")) == (200, str(BIG_BYTES))
                    good = is_big_file(client, 0, BIG_BYTES) and good
                rest = client.rest()
            seconds = time.monotonic() - begun
            checks.that(
                good and (not rest) == (not lines), f"transfer: {BIG_BYTES // MIB} MiB {what} in {seconds:.1f} s"
            )
        usage = subject.usage()
        grown = usage.peak - start.peak
        checks.that(
            grown <= GROWTH_BYTES and usage.peak <= PEAK_BYTES,
            f"transfer: VmHWM {start.peak / MIB:.1f} MiB before, {usage.peak / MIB:.1f} MiB after "
            f"(at most {GROWTH_BYTES // MIB} more, and {PEAK_BYTES // MIB} in all)",
        )
    (root / "big.bin").unlink()


def other_file(arguments, checks, root):
    """Resuming the download of a file that was replaced gets the whole new file."""
    path = root / "replaced.bin"
    path.write_bytes(b"old" * 1000)
    with arguments.subject(arguments, root) as subject:
        # After the time in which a tag is weak.
        deadline = time.monotonic() + 10
        while True:
            old = ask(subject.address, "GET", "/files/replaced.bin")
            if not old.first("etag").startswith("W/") or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        lines = ["Range: bytes=1000-", f"If-Range: {old.first('etag')}"]
        resumed = ask(subject.address, "GET", "/files/replaced.bin", lines)
        fresh = root / "replaced.new"
        fresh.write_bytes(b"new" * 1000)
        fresh.rename(path)
        answer = ask(subject.address, "GET", "/files/replaced.bin", lines)
    checks.that(
        resumed.status == 206 and resumed.body == old.body[1000:],
        f"transfer: If-Range with the file's tag: {resumed.status}",
    )
    checks.that(
        answer.status == 200 and answer.body == b"new" * 1000,
        f"transfer: If-Range with the tag of a file that was replaced: {answer.status}",
    )


def check(arguments, checks):
    root = arguments.out / "transfer" / "files"
    root.mkdir(parents=True, exist_ok=True)
    for part in (resume, assemble, constant_memory, other_file):
        try:
            part(arguments, checks, root)
        except (Closed, OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
            checks.that(False, f"transfer: {part.__name__}: {error!r}")
