"""Run by `run`: compares our server with others, part by part, and checks that `differences` lists
every class of difference that occurs."""

import argparse
import signal
import sys
import time
from pathlib import Path

import event_streams
import http_requests
import web_sockets
from checks import Checks
from differences import Differences, rows

HERE = Path(__file__).resolve().parent


class Budget:
    """How much a part may do: so many cases, or so many seconds."""

    def __init__(self, cases, seconds):
        self.cases = cases
        self.until = seconds and time.monotonic() + seconds

    def lasts(self, cases):
        return time.monotonic() < self.until if self.until else cases < self.cases


# Part, its cases in the quick mode, and its share of the time of a long run.
PARTS = {
    "http": (http_requests.compare, 576, 0.6),
    "ws": (web_sockets.compare, 300, 0.2),
    "sse": (event_streams.compare, 180, 0.2),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--gorilla", type=Path)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("parts", nargs="*", default=list(PARTS))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    differences = Differences(rows((HERE / "differences").read_text()))
    shares = sum(PARTS[part][2] for part in arguments.parts)
    print(f"seed {arguments.seed}")
    for part in arguments.parts:
        compare, cases, share = PARTS[part]
        begun = time.monotonic()
        compare(arguments, differences, Budget(cases, arguments.seconds * share / shares))
        print(f"{part}: {time.monotonic() - begun:.0f} s", flush=True)
    differences.report(arguments.out / "found")
    for (name, changes), count in differences.unsteady_counts.items():
        print(f"seen {count} times, but not again alone: {name}: {' + '.join(changes)}")
    missing = list(differences.missing(arguments.parts))
    for name, pattern in missing if arguments.seconds else ():
        print(f"no longer occurs: {name}: {pattern}")
    checks = Checks()
    for (name, changes), found in sorted(differences.found.items()):
        text = f"{name}: {' + '.join(changes)}: {', '.join(sorted(found.peers))}; {found.detail}"
        if not checks.that(found.pattern, text, quiet=True):
            print(f"    {found.example[:400]!r}")
    differences.check_unsteady(checks)
    print(f"{len(differences.listed)} rows, {len(missing)} of their patterns did not occur")
    print(f"{checks.passed} passed, {checks.failed} failed")
    return checks.failed > 0


if __name__ == "__main__":
    sys.exit(main())
