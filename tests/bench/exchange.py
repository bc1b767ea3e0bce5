"""A text by GET, and messages that come back: see README.md beside this file."""

import argparse

import cells
import process
from process import title

SERVERS = {
    "http": {"akurai": "web", "floor": "floor-web", "axum": "axum-web", "tiny_http": "tiny-web"},
    "echo": {"akurai": "web", "akurai-joined": "web", "floor": "floor-web", "tungstenite": "tungstenite-web",
             "axum": "axum-web"},
}

# Bytes, connections, in flight on each.
CASES = {
    "http": {"1": (13, 1, 1), "64": (13, 64, 1), "64x16": (13, 64, 16)},
    "echo": {"16B-1": (16, 1, 1), "16B-64": (16, 64, 1), "16B-64x16": (16, 64, 16), "1KiB-64": (1024, 64, 1),
             "64KiB-64": (65536, 64, 1), "1MiB-16": (2**20, 16, 1)},
}

# That strace counts, more or less.
CALLED_REQUESTS = 2000


def open_cell(args, server, case):
    length, connections, depth = CASES[args.scenario][case]
    program = cells.Program(args, SERVERS[args.scenario][server])
    client, path = {"http": ("fetch", "/"), "echo": ("chat", "/echo")}[args.scenario]
    if "-" in server:
        path += server.removeprefix("akurai")
    return cells.Cell(args, program, client, path, length, connections, depth)


def system_calls(args):
    title(f"System calls: {args.scenario}")
    print("| | | calls/request | of which |\n|---|---|---|---|")
    for case in args.cases:
        _, connections, depth = CASES[args.scenario][case]
        for server in args.servers:
            times = max(20, CALLED_REQUESTS // (connections * depth))
            with open_cell(args, server, case) as cell:
                calls = cell.calls(times)
            cells.print_calls(case, server, calls, times * connections * depth)


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--target", required=True, help=argparse.SUPPRESS)
    parser.add_argument("scenario", choices=CASES)
    parser.add_argument("cases", nargs="*", metavar="CASE",
                        help="; ".join(f"{name}: {' '.join(cases)}" for name, cases in CASES.items()) + "; all by default")
    parser.add_argument("--servers", nargs="+", help="the first is compared with the others")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="that a round measures")
    parser.add_argument("--calls", action="store_true", help="count system calls alone")
    parser.add_argument("--nice", type=int, default=0, help="of server and client, on a machine that others use; below 0 as root")
    args = parser.parse_args()
    args.cases = args.cases or list(CASES[args.scenario])
    args.servers = args.servers or list(SERVERS[args.scenario])
    for given, known in (args.cases, CASES), (args.servers, SERVERS):
        for name in set(given) - set(known[args.scenario]):
            parser.error(f"{args.scenario} has no {name}, but {' '.join(known[args.scenario])}")
    process.NICE = args.nice
    for case in [] if args.calls else args.cases:
        cells.side_by_side(args, f"{args.scenario} {case}", args.servers,
                           lambda server, case=case: open_cell(args, server, case), ["cpu_us", "rate"])
    if args.calls or cells.has_strace():
        system_calls(args)


main()
