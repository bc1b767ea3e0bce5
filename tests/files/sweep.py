"""Thousands of ways out of the directory. None may lead to the file that lies beside it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from urllib.parse import urljoin, urlsplit

import targets
from client import Client, Closed, request
from servers import Nginx

# The marker stands in the outer files' contents and names, and nowhere else. Their length is
# special too, since a listing could reveal it.
MARKER = "MARKER-7f3a-outside"
OUTER_BYTES = 31337
ANSWER_SECONDS = 2
BACK_SECONDS = 15
# At least this many requests and this much time while names are swapped, and not much longer.
SWAP_REQUESTS = 6000
SWAP_SECONDS = 8
SWAP_MOST_SECONDS = 30
SWAP_CLIENTS = 2
# A listing looks at a directory for the longest time, so the test requests it most often.
SWAPPED = (
    "swap-link.txt swap-dir/ . swap-dir/data.txt swap-real/ swap-file.txt swap-dir/ swap-real/data.txt swap-odd.txt swap-real/ "
    "swap-side.txt swap-dir/"
).split()
CODINGS = ["Accept-Encoding: gzip, br, zstd"]

# Special entries beside ordinary files below the root: the target, and whether the server may send
# the file of this name.
SPECIAL = {
    "/link-in.txt": True,
    "/link-in/INSIDE.txt": True,
    "/link-chain.txt": True,
    "/side-fifo.txt": True,
    "/side-link.txt": True,
    "/side-dir.txt": True,
    "/side-zero.txt": True,
    "/link-out.txt": False,
    "/link-out-absolute.txt": False,
    "/link-out-chain.txt": False,
    "/link-out": False,
    "/link-out/": False,
    "/link-out/data.txt": False,
    "/link-out/index.html": False,
    "/link-up": False,
    "/link-up/": False,
    "/link-up/inside/INSIDE.txt": True,
    "/link-loop": False,
    "/link-loop/x": False,
    "/link-root/etc/passwd": False,
    "/link-passwd": False,
    "/link-environ": False,
    "/link-self": False,
    "/link-self/INSIDE.txt": False,
    "/index-link/": False,
    "/index-fifo/": False,
    "/index-dir/": False,
    "/fifo": False,
    "/fifo/": False,
    "/fifo/x": False,
    "/socket": False,
    "/socket/x": False,
    "/link-zero": False,
    "/link-null": False,
    "/link-tty": False,
    "/link-stdin": False,
    "/link-fd/0": False,
}


def build(base):
    """The root, which a symlink leads to, and the directory beside it, whose name begins like the
    root's."""
    shutil.rmtree(base, ignore_errors=True)
    inside, outside = base / "inside", base / "inside-not"
    for directory in (
        "sub/deep",
        "swapped",
        "swap-real",
        "swap-away",
        "index-link",
        "index-fifo",
        "index-dir/index.html",
    ):
        (inside / directory).mkdir(parents=True)
    (inside / "swap-away").rmdir()
    outside.mkdir()
    for name in ("data.txt", "index.html", "INSIDE.txt.gz", f"{MARKER}.txt"):
        (outside / name).write_text(f"{MARKER}\n".ljust(OUTER_BYTES, "-"))
    for name in ("INSIDE.txt", "sub/INSIDE.txt", "sub/deep/INSIDE.txt", "swapped/data.txt", "swap-real/data.txt"):
        (inside / name).write_text(f"INSIDE {name}\n")
    for name in ("swapped", "swap-real", "index-link", "index-fifo", "index-dir"):
        (inside / name / "INSIDE.txt").write_text(f"INSIDE {name}\n")
    for name in ("swap-file.txt", "swap-side.txt"):
        (inside / name).write_text(f"INSIDE {name}\n")

    links = {
        "link-in.txt": "sub/INSIDE.txt",
        "link-in": "sub/deep",
        "link-chain.txt": "link-in.txt",
        "link-out.txt": "../inside-not/data.txt",
        "link-out-absolute.txt": str(outside / "data.txt"),
        "link-out-chain.txt": "link-out.txt",
        "link-out": "../inside-not",
        "link-up": "..",
        "link-loop": "link-loop",
        "link-root": "/",
        "link-passwd": "/etc/passwd",
        "link-environ": "/proc/self/environ",
        "link-self": "/proc/self/cwd",
        "link-zero": "/dev/zero",
        "link-null": "/dev/null",
        "link-tty": "/dev/tty",
        "link-stdin": "/dev/stdin",
        "link-fd": "/proc/self/fd",
        "index-link/index.html": "../../inside-not/index.html",
        "swap-link.txt": "swapped/data.txt",
        "swap-dir": "swapped",
        "swap-odd.txt": "swapped/data.txt",
        "swap-side.txt.gz": "swapped/data.txt",
        "side-link.txt.gz": "../inside-not/INSIDE.txt.gz",
        "side-link.txt.br": "../inside-not/INSIDE.txt.gz",
        "side-zero.txt.gz": "/dev/zero",
    }
    for name, target in links.items():
        (inside / name).symlink_to(target)
    os.mkfifo(inside / "fifo")
    os.mkfifo(inside / "index-fifo" / "index.html")
    for name in ("side-fifo.txt", "side-link.txt", "side-dir.txt", "side-zero.txt"):
        (inside / name).write_text(f"INSIDE {name}\n")
    os.mkfifo(inside / "side-fifo.txt.gz")
    (inside / "side-dir.txt.gz").mkdir()
    here = os.getcwd()
    with socket.socket(socket.AF_UNIX) as listener:
        # The address of a Unix socket is 108 bytes at most, so the test binds it from its
        # directory.
        os.chdir(inside)
        listener.bind("socket")
        os.chdir(here)
    (base / "www").mkdir()
    (base / "www" / "files").symlink_to("../inside")
    return base / "www" / "files"


class Asker:
    """Sends one request after the other, on one connection as long as the server keeps it."""

    def __init__(self, address):
        self.address = address
        self.client = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()

    def leave(self):
        if self.client is not None:
            self.client.socket.close()
            self.client = None

    def ask(self, target, lines=(), method="GET"):
        """The answer, its head as text, and how many seconds it took."""
        begun = time.monotonic()
        if self.client is None:
            self.client = Client(self.address, wait=ANSWER_SECONDS)
        try:
            self.client.send(request(method, target, lines))
            answer = self.client.answer(method)
        except (OSError, Closed):
            self.leave()
            raise
        answer.seconds = time.monotonic() - begun
        if answer.closes():
            self.leave()
        return answer


def wrong_with(target, answer):
    """What the answer must not contain; None if all is well."""
    said = repr(answer.fields).encode() + answer.body
    allowed = {200, 301, 400, 404} | ({414} if len(target) > 8000 else set())
    location = urlsplit(answer.first("location", ""))
    if MARKER.encode() in said:
        return "the outer file's marker"
    if str(OUTER_BYTES).encode() in answer.body:
        return "the outer file's length"
    if b"root:" in answer.body or b"PATH=" in answer.body:
        return "a file of the system"
    if answer.status not in allowed:
        return f"status {answer.status}"
    if answer.status == 200 and b"INSIDE" not in answer.body:
        return f"200 with {answer.body[:80]!r}"
    if answer.status == 301 and not (location.hostname in (None, "localhost") and location.path.startswith("/files/")):
        return f"Location: {location.geturl()}"
    if answer.seconds > ANSWER_SECONDS:
        return f"{answer.seconds:.1f} s"
    return None


def sweep(address, checks, base):
    every = targets.targets("inside-not/data.txt", str(base / "inside-not" / "data.txt"))
    statuses, wrong, slowest = {}, [], 0.0
    with Asker(address) as asker:
        for target in every:
            try:
                answer = asker.ask(target)
            except (OSError, Closed, ValueError) as error:
                wrong.append(f"{target[:120]!r}: {error!r}")
                continue
            statuses[answer.status] = statuses.get(answer.status, 0) + 1
            slowest = max(slowest, answer.seconds)
            if fault := wrong_with(target, answer):
                wrong.append(f"{target[:120]!r}: {fault}")
    for line in wrong[:20]:
        print(line)
    told = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    checks.that(
        not wrong and len(every) > 5000,
        f"sweep: {len(every)} targets: {told}; {len(wrong)} wrong; the slowest after {slowest * 1000:.0f} ms",
    )


def specials(address, checks):
    with Asker(address) as asker:
        for target, sent in SPECIAL.items():
            for lines in ((), CODINGS):
                try:
                    answer = asker.ask(f"/files{target}", lines)
                    fault = wrong_with(target, answer)
                    if fault is None and sent != (answer.status == 200):
                        # Where a directory cannot show an index, the server may list its other
                        # entries.
                        listed = target.startswith("/index-") and b"INSIDE" in answer.body
                        fault = None if listed else f"status {answer.status}"
                    if fault is None and answer.status == 301:
                        fault = "a redirect tells that there is a directory"
                except (OSError, Closed, ValueError) as error:
                    fault = repr(error)
                checks.that(fault is None, f"sweep: {target} {' '.join(lines)}: {fault}", quiet=True)
    print(f"sweep: {len(SPECIAL)} links, FIFOs, sockets and devices, each with and without Accept-Encoding")


def listing(address, checks):
    """A listing names only files that a client can get."""
    with Asker(address) as asker:
        page = asker.ask("/files/").body.decode()
        links = [urljoin("/files/", link) for link in re.findall(r'<a[^>]* href="([^"]*)"', page)]
        links = [link for link in links if link.startswith("/files/")]
        found = [asker.ask(link).status for link in links]
    bad = [link for link, status in zip(links, found) if status != 200]
    checks.that(
        len(found) > 5 and not bad, f"sweep: the listing's {len(found)} links lead somewhere {bad or ''}".strip()
    )


def swapped(address, inside, arguments, requests, seconds):
    """Requests names while they are swapped: the number of swaps, the answers' statuses, and what
    was wrong with them."""
    outside = inside.parent / "inside-not"
    command = [sys.executable, "-B", str(arguments.here / "swap.py"), str(inside), str(outside), str(SWAP_MOST_SECONDS)]
    statuses, wrong, lock = {}, [], threading.Lock()
    begun = time.monotonic()

    def over():
        enough = sum(statuses.values()) >= requests and time.monotonic() >= begun + seconds
        return enough or time.monotonic() >= begun + SWAP_MOST_SECONDS

    def client(number):
        with Asker(address) as asker:
            turn = number
            while not over():
                turn += 1
                target = f"/files/{SWAPPED[turn % len(SWAPPED)]}".removesuffix(".")
                answer = None
                try:
                    answer = asker.ask(target, [*CODINGS, "Range: bytes=0-"][: turn % 3])
                    if answer.status == 206:
                        answer.status = 200
                    fault = wrong_with(target, answer)
                except Exception as error:  # Whatever it is: no client ends unseen.
                    fault = repr(error)
                with lock:
                    status = answer.status if answer is not None else 0
                    statuses[status] = statuses.get(status, 0) + 1
                    if fault:
                        wrong.append(f"{target}: {fault}")

    clients = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(SWAP_CLIENTS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as swapper:
        try:
            swapper.stdout.readline()
            for thread in clients:
                thread.start()
            for thread in clients:
                thread.join()
            swaps, _ = swapper.communicate("")
        finally:
            swapper.kill()
    return int(swaps), statuses, wrong


def control(arguments, checks, root):
    """Shows that the marker would be seen: nginx follows every symlink."""
    with Nginx(arguments, root.parent) as nginx:
        with Asker(nginx.address) as asker:
            seen = [target for target in SPECIAL if MARKER.encode() in asker_body(asker, f"/files{target}")]
        checks.that("/link-out.txt" in seen, f"sweep: control: nginx shows the marker at {len(seen)} of the links")
        swaps, _, wrong = swapped(nginx.address, root.resolve(), arguments, 500, 1)
        seen = sum("marker" in line for line in wrong)
        checks.that(seen > 0, f"sweep: control: nginx shows it {seen} times in {swaps} swaps")


def asker_body(asker, target):
    try:
        return asker.ask(target).body if "zero" not in target and "stdin" not in target else b""
    except (OSError, Closed):
        return b""


def check(arguments, checks):
    base = arguments.out / "sweep"
    root = build(base)
    control(arguments, checks, root)
    with arguments.subject(arguments, root) as subject:
        start = subject.settled()
        sweep(subject.address, checks, base)
        specials(subject.address, checks)
        listing(subject.address, checks)
        swaps, statuses, wrong = swapped(subject.address, root.resolve(), arguments, SWAP_REQUESTS, SWAP_SECONDS)
        for line in wrong[:20]:
            print(line)
        told = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
        checks.that(
            not wrong and swaps > 200 and statuses.get(200, 0) > 100 and statuses.get(404, 0) > 100,
            f"sweep: {swaps} swaps: {told}; {len(wrong)} wrong",
        )
        usage, _ = subject.wait_until_back_at(start, BACK_SECONDS)
        checks.that(usage.is_back_at(start), f"sweep: before {start}; after {usage}")
        panics = subject.log.read_text().count("panicked")
        checks.that(panics == 0, f"sweep: {panics} panics in the demo's log")
