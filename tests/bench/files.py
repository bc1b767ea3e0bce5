"""Downloads of files, from our server and from others: see README.md beside this file."""

import argparse
import os
import tempfile
import time

import cells
import process
from nginx import Nginx
from process import title
from servers import bytes_of

SERVERS = ["akurai", "nginx", "nginx-sendfile", "axum", "tiny_http", "floor"]
PROGRAMS = {
    "akurai": "files",
    "axum": "axum-files",
    "tiny_http": "tiny-files",
    "floor": "floor-files",
}

# One connection is enough for sizes that take a good part of a second.
LARGE_BYTES = 64 * 2**20

NGINX = """
  {sendfile}
  default_type application/octet-stream;
  server {{ listen {address}; root {work}; }}
"""


def nginx(name, work):
    # The second setting is from Debian's nginx.conf: the head waits for the first bytes of the
    # file.
    sendfile = "sendfile on; tcp_nopush on;" if name == "nginx-sendfile" else "sendfile off;"
    return Nginx(work, NGINX, sendfile=sendfile)


def open_cell(args, server, size, connections):
    if server.startswith("nginx"):
        program = nginx(server, args.work)
    else:
        program = cells.Program(args, PROGRAMS[server], args.work)
    return cells.Cell(args, program, "fetch", f"/files/{size}.bin", bytes_of(size), connections, 1,
                      *(word for line in args.header for word in ("--header", line)))


def side_by_side(args, size, connections):
    heading = f"{size}, {connections} connection{'s' if connections > 1 else ''}"
    cells.side_by_side(
        args,
        heading,
        args.servers,
        lambda server: open_cell(args, server, size, connections),
        ["cpu_gb", "p50", "p99", "gb"],
    )


def system_calls(args):
    title("System calls of a request, one connection")
    print("| | | calls/request | of which |\n|---|---|---|---|")
    for size in args.sizes:
        requests = max(1, min(1000, 64 * 2**20 // bytes_of(size)))
        for server in args.servers:
            with open_cell(args, server, size, 1) as cell:
                calls = cell.calls(requests)
            cells.print_calls(size, server, calls, requests)


def cross_check(args, size, connections):
    cells.by_wrk(
        args,
        size,
        args.servers,
        lambda server: open_cell(args, server, size, connections),
        f"/files/{size}.bin",
        connections,
        args.header,
    )


def make_files(args):
    """Files of noise. The kernel writes them to the disk now, so that no writing is left; then they
    are in the page cache."""
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
    parser.add_argument(
        "--connections",
        type=int,
        nargs="+",
        default=[1, 16],
        help="but one alone for 64 MiB and more",
    )
    parser.add_argument(
        "--servers",
        nargs="+",
        choices=SERVERS,
        default=SERVERS,
        help="the first is compared with the others",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1, help="that a round measures")
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        help="a field line to send, such as 'Accept-Encoding: gzip'",
    )
    parser.add_argument(
        "--dir",
        help="where the files are made and removed again; "
        "the system's temporary directory by default",
    )
    parser.add_argument("--wrk", action="store_true", help="measure with wrk, as a cross-check")
    parser.add_argument("--calls", action="store_true", help="count system calls alone")
    parser.add_argument(
        "--nice",
        type=int,
        default=0,
        help="of server and client, on a machine that others use; below 0 as root",
    )
    args = parser.parse_args()
    args.sizes = args.sizes or ["1KiB", "64KiB", "1MiB", "1GiB"]
    process.NICE = args.nice
    with tempfile.TemporaryDirectory(prefix="akurai-bench-", dir=args.dir) as args.work:
        make_files(args)
        for size in [] if args.calls else args.sizes:
            for connections in args.connections if bytes_of(size) < LARGE_BYTES else [1]:
                (cross_check if args.wrk else side_by_side)(args, size, connections)
        if args.calls or not args.wrk and cells.has_strace():
            system_calls(args)


main()
