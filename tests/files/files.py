"""Run by `run`: runs the requested parts, one after the other, and prints the closing line."""

import argparse
import resource
import signal
import sys
from pathlib import Path

import changing
import differential
import sweep
import transfer
from checks import Checks
from servers import Demo, Nginx

PARTS = {
    "nginx": [differential.check],
    "sweep": [sweep.check],
    "transfer": [transfer.check, changing.check],
}
DESCRIPTORS = 1024


def nginx_as_subject(arguments, directory):
    return Nginx(arguments, directory.parent)


SUBJECTS = {"demo": Demo, "nginx": nginx_as_subject}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", help="the demo's binary")
    parser.add_argument("--nginx", default="nginx", help="nginx's binary")
    parser.add_argument("--out", required=True, type=Path, help="directory for logs and the files that are served")
    parser.add_argument(
        "--subject", choices=SUBJECTS, default="demo", help="who is tested: nginx shows what the tests see"
    )
    parser.add_argument("parts", nargs="+", choices=PARTS)
    arguments = parser.parse_args()
    arguments.here = Path(__file__).resolve().parent
    arguments.out = arguments.out.resolve()
    arguments.subject = SUBJECTS[arguments.subject]

    # So that SIGTERM, too, leaves the `with` blocks, which stop the started programs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        sys.exit(f"tests/files: {DESCRIPTORS} descriptors are needed, and the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))

    checks = Checks()
    for part in arguments.parts:
        print(f"# {part}", flush=True)
        for check in PARTS[part]:
            check(arguments, checks)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
