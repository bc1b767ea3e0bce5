"""Our DEFLATE beside its peers: see README.md beside this file."""

import argparse
import os

import process
from process import PINNED, Process


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run deflate")
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="only data whose names have this in them"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mib", type=int, default=4, help="of each kind of data")
    parser.add_argument("--levels", default="1,6,9")
    parser.add_argument(
        "--nice", type=int, default=0, help="on a machine that others use; below 0 as root"
    )
    parser.add_argument("--target", required=True, help=argparse.SUPPRESS)
    args = parser.parse_args()
    process.NICE = args.nice
    run = Process(
        PINNED["server"],
        os.path.join(args.target, "deflate"),
        "--rounds", args.rounds, "--mib", args.mib, "--levels", args.levels, *args.names,
    )
    try:
        for line in run.process.stdout:
            print(line, end="", flush=True)
    except BaseException:
        run.process.kill()
        raise
    if run.process.wait():
        raise SystemExit(f"tests/bench: deflate ended with status {run.process.returncode}")


main()
