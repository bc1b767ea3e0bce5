"""Run by `run`: runs the requested parts, one after the other, and prints the closing line."""

import argparse
import resource
import signal
import sys
from pathlib import Path

import bomb
import clocks
import descriptors
import figures
import long
import restart
import slow
import soak
import stop
import suspend
from checks import Checks

PARTS = {
    "slow": slow.check,
    "descriptors": descriptors.check,
    "figures": figures.check,
    "stop": stop.check,
    "restart": restart.check,
    "bomb": bomb.check,
    "suspend": suspend.check,
    "clocks": clocks.check,
    "long": long.check,
    "soak": soak.check,
}

# Descriptors for the clients of one part and for the demo's side of them, with room to spare.
DESCRIPTORS = 4096


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True, help="the demo's binary")
    parser.add_argument("--restart", required=True, help="the example restart")
    parser.add_argument("--long-life", required=True, help="the example long_life")
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        help="directory for logs and the files that the demo serves",
    )
    parser.add_argument("--minutes", type=int, default=10, help="length of the soak")
    parser.add_argument("--millions", type=int, default=10, help="of requests, in a long life")
    parser.add_argument("parts", nargs="+", choices=PARTS)
    arguments = parser.parse_args()

    # So that SIGTERM, too, leaves the `with` blocks, which stop the started programs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        sys.exit(f"tests/load: {DESCRIPTORS} descriptors are needed, and the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))

    checks = Checks()
    for part in arguments.parts:
        print(f"# {part}", flush=True)
        PARTS[part](arguments, checks)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
