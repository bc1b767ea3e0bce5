"""Downloads of files, by us and by others: see README.md beside this file."""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import process
from process import PINNED, Process, title

SERVERS = ["akurai", "nginx", "nginx-sendfile", "axum", "tiny_http", "floor"]
PROGRAMS = {"akurai": "files", "axum": "axum-files", "tiny_http": "tiny-files", "floor": "floor-files"}
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

# One connection is enough for what takes a good part of a second.
LARGE_BYTES = 64 * 2**20
WARM_UP_SECONDS = 1

NGINX = """
daemon off;
worker_processes 1;
pid {work}/nginx.pid;
error_log stderr;
{user}
events {{ worker_connections 1024; }}
http {{
  access_log off;
  {sendfile}
  keepalive_requests 1000000000;
  default_type application/octet-stream;
  client_body_temp_path {work}/body;
  proxy_temp_path {work}/proxy;
  fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi;
  scgi_temp_path {work}/scgi;
  server {{ listen {address}; root {root}; }}
}}
"""


class Program(Process):
    """A server of this package: it says where it listens."""

    def __init__(self, args, name, work):
        super().__init__(PINNED["server"], os.path.join(args.target, PROGRAMS[name]), work)
        self.address = self.read()

    def peak(self):
        return self.status("VmHWM") * 1024


class Nginx(Process):
    """A master with one worker."""

    def __init__(self, _, name, work):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = "127.0.0.1:%d" % free.getsockname()[1]
        # The second as Debian has it in nginx.conf: the head waits for the first of the file.
        sendfile = "sendfile on; tcp_nopush on;" if name == "nginx-sendfile" else "sendfile off;"
        config = os.path.join(work, "nginx.conf")
        with open(config, "w") as file:
            file.write(NGINX.format(work=work, root=work, address=self.address, sendfile=sendfile,
                                    user="user root;" if os.geteuid() == 0 else ""))
        super().__init__(PINNED["server"], shutil.which("nginx"), "-p", work, "-c", config)
        self.await_worker()

    def await_worker(self):
        host, port = self.address.split(":")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection((host, int(port)), 1).close()
                if len(self.pids()) == 2:
                    return
            except ConnectionRefusedError:
                pass
            time.sleep(0.05)
        self.close()
        raise SystemExit("tests/bench: nginx does not listen")

    def peak(self):
        """Of the worker: what it shares with its master would count twice."""
        with open(f"/proc/{self.pids()[1]}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) * 1024

    def close(self):
        self.process.terminate()
        super().close()


class Cell:
    """A fresh server, and a client that has had the file once on each connection."""

    def __init__(self, args, server, size, connections):
        kind = Nginx if server.startswith("nginx") else Program
        self.server, self.client = kind(args, server, args.work), None
        try:
            fetch = os.path.join(args.target, "fetch")
            self.client = Process(PINNED["client"], fetch, self.server.address, f"/files/{size}.bin", bytes_of(size),
                                  connections, *args.header)
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
        """What happens in so many seconds, once the load is there."""
        self.client.ask("run")
        time.sleep(WARM_UP_SECONDS)
        self.client.ask("begin")
        start, server = time.monotonic(), self.server.cpu()
        time.sleep(seconds)
        server = self.server.cpu() - server
        took = time.monotonic() - start
        seen = json.loads(self.client.ask("report"))
        # Of a large file only a part may be here: then the bytes count.
        requests = max(seen["requests"], 1)
        return {
            "rate": seen["requests"] / took,
            "gb": seen["bytes"] / took / 1e9,
            "cpu_us": server / requests * 1e6,
            "cpu_gb": server / max(seen["bytes"], 1) * 1e9,
            "p50": seen["p50_us"],
            "p99": seen["p99_us"],
            "server": server / took * 100,
            "client": 100 - seen["idle_us"] / took / 1e4,
            "peak": self.server.peak() / 2**20,
            "threads": sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self.server.pids()),
        }

    def calls(self, requests):
        """System calls of so many requests by name, as strace sees them."""
        with tempfile.NamedTemporaryFile("r") as counts:
            pids = [word for pid in self.server.pids() for word in ("-p", str(pid))]
            strace = subprocess.Popen(["strace", "-f", "-c", "-o", counts.name, *pids], stderr=subprocess.PIPE, text=True)
            for _ in self.server.pids():
                if "attached" not in strace.stderr.readline():
                    raise SystemExit("tests/bench: strace may not attach to the server")
            self.client.ask(f"do {requests}")
            strace.send_signal(signal.SIGINT)
            strace.wait(10)
            rows = [line.split() for line in counts]
        found = {row[-1]: int(row[3]) for row in rows if len(row) >= 5 and row[3].isdigit() and row[-1] != "total"}
        return dict(sorted(found.items(), key=lambda item: -item[1]))


COLUMNS = [("rate", "requests/s", 0), ("gb", "GB/s", 2), ("cpu_us", "CPU µs/request", 1), ("cpu_gb", "CPU s/GB", 3),
           ("p50", "p50 µs", 0), ("p99", "p99 µs", 0), ("server", "server busy %", 0), ("client", "client busy %", 0),
           ("peak", "peak RSS MiB", 1), ("threads", "threads", 0)]


def side_by_side(args, size, connections):
    """Interleaved rounds in alternating order; prints medians, and the medians of the rounds' ratios."""
    rounds = []
    title(f"{size}, {connections} connection{'s' if connections > 1 else ''}, {args.rounds} rounds")
    for number in range(args.rounds):
        order = args.servers if number % 2 == 0 else args.servers[::-1]
        cells = {}
        for server in order:
            with Cell(args, server, size, connections) as cell:
                cells[server] = cell.window(args.seconds)
            print(f"  round {number + 1} {server}: " + ", ".join(f"{k} {v:.2f}" for k, v in cells[server].items()),
                  file=sys.stderr)
        rounds.append(cells)
    print("| | " + " | ".join(head for _, head, _ in COLUMNS) + " |")
    print("|---|" + "---|" * len(COLUMNS))
    for server in args.servers:
        cells = [statistics.median(cells[server][key] for cells in rounds) for key, _, _ in COLUMNS]
        print(f"| {server} | " + " | ".join(f"{cell:,.{d}f}" for cell, (_, _, d) in zip(cells, COLUMNS)) + " |")
    ours, *peers = args.servers
    print(f"\n| {ours} to | CPU/byte, median (least to most) | throughput, median (least to most) |\n|---|---|---|")
    for peer in peers:
        cells = []
        for key in ("cpu_gb", "gb"):
            ratios = [cells[ours][key] / max(cells[peer][key], 1e-9) for cells in rounds]
            cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        print(f"| {peer} | " + " | ".join(cells) + " |")
    sys.stdout.flush()


def system_calls(args):
    title("System calls of a request, one connection")
    print("| | | calls/request | of which |\n|---|---|---|---|")
    for size in args.sizes:
        requests = max(1, min(1000, 64 * 2**20 // bytes_of(size)))
        for server in args.servers:
            with Cell(args, server, size, 1) as cell:
                calls = cell.calls(requests)
            named = ", ".join(f"{name} {count / requests:.1f}" for name, count in calls.items() if count / requests >= 0.05)
            print(f"| {size} | {server} | {sum(calls.values()) / requests:,.1f} | {named} |", flush=True)


def cross_check(args, size, connections):
    """The same by another client."""
    title(f"{size}, {connections} connections, by wrk, {args.rounds} rounds")
    rounds = []
    for number in range(args.rounds):
        cells = {}
        for server in args.servers if number % 2 == 0 else args.servers[::-1]:
            with Cell(args, server, size, connections) as cell:
                url = f"http://{cell.server.address}/files/{size}.bin"
                headers = [word for line in args.header for word in ("-H", line)]
                wrk = Process(PINNED["client"], shutil.which("wrk"), "-t1", f"-c{connections}",
                              f"-d{args.seconds + 1}s", *headers, url)
                # Amid the run: a thread that ends takes its count with it.
                time.sleep(0.5)
                start, before = time.monotonic(), cell.server.cpu()
                time.sleep(args.seconds)
                busy = (cell.server.cpu() - before) / (time.monotonic() - start)
                text = wrk.process.stdout.read()
                wrk.close()
            if "Non-2xx" in text or "Socket errors" in text:
                raise SystemExit(f"tests/bench: wrk and {server}:\n{text}")
            rate = float(re.search(r"Requests/sec: +([\d.]+)", text)[1])
            cells[server] = {"rate": rate, "cpu_us": busy / rate * 1e6}
        rounds.append(cells)
    print("| | requests/s | CPU µs/request |\n|---|---|---|")
    for server in args.servers:
        rate, cpu = (statistics.median(cells[server][key] for cells in rounds) for key in ("rate", "cpu_us"))
        print(f"| {server} | {rate:,.0f} | {cpu:.1f} |", flush=True)


def bytes_of(size):
    found = re.fullmatch(r"(\d+)(B|KiB|MiB|GiB)", size)
    if not found:
        raise SystemExit(f"tests/bench: {size} is no size, such as 1KiB, 64KiB, 1MiB or 1GiB")
    return int(found[1]) * UNITS[found[2]]


def make_files(args):
    """Files of noise, written out so that nothing is left to do for the disk; then they are in the page cache."""
    os.mkdir(os.path.join(args.work, "files"))
    noise = os.urandom(2**20)
    for size in args.sizes:
        path = os.path.join(args.work, "files", f"{size}.bin")
        with open(path, "wb") as file:
            left = bytes_of(size)
            while left > 0:
                left -= file.write(noise[:left])
            file.flush()
            os.fsync(file.fileno())
        hour_ago = time.time() - 3600
        os.utime(path, (hour_ago, hour_ago))


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run files", description=__doc__)
    parser.add_argument("--target", required=True, help=argparse.SUPPRESS)
    parser.add_argument("sizes", nargs="*", metavar="SIZE", help="1KiB 64KiB 1MiB 1GiB by default")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16], help="but one alone for 64 MiB and more")
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=SERVERS, help="the first is compared with the others")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="that a round measures")
    parser.add_argument("--header", action="append", default=[], help="a field line to send, such as 'Accept-Encoding: gzip'")
    parser.add_argument("--dir", help="where the files are made and removed again; the system's temporary directory by default")
    parser.add_argument("--wrk", action="store_true", help="measure with wrk, as a cross-check")
    parser.add_argument("--calls", action="store_true", help="count system calls alone")
    parser.add_argument("--nice", type=int, default=0, help="of server and client, on a machine that others use; below 0 as root")
    args = parser.parse_args()
    args.sizes = args.sizes or ["1KiB", "64KiB", "1MiB", "1GiB"]
    process.NICE = args.nice
    with tempfile.TemporaryDirectory(prefix="akurai-bench-", dir=args.dir) as args.work:
        make_files(args)
        for size in [] if args.calls else args.sizes:
            for connections in args.connections if bytes_of(size) < LARGE_BYTES else [1]:
                (cross_check if args.wrk else side_by_side)(args, size, connections)
        if args.calls or not args.wrk and shutil.which("strace"):
            system_calls(args)


main()
