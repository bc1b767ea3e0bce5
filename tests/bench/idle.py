"""The cost of a silent WebSocket connection: see README.md beside this file."""

import argparse
import os
import time

import cells
import process
import servers
from process import title

# The kernel stack of each thread, on x86-64 and AArch64.
STACK_KIB = 16

COLUMNS = [
    ("RSS B/connection", "rss", 0),
    ("page tables B/connection", "tables", 0),
    ("threads", "threads", 0),
    ("kernel stacks B/connection", "stacks", 0),
    ("slab KiB/connection, both ends", "slab", 1),
    ("descriptors/connection", "files", 2),
    ("mappings/connection", "maps", 2),
    ("idle CPU % of a core", "cpu", 2),
]


def slab_kib():
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Slab:"))


def mappings(program):
    with open(f"/proc/{program.process.pid}/maps") as file:
        return sum(1 for _ in file)


def measure(args, server):
    slab, n = slab_kib(), args.connections
    case = servers.Case("idle", "chat", 16, n, 1, "/echo")
    program = cells.Program(args, servers.PROGRAMS[server])
    empty, tables = program.rss(), program.status("VmPTE")
    with cells.Cell(args, program, case.client, *case.words(server)):
        time.sleep(1)
        found = {
            "rss": (program.rss() - empty) / n,
            "tables": (program.status("VmPTE") - tables) * 1024 / n,
            "threads": program.status("Threads"),
            "files": len(os.listdir(f"/proc/{program.process.pid}/fd")) / n,
            "maps": mappings(program) / n,
            "slab": (slab_kib() - slab) / n,
        }
        found["stacks"] = found["threads"] * STACK_KIB * 1024 / n
        cpu, start = program.cpu(), time.monotonic()
        time.sleep(args.seconds)
        found["cpu"] = (program.cpu() - cpu) / (time.monotonic() - start) * 100
    return found


def main():
    default, others = servers.SERVERS["idle"]
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--target", required=True, help=argparse.SUPPRESS)
    parser.add_argument("scenario", choices=["idle"])
    parser.add_argument("connections", type=int, nargs="?", default=5000, help="5000 by default")
    parser.add_argument(
        "--servers",
        nargs="+",
        help=f"{' '.join(default)} by default, and {' '.join(others)}; all is everybody",
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10, help="in which idle CPU is measured")
    parser.add_argument(
        "--nice",
        type=int,
        default=0,
        help="of server and client, on a machine that others use; below 0 as root",
    )
    args = parser.parse_args()
    args.servers = servers.chosen(args, "idle")
    process.NICE = args.nice
    title(
        f"{args.connections:,} silent WebSocket connections, each of which had an echo; "
        f"{args.rounds} rounds"
    )
    rounds = cells.interleaved(args, args.servers, lambda server: measure(args, server))
    cells.print_medians(args.servers, rounds, COLUMNS)


main()
