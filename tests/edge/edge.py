"""Run by `run`: runs the requested parts, one after the other, and prints the closing line."""

import argparse
import asyncio
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import browser
import faults
import features
import races
from checks import Checks
from places import FILES, HERE, PROXIES, Certificate, version
from process import Failed

PARTS = {"features": features.check, "faults": faults.check, "races": races.check, "browser": browser.check}
PAGE = HERE.parent.parent / "akurai-server/docs/proxies.md"


def shown(checks):
    """Whether the guide's page about proxies shows the tested configurations."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for tag, kind in (("nginx", "nginx"), ("caddyfile", "Caddy"), ("haproxy", "HAProxy")):
        texts = [text for name, text in blocks if name == tag]
        tested = (HERE / "conf" / FILES[kind]).read_text()
        checks.that(texts == [tested], f"{PAGE.name} shows conf/{FILES[kind]} as it is tested")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True, help="the example behind_proxy")
    parser.add_argument("--out", required=True, type=Path, help="directory for logs")
    parser.add_argument("parts", nargs="+", choices=PARTS)
    arguments = parser.parse_args()

    # So that SIGTERM, too, leaves the `with` blocks, which stop the started programs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    checks = Checks()
    arguments.scratch = Path(tempfile.mkdtemp(prefix="akurai-edge-"))
    try:
        arguments.certificate = Certificate(arguments.scratch)
        print("# " + ", ".join(f"{kind} {version(kind)}" for kind in PROXIES), flush=True)
        shown(checks)
        for part in arguments.parts:
            begun = time.monotonic()
            try:
                PARTS[part](arguments, checks)
            except (Failed, OSError, asyncio.TimeoutError):
                traceback.print_exc()
                checks.that(False, f"{part} came to its end")
            print(f"# {part}: {time.monotonic() - begun:.0f} s", flush=True)
    finally:
        shutil.rmtree(arguments.scratch, ignore_errors=True)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
