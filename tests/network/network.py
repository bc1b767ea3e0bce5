"""Run by `run`: clients behind bad links, several links at a time, and what the server makes of
them."""

import argparse
import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from checks import Checks
from client import ask
from ends import ORDERLY, PORT, Download, Echo, EventSource, Member, Speaker, Upload
from link import Conditions, Link, Relay, command, inside, owned_ports
from process import Failed, Process, accepts, wait_until

KIB = 1024
GRACE_SECONDS = 30
# What a machine may take longer, for each process of a core that wants to run.
BUSY_SECONDS = 10
# The longest that a case may need for its transfers, without its gap.
TRANSFER_SECONDS = 120
BACK_SECONDS = 30
# The files' time, in seconds since 1970.
OLD_SECONDS = 1_700_000_000
# Texts of the echo that may be on their way at the end, one for two seconds.
MOST_UNANSWERED = 10
# How long the first clients have before the network is disturbed.
CALM_SECONDS = 3

# When the server must have dropped a connection that vanished, in seconds: a subscriber of a hub to
# which events go (`HubOptions::no_acknowledgement`), WebSockets (`ping_interval` and `pong_wait`;
# what the room sends to the member in 20 s counts for 8 s more), a download
# (`Limits::write_stall`, and twice the quarter of it that a write waits: two of them may yet put a
# few bytes into the system's buffer), an upload (`Limits::body_stall`, and the wait for its end
# after the 408).
GONE_SECONDS = {"events": 43, "member": 48, "echo": 40, "download": 45, "upload": 35}
TRANSFERS = ("download", "upload")


@dataclass(frozen=True)
class Case:
    """A link, how much goes over it, and what happens to it meanwhile."""

    name: str
    conditions: Conditions
    download: int
    upload: int
    # A part of the file, on its way when the server is asked to stop.
    last: int
    gap: float = 0
    forgets: bool = False
    stops: bool = True
    # What happens to the network at that moment: a gap of so many seconds, or the NAT forgets.
    gap_at_stop: float = 0
    forgets_at_stop: bool = False
    # TCP's next try behind the gap may come later than a transfer's stall allows: it waits twice as
    # long each time. Then the transfer goes on over another connection.
    may_stall: bool = False


NARROW, POOR = Conditions(rate=40_000), Conditions(delay=0.3, loss=0.05, rate=40_000)

QUICK = [
    Case("300 ms", Conditions(delay=0.3), 4096 * KIB, 1024 * KIB, 1024 * KIB),
    Case("5 % lost", Conditions(loss=0.05), 3072 * KIB, 1024 * KIB, 512 * KIB),
    Case("40 kB/s", NARROW, 2048 * KIB, 512 * KIB, 256 * KIB),
    Case("all three", POOR, 256 * KIB, 128 * KIB, 64 * KIB),
    Case(
        "a gap of 10 s", Conditions(rate=150_000), 3072 * KIB, 1536 * KIB, 384 * KIB,
        gap=10, gap_at_stop=10,
    ),
    Case(
        "a gap of 120 s", Conditions(rate=150_000), 2048 * KIB, 1024 * KIB, 0,
        gap=120, stops=False,
    ),
    Case(
        "a NAT that forgets", Conditions(rate=150_000), 2048 * KIB, 1024 * KIB, 384 * KIB,
        forgets=True, forgets_at_stop=True,
    ),
]

LONG = [
    Case("300 ms, long", Conditions(delay=0.3), 64 * 1024 * KIB, 16 * 1024 * KIB, 4096 * KIB),
    Case("5 % lost, long", Conditions(loss=0.05), 48 * 1024 * KIB, 16 * 1024 * KIB, 2048 * KIB),
    Case("40 kB/s, long", NARROW, 16 * 1024 * KIB, 8 * 1024 * KIB, 512 * KIB),
    Case("all three, long", POOR, 4096 * KIB, 2048 * KIB, 64 * KIB),
    Case("all three, and a gap of 10 s", POOR, 512 * KIB, 256 * KIB, 64 * KIB, gap=10, may_stall=True),
    Case(
        "a gap of 25 s", Conditions(rate=150_000), 6 * 1024 * KIB, 3 * 1024 * KIB, 384 * KIB,
        gap=25, may_stall=True,
    ),
    Case("300 ms and 10 % lost", Conditions(delay=0.3, loss=0.1), 1024 * KIB, 512 * KIB, 64 * KIB),
]


@dataclass
class Report:
    """What a case has to say, printed when it is over: the cases run at the same time."""

    case: Case
    claims: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    seconds: float = 0.0

    def that(self, holds, text):
        self.claims.append((bool(holds), f"{self.case.name}: {text}"))


class Run:
    """A case while it runs."""

    def __init__(self, case, link, server, digests, report):
        self.case, self.link, self.server, self.digests, self.report = (
            case, link, server, digests, report,
        )
        # A connection ends only where the network was away for longer than somebody waits.
        self.is_cut = case.gap > 30 or case.forgets

    def clients(self):
        size, case = self.case.download // KIB, self.case
        return {
            "events": EventSource(self.link),
            "member": Member(self.link),
            "echo": Echo(self.link),
            "download": Download(self.link, f"/files/{size}"),
            "upload": Upload(self.link, case.upload),
        }

    def go(self):
        ask_near(self.link, "/api/health")
        start = self.server.usage()
        if self.case.forgets or self.case.forgets_at_stop:
            self.link.remember_flows()
        speaker = Speaker(self.link)
        wait_until("the room is open", lambda: speaker.heard or speaker.error)
        clients = self.clients()
        try:
            for name, one in clients.items():
                wait_until(f"{name} is under way: {one.ends}", one.under_way.is_set, 60)
            self.disturb(clients)
            self.judge(clients, speaker)
        finally:
            for one in [*clients.values(), speaker]:
                one.end()
        back, waited = self.server.wait_until_back_at(start, BACK_SECONDS)
        self.report.that(
            back.is_back_at(start),
            f"{waited:.0f} s after the last client: {back} (must: {start.threads} + 4, "
            f"{start.descriptors})",
        )
        if self.case.stops:
            self.stop()

    def disturb(self, clients):
        """Takes the network away in the midst of everything. Watches when the server drops its
        connections, if the network is away for long."""
        if not self.case.gap and not self.case.forgets:
            return
        time.sleep(CALM_SECONDS)
        ports = {name: one.port() for name, one in clients.items()}
        done = [name for name in ("download", "upload") if clients[name].is_done]
        self.report.that(not done, f"all are under way when the network goes {done or ''}".rstrip())
        begun = time.monotonic()
        if self.case.forgets:
            self.link.forget_flows()
        else:
            self.link.is_up = False
        gone = {}
        away = self.case.gap or max(GONE_SECONDS.values()) + busy_seconds()
        while time.monotonic() < begun + away and (self.case.gap or len(gone) < len(ports)):
            held = owned_ports(self.server.pid, PORT)
            for name, port in ports.items():
                if port not in held:
                    gone.setdefault(name, time.monotonic() - begun)
            time.sleep(0.25)
        self.link.is_up = True
        if not self.is_cut:
            return
        for name, most in GONE_SECONDS.items():
            after = gone.get(name)
            told = "never" if after is None else f"after {after:.0f} s"
            self.report.that(
                after is not None and after <= most + busy_seconds(),
                f"the server drops the vanished {name} {told} (must: {most} s, + "
                f"{busy_seconds():.0f} s)",
            )

    def judge(self, clients, speaker):
        """Everything arrives, and without a cut nobody is dropped."""
        that, transfers = self.report.that, [clients["download"], clients["upload"]]
        events, member, echo = clients["events"], clients["member"], clients["echo"]
        with contextlib.suppress(Failed):
            wait_until(
                "the transfers",
                lambda: all(one.is_done for one in transfers),
                self.transfer_seconds(),
            )
        followers = [events, member, echo]
        if self.is_cut:
            with contextlib.suppress(Failed):
                wait_until(
                    "all are back",
                    lambda: member.got[-1] and all(one.opens > 1 for one in followers),
                    60,
                )
        speaker.over.set()
        speaker.join(70)
        last = speaker.heard
        with contextlib.suppress(Failed):
            wait_until(
                "all have the last",
                lambda: events.got
                and events.got[-1][1] == last
                and member.got[-1]
                and member.got[-1][-1] == last,
                60,
            )
        numbers, ids = [number for _, number in events.got], [id_order(id) for id, _ in events.got]
        whole = (
            numbers == list(range(numbers[0], last + 1))
            and ids == sorted(set(ids))
            and not events.resets
        )
        that(
            whole and not speaker.error,
            f"the EventSource has {len(numbers)} events of {numbers[0]} to {last} once and in "
            "order, "
            f"over {events.opens} connections, {events.resets} resets "
            f"{speaker.error or ''}".rstrip(),
        )
        parts = [part for part in member.got if part]
        in_order = (
            all(part == list(range(part[0], part[-1] + 1)) for part in parts)
            and parts[-1][-1] == last
        )
        missing = last + 1 - parts[0][0] - sum(map(len, parts))
        that(
            in_order and (self.is_cut or (len(parts) == 1 and not missing)),
            f"the WebSocket in the room has all messages of each of its {len(parts)} connections, "
            f"{missing} came in between, {member.pings} pings answered",
        )
        that(
            echo.answered > 0 and (self.is_cut or echo.asked - echo.answered <= MOST_UNANSWERED),
            f"the echo answered {echo.answered} of {echo.asked} texts, the slowest Pong after "
            f"{echo.longest:.1f} s",
        )
        download, upload = transfers
        expected = self.digests[self.case.download]
        that(
            download.is_done and download.digest() == expected and not download.again,
            f"the download of {self.case.download // KIB} KiB is whole, over {download.opens} "
            "connections",
        )
        that(
            upload.is_done,
            f"the upload of {self.case.upload // KIB} KiB is whole, over {upload.opens} "
            "connections",
        )
        if not self.is_cut:
            dropped = {name: one.ends for name, one in clients.items() if one.opens != 1}
            if self.case.may_stall:
                dropped = {name: dropped[name] for name in dropped if name not in TRANSFERS}
            that(not dropped, f"nobody was dropped {dropped or ''}".rstrip())
        else:
            for name, one in clients.items():
                self.report.notes.append(f"{name}: {told(one.ends)}")

    def transfer_seconds(self):
        case = self.case
        # 5 % of 1460 bytes at 600 ms leave 13 kB/s, or less.
        rate = min(
            case.conditions.rate,
            8_000 if case.conditions.loss and case.conditions.delay > 0.1 else 80_000,
        )
        return TRANSFER_SECONDS + max(case.download, case.upload) / rate

    def stop(self):
        """SIGTERM while everything is under way."""
        case, that = self.case, self.report.that
        speaker = Speaker(self.link)
        wait_until("the room is open", lambda: speaker.heard or speaker.error)
        followers = {
            "events": EventSource(self.link),
            "member": Member(self.link),
            "echo": Echo(self.link),
        }
        download = Download(self.link, f"/files/{case.last // KIB}")
        upload = Upload(self.link, case.last // 4)
        everybody = [*followers.values(), download, upload]
        try:
            for one in everybody:
                wait_until(
                    f"{type(one).__name__} is under way: {one.ends}", one.under_way.is_set, 60
                )
                one.over.set()
            begun = time.monotonic()
            self.server.signal(signal.SIGTERM)
            if case.forgets_at_stop:
                self.link.forget_flows()
            if case.gap_at_stop:
                self.link.is_up = False
                time.sleep(case.gap_at_stop)
                self.link.is_up = True
            try:
                code = self.server.process.wait(GRACE_SECONDS + BUSY_SECONDS)
            except subprocess.TimeoutExpired:
                code = None
            took = time.monotonic() - begun
            that(
                code == 0 and took <= GRACE_SECONDS + 2,
                f"stop: exit code {code} after {took:.1f} s (grace {GRACE_SECONDS} s)",
            )
            if case.forgets_at_stop:
                return
            for one in everybody:
                one.join(GRACE_SECONDS + BUSY_SECONDS)
            whole = download.is_done and download.digest() == self.digests[case.last]
            that(
                whole,
                f"stop: the download of {case.last // KIB} KiB under way is whole: "
                f"{told(download.ends)}",
            )
            that(upload.is_done, f"stop: the upload under way is answered: {told(upload.ends)}")
            ends = {name: told(one.ends) for name, one in followers.items()}
            codes = [*followers["member"].codes, *followers["echo"].codes]
            # A gap is longer than the server waits for the answer to its Close. Then a ping that
            # comes later is answered with a reset.
            that(
                case.gap_at_stop or (codes == [1001, 1001] and ends["events"] == ORDERLY),
                f"stop: the event stream had {ends['events']}, the WebSockets {ends['member']} and "
                f"{ends['echo']}",
            )
        finally:
            for one in [*everybody, speaker]:
                one.over.set()
            for one in [*everybody, speaker]:
                one.end()


def busy_seconds():
    """What a busy machine may take longer."""
    return BUSY_SECONDS * min(max(1.0, os.getloadavg()[0] / os.cpu_count()), 6.0)


def told(ends):
    """Why connections ended, each reason once."""
    return "; ".join(
        f"{ends.count(end)} × {end}" if ends.count(end) > 1 else end for end in dict.fromkeys(ends)
    )


def id_order(id):
    ms, _, sequence = id.partition("-")
    return int(ms), int(sequence or 0)


def ask_near(link, path):
    return inside(link.server, lambda: ask(("127.0.0.1", PORT), "GET", path))


def run(case, number, arguments, relay, digests):
    report, begun = Report(case), time.monotonic()
    log = arguments.out / f"server-{number}.log"
    name = f"{arguments.prefix}{number}"
    try:
        with Link(name, case.conditions, arguments.seed + number, relay) as link:
            words = [
                arguments.server, "--quiet", "--addr", f"0.0.0.0:{PORT}", "--dir",
                arguments.out / "files",
            ]
            with Process(["ip", "netns", "exec", link.server, *words], log) as server:
                listens = lambda: inside(link.server, lambda: accepts(("127.0.0.1", PORT)))
                server.come_up("it listens", listens)
                Run(case, link, server, digests, report).go()
            report.notes.append(f"{case.conditions}; {link.totals()}")
    except Exception as error:  # Whatever it is, the case has failed.
        report.that(False, f"it ended: {error!r}")
        report.notes.append(traceback.format_exc())
    report.seconds = time.monotonic() - begun
    return report


def files(directory, cases, seed):
    """The files to download, named by their KiB; returns their digests by size."""
    directory.mkdir(exist_ok=True)
    digests = {}
    for size in {size for case in cases for size in (case.download, case.last)}:
        body = random.Random(seed + size).randbytes(size)
        path = directory / str(size // KIB)
        path.write_bytes(body)
        # The ETag of a file that has just been written is weak, and good for no range (RFC 9110
        # §8.8.2.2 and §13.1.5).
        os.utime(path, (OLD_SECONDS, OLD_SECONDS))
        digests[size] = hashlib.sha256(body).digest()
    return digests


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True, help="the program akurai-server")
    parser.add_argument(
        "--out", required=True, type=Path, help="directory for logs, and for the files to download"
    )
    parser.add_argument("--prefix", required=True, help="how the names of the namespaces begin")
    parser.add_argument("--seed", type=int, default=1, help="of the lost packets")
    parser.add_argument("--long", action="store_true", help="the longer cases too")
    parser.add_argument("--only", metavar="TEXT", help="only the cases with this in their name")
    arguments = parser.parse_args()
    # So that SIGTERM, too, removes the namespaces.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    cases = [
        case
        for case in [*QUICK, *(LONG if arguments.long else [])]
        if (arguments.only or "") in case.name
    ]
    digests = files(arguments.out / "files", cases, arguments.seed)
    checks, relay, lock, told_cases = Checks(), Relay(), threading.Lock(), []
    print(f"seed {arguments.seed}; {len(cases)} links at a time", flush=True)

    def one(number, case):
        report = run(case, number, arguments, relay, digests)
        with lock:
            print(f"# {case.name}: {report.seconds:.0f} s", flush=True)
            for claim in report.claims:
                checks.that(*claim)
            for note in report.notes:
                print(f"    {note}")
            told_cases.append(case.name)

    threads = [threading.Thread(target=one, args=pair, daemon=True) for pair in enumerate(cases)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        return 130
    lacking = [case.name for case in cases if case.name not in told_cases]
    checks.that(not lacking, f"each of {len(cases)} cases has a report {lacking or ''}".rstrip())
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
