"""Run by `run`: runs the requested cases, one after the other, and prints the closing line."""

import argparse
import resource
import signal
import sys
import time
from pathlib import Path

import cases
import clocks
import crowd
import figures
import million
import presence
import topics
from checks import Checks
from clients import account_holds

CASES = {
    "demo": crowd.demo,
    "crash": crowd.crash,
    "kill": cases.kill,
    "stop": cases.stop,
    "cut": cases.cut,
    "flush": cases.flush,
    "restore": cases.restore,
    "overrun": cases.overrun,
    "promote": cases.promote,
    "herd": crowd.herd,
    "presence": presence.presence,
    "clocks": clocks.clocks,
    "early": clocks.early,
    "xdel": clocks.deletions,
    "quiet": topics.quiet,
    "history": topics.history,
    "memory": topics.memory,
    "million": million.million,
    "figures": figures.figures,
}

# Descriptors for the crowd and for a node's side of it, each in a separate process, with room to
# spare.
DESCRIPTORS = 12_000


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", required=True, help="directory of the built examples")
    parser.add_argument("--playwright", required=True, help="playwright-core's module")
    parser.add_argument("--chromium", required=True)
    parser.add_argument("--out", required=True, type=Path, help="directory for logs and what the servers keep")
    parser.add_argument("cases", nargs="*", choices=[[], *CASES])
    arguments = parser.parse_args()

    # So that SIGTERM, too, leaves the `with` blocks, which stop the started programs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        sys.exit(f"tests/scale: {DESCRIPTORS} descriptors are needed, and the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))

    checks = Checks()
    checks.that(account_holds(), "the account of what came finds a loss, a repetition and a wrong order")
    for name in arguments.cases or CASES:
        begun = time.monotonic()
        try:
            CASES[name](arguments, checks)
        except Exception as error:
            checks.that(False, f"{name}: {error!r}")
        print(f"# {name}: {time.monotonic() - begun:.0f} s", flush=True)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
