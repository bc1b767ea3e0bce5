"""The rounds and the tables: see README.md beside this file."""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time

import process
from process import PINNED, Process, title

SERVERS = {"akurai": "hub", "axum": "axum-broadcast"}


class Cell:
    """A fresh server and its clients."""

    def __init__(self, target, server, *clients, ws=False):
        words = ["--ws"] if ws else []
        self.server = Process(PINNED["server"], os.path.join(target, SERVERS[server]))
        self.clients = []
        try:
            self.address = self.server.read()
            self.present()
            self.empty = self.server.rss()
            for client in clients:
                client = Process(
                    PINNED["client"], os.path.join(target, "listen"), self.address, *client, *words
                )
                self.clients.append(client)
                if client.read() != "ready":
                    raise SystemExit("tests/bench: the subscribers are not ready")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for child in [*self.clients, self.server]:
            child.close()

    def present(self):
        host, port = self.address.split(":")
        with socket.create_connection((host, int(port)), 10) as stream:
            stream.sendall(b"GET /stats HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            answer = b""
            while part := stream.recv(4096):
                answer += part
        present, dropped = answer.split(b"\r\n\r\n", 1)[1].split()
        return int(present), int(dropped)

    def publish(self, plan):
        self.server.tell(plan)

    def begin(self):
        for client in self.clients:
            client.ask("begin")

    def report(self):
        return [json.loads(client.ask("report")) for client in self.clients]

    def window(self, seconds):
        """Measures the first client for this many seconds."""
        self.begin()
        start, server, client = time.monotonic(), self.server.cpu(), self.clients[0].cpu()
        time.sleep(seconds)
        server, client = self.server.cpu() - server, self.clients[0].cpu() - client
        took = time.monotonic() - start
        seen = self.report()[0]
        return figures(seen, took, server, client)

    def drained(self, expected, limit):
        """Waits until this many events were delivered, or none came for a while."""
        start, last, since = time.monotonic(), 0, time.monotonic()
        while time.monotonic() - start < limit:
            seen = self.report()[0]
            if seen["deliveries"] + seen["lost"] >= expected:
                return seen
            if seen["deliveries"] > last:
                last, since = seen["deliveries"], time.monotonic()
            elif last and time.monotonic() - since > 2:
                return seen
            time.sleep(0.2)
        return seen


def figures(seen, took, server, client):
    count = max(seen["deliveries"], 1)
    return {
        "cpu_us": server / count * 1e6,
        "rate": seen["deliveries"] / took,
        "p50": seen["p50_us"] / 1000,
        "p99": seen["p99_us"] / 1000,
        "lost": seen["lost"],
        "joined": seen["deliveries"] / max(seen["reads"], 1),
        "server": server / took * 100,
        "client": client / took * 100,
    }


def steady(cell, args, rate):
    cell.publish(f"{rate} 1 100")
    time.sleep(1)
    return cell.window(args.seconds)


def burst(cell, args, events):
    """Bursts of `events` events, each burst after the last one is drained."""
    count = events * args.subscribers
    took = server = client = 0
    total = None
    for _ in range(args.bursts):
        cell.begin()
        before = cell.server.cpu(), cell.clients[0].cpu()
        cell.publish(f"1 {events} 100 1")
        seen = cell.drained(count, 30)
        server += cell.server.cpu() - before[0]
        client += cell.clients[0].cpu() - before[1]
        took += seen["span_us"] / 1e6
        if total is None:
            total = seen
        else:
            total = {
                key: (
                    total[key] + seen[key]
                    if key in ("deliveries", "lost", "reads")
                    else max(total[key], seen[key])
                )
                for key in seen
            }
    return figures(total, max(took, 1e-9), server, client)


COLUMNS = [
    ("cpu_us", "CPU µs/delivery", 2),
    ("rate", "deliveries/s", 0),
    ("p50", "p50 ms", 2),
    ("p99", "p99 ms", 2),
    ("lost", "lost", 0),
    ("joined", "events/read", 1),
    ("server", "server core %", 0),
    ("client", "client core %", 0),
    ("rss", "RSS B/subscriber", 0),
    ("threads", "threads", 0),
]


def side_by_side(args, what, measure):
    """Interleaved rounds in alternating order; prints medians, and the medians of the ratios of
    each round."""
    rounds = []
    title(f"{what}{' by WebSocket' if args.ws else ''}, {args.rounds} rounds")
    for number in range(args.rounds):
        order = list(SERVERS) if number % 2 == 0 else list(SERVERS)[::-1]
        cells = {}
        for server in order:
            with Cell(args.target, server, (args.subscribers,), ws=args.ws) as cell:
                time.sleep(0.5)
                rss = (cell.server.rss() - cell.empty) / args.subscribers
                result = measure(cell)
                result["rss"] = rss
                result["threads"] = cell.server.status("Threads")
                cells[server] = result
            print(
                f"  round {number + 1} {server}: "
                + ", ".join(f"{k} {v:.2f}" for k, v in result.items()),
                file=sys.stderr,
            )
        rounds.append(cells)
    print("| | " + " | ".join(head for _, head, _ in COLUMNS) + " |")
    print("|---|" + "---|" * len(COLUMNS))
    for server in SERVERS:
        cells = [statistics.median(cells[server][key] for cells in rounds) for key, _, _ in COLUMNS]
        print(
            f"| {server} | "
            + " | ".join(f"{cell:,.{d}f}" for cell, (_, _, d) in zip(cells, COLUMNS))
            + " |"
        )
    ours, theirs = SERVERS
    for key, what in [
        ("cpu_us", "CPU for a delivery"),
        ("p50", "p50"),
        ("p99", "p99"),
        ("rate", "deliveries/s"),
    ]:
        ratios = [cells[ours][key] / max(cells[theirs][key], 1e-9) for cells in rounds]
        print(f"\n{what}, {ours} / {theirs}: median {statistics.median(ratios):.2f} of "
              + ", ".join(f"{ratio:.2f}" for ratio in ratios))
    sys.stdout.flush()


def fanout(args):
    n = args.subscribers
    side_by_side(args, f"{n:,} subscribers, 10 events/s", lambda cell: steady(cell, args, 10))


def rate(args):
    n = args.subscribers
    side_by_side(
        args, f"{n:,} subscribers, {args.rate} events/s", lambda cell: steady(cell, args, args.rate)
    )


def bursts(args):
    n = args.subscribers
    side_by_side(args, f"{n:,} subscribers, {args.bursts} bursts of {args.events:,} events",
                 lambda cell: burst(cell, args, args.events))


def kernel_kib():
    """The kernel's memory for the sockets of both ends: slabs, and the buffers that TCP counts in
    pages."""
    with open("/proc/meminfo") as file:
        slab = next(int(line.split()[1]) for line in file if line.startswith("Slab:"))
    with open("/proc/net/sockstat") as file:
        line = next(line for line in file if line.startswith("TCP:"))
    return slab, int(line.split()[-1]) * 4


def parked(args):
    n = args.subscribers
    title(f"{n:,} subscribers, parked")
    print(
        "| | RSS B/subscriber | after an event to all | slab KiB/connection, both ends | threads | heartbeats/s | idle CPU % of a core |"
    )
    print("|---|---|---|---|---|---|---|")
    for server in SERVERS:
        slab, _ = kernel_kib()
        with Cell(args.target, server, (n - n // 2,), (n // 2,)) as cell:
            time.sleep(1)
            rss = (cell.server.rss() - cell.empty) / n
            kernel = (kernel_kib()[0] - slab) / n
            cell.publish("1 1 100 1")
            time.sleep(3)
            after = (cell.server.rss() - cell.empty) / n
            threads = [cell.server.status("Threads")]
            seen = sum(seen["deliveries"] for seen in cell.report())
            # Until each subscriber has had its first heartbeat: from then on both servers send one
            # in 15 s.
            time.sleep(min(18, args.seconds))
            cell.begin()
            cpu, start = cell.server.cpu(), time.monotonic()
            time.sleep(args.seconds)
            took = time.monotonic() - start
            idle = (cell.server.cpu() - cpu) / took * 100
            threads.append(cell.server.status("Threads"))
            beats = sum(seen["reads"] for seen in cell.report()) / took
            if seen != n:
                print(f"tests/bench: {seen} of {n} saw the event", file=sys.stderr)
        print(
            f"| {server} | {rss:.0f} | {after:.0f} | {kernel:.1f} | {threads[0]} → {threads[1]} | {beats:.0f} | {idle:.2f} |",
            flush=True,
        )


def slow(args):
    n, m = args.subscribers, args.unread
    title(f"{m} that stop reading among {n:,} that read, {args.rate} events/s of 1,000 bytes")
    plan = f"{args.rate} 1 1000"
    with Cell(args.target, "akurai", (n,)) as cell:
        cell.publish(plan)
        time.sleep(1)
        control = [cell.window(1) for _ in range(max(1, int(args.seconds)))]
    with Cell(args.target, "akurai", (n, m)) as cell:
        cell.publish(plan)
        print(
            "| second | p50 ms | p99 ms | events to readers | RSS MiB | TCP buffers MiB | subscribers | dropped | server core % |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        during, after = [], []
        for second in range(max(1, int(args.seconds))):
            result = cell.window(1)
            present, dropped = cell.present()
            (during if dropped < m else after).append(result)
            print(
                f"| {second + 1} | {result['p50']:.2f} | {result['p99']:.2f} | {result['rate']:,.0f}/s, {result['lost']:.0f} lost | "
                f"{cell.server.rss() / 2**20:.1f} | {kernel_kib()[1] / 1024:.1f} | {present} | "
                f"{dropped} | {result['server']:.0f} |",
                flush=True,
            )
        cell.begin()
        cell.clients[0].ask("resume")
        time.sleep(8)
        seen = cell.report()[0]
        present, dropped = cell.present()
    print("\n| medians of the seconds | p50 ms | p99 ms | server core % |\n|---|---|---|---|")
    for name, results in [
        ("without slow ones, another server", control),
        ("until all of them are dropped", during),
        ("afterwards", after),
    ]:
        if results:
            middle = {
                key: statistics.median(result[key] for result in results)
                for key in ("p50", "p99", "server")
            }
            print(
                f"| {name} | {middle['p50']:.2f} | {middle['p99']:.2f} | {middle['server']:.0f} |"
            )
    print(
        f"\nThen they read on: {seen['resumed']} came back with Last-Event-ID, {seen['lost']} "
        "events lost, "
        f"{seen['twice']} twice, {seen['resets']} resets; {present} subscribers, {dropped} dropped "
        "in all"
    )


def leave(args):
    n = args.subscribers
    title(f"Half of {n:,} leave, and nothing is published")
    print("| | how | half of them noticed after s | all of them after s |")
    print("|---|---|---|---|")
    for server in SERVERS:
        for how in ("fin", "rst"):
            with Cell(args.target, server, (n,)) as cell:
                time.sleep(1)
                cell.clients[0].ask(f"{how} {n // 2}")
                start, half, present = time.monotonic(), None, n
                while present > n - n // 2 and time.monotonic() - start < 30:
                    time.sleep(0.05)
                    present, _ = cell.present()
                    if half is None and present <= n - n // 4:
                        half = time.monotonic() - start
                took = time.monotonic() - start
            whole = (
                f"{took:.2f}"
                if present == n - n // 2
                else f"{present} still there after {took:.0f}"
            )
            print(f"| {server} | {how.upper()} | {half or 0:.2f} | {whole} |", flush=True)


def built(checkout):
    """The hub of another checkout of this repository, built in a separate target directory."""
    bench = os.path.join(os.path.abspath(checkout), "tests", "bench")
    if not os.path.isdir(bench):
        raise SystemExit(f"tests/bench: {checkout} is no checkout of this repository")
    target = os.path.join(bench, "target")
    build = ["cargo", "build", "--release", "--quiet", "--bin", "hub", "--target-dir", target]
    subprocess.run(build, cwd=bench, check=True)
    return os.path.join(target, "release", "hub")


def main():
    scenarios = {
        "fanout": (fanout, {"subscribers": 1000}),
        "rate": (rate, {"subscribers": 1000, "rate": 500}),
        "bursts": (bursts, {"subscribers": 1000}),
        "parked": (parked, {"subscribers": 15000, "seconds": 30}),
        "slow": (slow, {"subscribers": 1000, "rate": 100, "seconds": 20}),
        "leave": (leave, {"subscribers": 1000}),
    }
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--target", required=True, help=argparse.SUPPRESS)
    parser.add_argument(
        "scenario",
        choices=scenarios,
        help="how many: "
        + ", ".join(f"{name} {had['subscribers']:,}" for name, (_, had) in scenarios.items()),
    )
    parser.add_argument("subscribers", type=int, nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="that a round measures")
    parser.add_argument("--rate", type=int, default=10, help="events a second")
    parser.add_argument("--events", type=int, default=1000, help="of a burst")
    parser.add_argument("--bursts", type=int, default=5)
    parser.add_argument("--unread", type=int, default=100, help="that stop reading, of slow")
    parser.add_argument(
        "--ws", action="store_true", help="of fanout, rate and bursts: by WebSocket instead of SSE"
    )
    parser.add_argument("--against", metavar="CHECKOUT",
                        help="the Hub of another checkout in place of axum, as `other`")
    parser.add_argument(
        "--nice",
        type=int,
        default=0,
        help="of server and client, on a machine that others use; below 0 as root",
    )
    chosen = parser.parse_args().scenario
    run, defaults = scenarios[chosen]
    parser.set_defaults(**defaults)
    args = parser.parse_args()
    if args.ws and run not in (fanout, rate, bursts):
        parser.error(f"{args.scenario} has no --ws")
    if args.against:
        del SERVERS["axum"]
        SERVERS["other"] = built(args.against)
    process.NICE = args.nice
    run(args)


if __name__ == "__main__":
    main()
