"""How cost grows with connections, with a message's size and with subscribers: see README.md beside
this file.

Writes plots/AXIS.csv and plots/AXIS.svg beside this file."""

import argparse
import csv
import os
import statistics
import sys

import bench
import cells
import plot
import process
import servers

AXES = {
    "connections": [1, 4, 16, 64, 256, 1024, 4096, 10000],
    "sizes": [16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576],
    "subscribers": [10, 100, 1000, 10000],
}
TITLES = {
    "connections": (
        "CPU for a WebSocket message of 16 bytes that comes back",
        "connections",
        "CPU of the server, µs a message",
    ),
    "sizes": (
        "CPU for a WebSocket message that comes back, over 16 connections",
        "bytes of the message",
        "CPU of the server, µs a message",
    ),
    "subscribers": (
        "CPU for an event of 100 bytes to many, 10 times a second, by SSE",
        "subscribers",
        "CPU of the server, µs a delivery",
    ),
}
SERVERS = {
    "connections": ["akurai", "floor", "axum"],
    "sizes": ["akurai", "floor", "axum"],
    "subscribers": ["akurai", "axum"],
}

# The connections over which the sizes are measured.
CONNECTIONS = 16


def measure(args, axis, server, x):
    if axis == "subscribers":
        with bench.Cell(args.target, server, (x,)) as cell:
            return bench.steady(cell, args, 10)
    bytes, connections = (16, x) if axis == "connections" else (x, CONNECTIONS)
    case = servers.Case(axis, "chat", bytes, connections, 1, "/echo")
    with cells.Cell(
        args, cells.Program(args, servers.PROGRAMS[server]), case.client, *case.words(server)
    ) as cell:
        return cell.window(args.seconds)


def run(args, axis):
    process.title(f"CPU µs by {axis}, {args.rounds} rounds")
    names = SERVERS[axis]
    print(f"| {axis} | " + " | ".join([*names, *(f"{name} p99 µs" for name in names)]) + " |")
    print("|---|" + "---|" * 2 * len(names))
    # Deliveries have their latency in milliseconds.
    unit = 1000 if axis == "subscribers" else 1
    rows = []
    for x in [x for x in AXES[axis] if x <= args.most]:
        rounds = cells.interleaved(args, names, lambda server, x=x: measure(args, axis, server, x))
        medians = {
            name: statistics.median(found[name]["cpu_us"] for found in rounds) for name in names
        }
        rows.append([x, *(f"{medians[name]:.3f}" for name in names)])
        late = {
            name: statistics.median(found[name]["p99"] for found in rounds) * unit for name in names
        }
        figures = [f"{medians[name]:,.2f}" for name in names] + [
            f"{late[name]:,.0f}" for name in names
        ]
        print(f"| {x:,} | " + " | ".join(figures) + " |", flush=True)
    path = os.path.join(args.out, axis)
    with open(path + ".csv", "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([[axis, *names], *rows])
    lines = {name: [(row[0], float(row[1 + at])) for row in rows] for at, name in enumerate(names)}
    with open(path + ".svg", "w") as file:
        file.write(plot.log_log(*TITLES[axis], lines))
    print(f"tests/bench: wrote {path}.csv and .svg", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--target", required=True, help=argparse.SUPPRESS)
    parser.add_argument("scenario", choices=["scale"])
    parser.add_argument(
        "axes", nargs="*", metavar="AXIS", help=f"{', '.join(AXES)}; all by default"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1, help="that a round measures")
    parser.add_argument("--most", type=float, default=2**20, help="the greatest value of an axis")
    parser.add_argument(
        "--out",
        default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "plots"),
        help="where the files go; plots, beside the scripts, by default",
    )
    parser.add_argument(
        "--nice",
        type=int,
        default=0,
        help="of server and client, on a machine that others use; below 0 as root",
    )
    args = parser.parse_args()
    for axis in args.axes:
        if axis not in AXES:
            parser.error(f"there is no {axis}, but {' '.join(AXES)}")
    process.NICE = args.nice
    os.makedirs(args.out, exist_ok=True)
    for axis in args.axes or AXES:
        run(args, axis)


main()
