"""A fresh server and its client, and rounds that compare them: code that `files`, `http` and `echo`
share."""

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from process import PINNED, Process, title

WARM_UP_SECONDS = 1


class Program(Process):
    """A server of this package, which prints its address."""

    def __init__(self, args, program, *words):
        super().__init__(PINNED["server"], os.path.join(args.target, program), *words)
        self.address = self.read()

    def peak(self):
        return self.status("VmHWM") * 1024


class Cell:
    """A server, and a client that has had an answer on each connection. `words` are the client's
    arguments after the address."""

    # Measure the second after the traffic as well.
    rest = False
    # The requests/s that the client sends, if it does not send as fast as it can.
    rate = None
    # The server reads its CPU time without that of the computing handlers.
    computes = False
    # Measure so many times as long as the arguments say.
    times = 1

    def __init__(self, args, server, client, *words):
        self.server, self.client = server, None
        try:
            self.client = Process(
                PINNED["client"], os.path.join(args.target, client), server.address, *words
            )
            if self.client.read() != "ready":
                raise SystemExit("tests/bench: the client is not ready")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for child in filter(None, [self.client, self.server]):
            child.close()

    def window(self, seconds):
        """Measures for this many seconds, once the load is there."""
        self.client.ask("run")
        time.sleep(min(WARM_UP_SECONDS, seconds))
        seconds *= self.times
        cpu = self.server.cpu_without_computing if self.computes else self.server.cpu
        # The client counts from just after the first reading of the CPU time to just after the
        # second.
        all, server = self.server.cpu(), cpu()
        self.client.ask("begin")
        end = time.monotonic() + seconds
        switches = self.server.switches()
        time.sleep(max(0, end - time.monotonic()))
        server = cpu() - server
        seen = json.loads(self.client.ask("report"))
        all = self.server.cpu() - all
        switches = self.server.switches() - switches
        took = seen["took_us"] / 1e6
        # Only a part of a large file may have arrived: then the bytes count.
        requests = max(seen["requests"], 1)
        found = {
            "rate": seen["requests"] / took,
            "gb": seen["bytes"] / took / 1e9,
            "cpu_us": server / requests * 1e6,
            "cpu_gb": server / max(seen["bytes"], 1) * 1e9,
            "switches": switches / requests,
            "p50": seen["p50_us"],
            "p99": seen["p99_us"],
            "server": all / took * 100,
            "client": 100 - seen["idle_us"] / took / 1e4,
            "peak": self.server.peak() / 2**20,
            "threads": sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self.server.pids()),
        }
        if self.rate:
            found["reached"] = (seen["requests"] + seen["slow"]) / took / self.rate * 100
        if self.rest:
            found["rest"] = self.rest_ms()
        return found

    def rest_ms(self):
        """The CPU time of the server in the second after the last answer."""
        self.client.ask("stop")
        server = self.server.cpu()
        time.sleep(1)
        return (self.server.cpu() - server) * 1e3

    def calls(self, times):
        """System calls by name, counted by strace, while the client asks this many times on each
        connection."""
        with tempfile.NamedTemporaryFile("r") as counts:
            pids = [word for pid in self.server.pids() for word in ("-p", str(pid))]
            strace = subprocess.Popen(
                ["strace", "-f", "-c", "-o", counts.name, *pids], stderr=subprocess.PIPE, text=True
            )
            for _ in self.server.pids():
                if "attached" not in strace.stderr.readline():
                    raise SystemExit("tests/bench: strace may not attach to the server")
            self.client.ask(f"do {times}")
            strace.send_signal(signal.SIGINT)
            strace.wait(10)
            rows = [line.split() for line in counts]
        found = {
            row[-1]: int(row[3])
            for row in rows
            if len(row) >= 5 and row[3].isdigit() and row[-1] != "total"
        }
        return dict(sorted(found.items(), key=lambda item: -item[1]))


COLUMNS = {
    "cpu_us": ("CPU µs/request", 2),
    "p50": ("p50 µs", 0),
    "p99": ("p99 µs", 0),
    "rate": ("requests/s", 0),
    "reached": ("of the asked rate %", 1),
    "gb": ("GB/s", 2),
    "cpu_gb": ("CPU s/GB", 3),
    "switches": ("switches/request", 2),
    "server": ("server busy %", 0),
    "client": ("client busy %", 0),
    "rest": ("CPU ms in the second after", 2),
    "peak": ("peak RSS MiB", 1),
    "threads": ("threads", 0),
}

# Less of the asked rate, in %, is named below the table.
REACHED = 99


def interleaved(args, servers, measure):
    """Rounds of `measure` for each server, in alternating order."""
    rounds = []
    for number in range(args.rounds):
        cells = {}
        for server in servers if number % 2 == 0 else servers[::-1]:
            cells[server] = measure(server)
            print(
                f"  round {number + 1} {server}: "
                + ", ".join(f"{k} {v:.2f}" for k, v in cells[server].items()),
                file=sys.stderr,
            )
        rounds.append(cells)
    return rounds


def print_medians(servers, rounds, columns):
    """A table of (heading, key, digits)."""
    print("| | " + " | ".join(head for head, _, _ in columns) + " |")
    print("|---|" + "---|" * len(columns))
    for server in servers:
        medians = (
            f"{statistics.median(cells[server][key] for cells in rounds):,.{digits}f}"
            for _, key, digits in columns
        )
        print(f"| {server} | " + " | ".join(medians) + " |", flush=True)


def side_by_side(args, heading, servers, open_cell, ratios):
    """Prints medians, and for the figures in `ratios` the medians of the ratios of each round."""
    title(f"{heading}, {args.rounds} rounds")

    def measure(server):
        with open_cell(server) as cell:
            return cell.window(args.seconds)

    rounds = interleaved(args, servers, measure)
    measured = rounds[0][servers[0]]
    print_medians(
        servers,
        rounds,
        [(head, key, digits) for key, (head, digits) in COLUMNS.items() if key in measured],
    )
    for server in servers if "reached" in measured else []:
        part, busy = (
            statistics.median(found[server][key] for found in rounds)
            for key in ("reached", "client")
        )
        if part < REACHED:
            print(
                f"\nThe rate was not reached with {server}: {part:.0f}% of it, while the client "
                f"was busy {busy:.0f}% of the time. "
                "The latencies include the delay."
            )
    ours, *peers = servers
    if not peers:
        return
    print(
        f"\n| {ours} to | "
        + " | ".join(f"{COLUMNS[key][0]}, median (least to most)" for key in ratios)
        + " |"
    )
    print("|---|" + "---|" * len(ratios))
    for peer in peers:
        cells = []
        for key in ratios:
            found = [cells[ours][key] / max(cells[peer][key], 1e-9) for cells in rounds]
            cells.append(f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})")
        print(f"| {peer} | " + " | ".join(cells) + " |")
    sys.stdout.flush()


def by_wrk(args, heading, servers, open_cell, path, connections, fields=()):
    """The same measurement with wrk as the client."""
    title(
        f"{heading}, {connections} connection{'s' if connections > 1 else ''}, by wrk, "
        f"{args.rounds} rounds"
    )

    def measure(server):
        with open_cell(server) as cell:
            url = f"http://{cell.server.address}{path}"
            headers = [word for line in fields for word in ("-H", line)]
            wrk = Process(
                PINNED["client"],
                shutil.which("wrk"),
                "-t1", "--latency", f"-c{connections}", f"-d{int(args.seconds) + 2}s", *headers,
                url,
            )
            # In the middle of the run, since wrk reports the rate of the whole run.
            time.sleep(0.5)
            start, before = time.monotonic(), cell.server.cpu()
            time.sleep(args.seconds)
            busy = (cell.server.cpu() - before) / (time.monotonic() - start)
            text = wrk.process.stdout.read()
            wrk.close()
        if "Non-2xx" in text or "Socket errors" in text:
            raise SystemExit(f"tests/bench: wrk and {server}:\n{text}")
        rate = float(re.search(r"Requests/sec: +([\d.]+)", text)[1])
        units = {"us": 1, "ms": 1e3, "s": 1e6}
        parts = {
            part: float(time) * units[unit]
            for part, time, unit in re.findall(r"(\d+)% +([\d.]+)(us|ms|s)\n", text)
        }
        return {"rate": rate, "cpu_us": busy / rate * 1e6, "p50": parts["50"], "p99": parts["99"]}

    rounds = interleaved(args, servers, measure)
    columns = ("cpu_us", "p50", "p99", "rate")
    print_medians(
        servers, rounds, [(head, key, digits) for key in columns for head, digits in [COLUMNS[key]]]
    )


def has_strace():
    return shutil.which("strace") is not None


def print_calls(label, server, calls, requests):
    named = ", ".join(
        f"{name} {count / requests:.2f}"
        for name, count in calls.items()
        if count / requests >= 0.02
    )
    print(f"| {label} | {server} | {sum(calls.values()) / requests:,.2f} | {named} |", flush=True)
