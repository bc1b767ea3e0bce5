"""Builds and runs the tests and the demo for systems other than this machine's: see README.md."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from checks import Checks
from client import TEXT, Client, EventStream, ask, request
from process import Demo

# What the rules of the house say of the sources is the same on every system.
SKIPPED = ["--skip", "tidy::"]
# Models start a hundred thousand threads, of which one runs at a time.
MODELS = ["--skip", "serve::hot::tests::", "--skip", "write::outbox::tests::", "--skip", "hub::tests::"]
SUITE_SECONDS = 1800


@dataclass(frozen=True)
class Target:
    """A system. `runner` starts its programs. `excepted` has the tests that may fail there, each
    with its reason. `options` are cargo's."""

    triple: str
    runner: tuple
    excepted: dict
    options: tuple = ()


# qemu keeps what it translates, so the memory of a process is for the most part qemu's.
QEMUS_MEMORY = "it measures memory, and with it qemu's"
UNDER_QEMU = {
    "limits::bodies_that_are_claimed_and_do_not_come_hold_little": QEMUS_MEMORY,
    "rfc7692::limits::ws_22_a_bomb_that_is_read_in_parts_is_inflated_in_parts": QEMUS_MEMORY,
}
UNDER_WINE = {
    "files::listing::files_02_a_listing_names_what_can_be_requested": "Windows has no such names of files",
    "files::changing::files_09_a_file_that_is_replaced_or_deleted_comes_whole":
        "no file is renamed over one that is open",
}
# The list of the system's connections is of this machine, in its order of bytes.
OTHER_BYTE_ORDER = {
    "hub::vanished::tests::the_system_lists_our_connections":
        "/proc/net/tcp has the byte order of this machine's kernel",
}
# Rust 1.85 unwinds wrongly there at the level 1 of our tests. See README.md.
UNWINDS = ("--config", "profile.dev.package.akurai-http.opt-level=2")
TARGETS = {
    "s390x": Target("s390x-unknown-linux-gnu", ("qemu-s390x", "-L", "/usr/s390x-linux-gnu"), UNDER_QEMU | OTHER_BYTE_ORDER, UNWINDS),
    "armv7": Target("armv7-unknown-linux-gnueabihf", ("qemu-arm", "-L", "/usr/arm-linux-gnueabihf"), UNDER_QEMU),
    "aarch64": Target("aarch64-unknown-linux-gnu", ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"), UNDER_QEMU),
    "musl": Target("x86_64-unknown-linux-musl", (), {}),
    "windows": Target("x86_64-pc-windows-gnu", ("wine64",), UNDER_WINE),
}
CRATES = ("akurai-http", "akurai-ws", "akurai-server")
SUITES = (*CRATES, "it")
COUNTS = re.compile(r"^test result: .* (\d+) passed; (\d+) failed; (\d+) ignored", re.MULTILINE)


def counts_of(said):
    """How many tests passed, failed and were ignored. A test's output may hold what a program of its
    own said of its tests: the last line counts."""
    found = COUNTS.findall(said)
    return tuple(map(int, found[-1])) if found else None


def failures(said, failed):
    """The names of the tests that failed."""
    names = set(re.findall(r"^test (\S+).* \.\.\. FAILED$", said, re.MULTILINE))
    if len(names) != failed:
        # A test's line may hold its output too. The list at the end has only names.
        names = set(re.findall(r"^    (\w+(?:::\w+)+)$", said, re.MULTILINE))
    return sorted(names)


class Port:
    """One target: its programs, and what they say."""

    def __init__(self, name, root, out, checks):
        self.name, self.target = name, TARGETS[name]
        self.root, self.out, self.checks = root, out, checks
        self.rows = []
        # Each target has its own directory of cargo: two of them may build at the same time.
        self.environment = {
            **os.environ,
            "CARGO_TARGET_DIR": str(out / "target" / name),
            "CARGO_INCREMENTAL": "0",
            "CARGO_PROFILE_DEV_DEBUG": "line-tables-only",
            "AKURAI_TEST_PATIENCE": "6",
            "AKURAI_TEST_RUNNER": "" if name == "windows" else " ".join(self.target.runner),
            # As .cargo/config.toml has it: most tests wait.
            "RUST_TEST_THREADS": "8",
            # qemu's own allocator may be locked when it forks: then the child would wait for ever.
            "G_SLICE": "always-malloc",
        }

    def build(self, *arguments):
        """What cargo built: the program of each target of a package, by package and name."""
        command = ["cargo", *arguments, *self.target.options, "--target", self.target.triple]
        command.append("--message-format=json-render-diagnostics")
        done = subprocess.run(command, cwd=self.root, env=self.environment, stdout=subprocess.PIPE, text=True)
        if not self.checks.that(done.returncode == 0, f"{self.name}: cargo {' '.join(arguments)}"):
            return {}
        said = map(json.loads, filter(lambda line: line.startswith("{"), done.stdout.splitlines()))
        built = [message for message in said if message.get("executable")]
        return {(Path(one["manifest_path"]).parent.name, one["target"]["name"]): one["executable"] for one in built}

    def run(self):
        packages = [word for crate in CRATES for word in ("-p", crate)]
        units = self.build("test", "--no-run", "--lib", *packages)
        integration = self.build("test", "--no-run", "-p", "akurai-tests", "--test", "it")
        programs = {package: program for (package, _), program in units.items()}
        programs["it"] = integration.get(("tests", "it"))
        for suite in SUITES:
            (self.out / f"{self.name}-{suite}.log").unlink(missing_ok=True)
            if programs.get(suite):
                self.suite(suite, programs[suite])
        demo = self.build("build", "--release", "-p", "akurai-server", "--bin", "akurai-server")
        for program in demo.values():
            self.demo(program)

    def suite(self, suite, program):
        """Runs the tests of one program, and those that fail once more, one at a time."""
        log = self.out / f"{self.name}-{suite}.log"
        directory = self.root / ("tests" if suite == "it" else suite)
        command = [*self.target.runner, program]
        begun = time.monotonic()
        under_qemu = self.target.runner[:1] and self.target.runner[0].startswith("qemu")
        skipped = SKIPPED if suite == "it" else MODELS if under_qemu else []
        code, said = self.say([*command, *skipped], directory, log)
        counts = counts_of(said)
        what = f"{self.name}: {suite}"
        # A program of tests ends with 0, or with 101 if a test failed. Another code is a crash: then
        # the last line may be of a program that a test ran.
        if not self.checks.that(counts and code in (0, 101), f"{what} runs to its end ({code}; {log})"):
            return
        passed, failed, ignored = counts
        names = failures(said, failed)
        self.checks.that(len(names) == failed, f"{what}: all {failed} failures are named", quiet=True)
        excepted = 0
        for name in names:
            code, again = self.say([*command, name, "--exact"], directory, log)
            reason = self.target.excepted.get(name)
            if code == 0 and counts_of(again) == (1, 0, 0):
                passed, failed = passed + 1, failed - 1
                print(f"# {what}: {name} passed alone", flush=True)
            elif self.checks.that(reason, f"{what}: {name}{f' ({reason})' if reason else ''}"):
                failed, excepted = failed - 1, excepted + 1
        seconds = time.monotonic() - begun
        self.checks.that(passed > 0, f"{what}: {passed} passed, {failed} failed, {excepted} excepted, {ignored} ignored, {seconds:.0f} s")
        self.rows.append((suite, passed, failed, excepted, seconds))

    def say(self, command, directory, log):
        """Runs a program. Returns its code, and what it says."""
        with open(log, "a+") as file:
            begin = file.seek(0, os.SEEK_END)
            process = subprocess.Popen(command, cwd=directory, env=self.environment,
                                       stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
            try:
                code = process.wait(SUITE_SECONDS)
            except subprocess.TimeoutExpired:
                code = "no end"
            finally:
                process.kill()
                process.wait()
        return code, log.read_bytes()[begin:].decode(errors="replace")

    def demo(self, program):
        """The demo as it is released: one request, one event, one WebSocket."""
        with Demo(program, self.out / f"{self.name}-demo.log", runner=self.target.runner) as demo:
            that = lambda holds, text: self.checks.that(holds, f"{self.name}: the demo {text}")
            that(ask(demo.address, "GET", "/api/health").status == 200, "is healthy")
            page = ask(demo.address, "GET", "/")
            that(page.status == 200 and b"<html" in page.body, "has its page")
            with Client(demo.address) as client:
                client.send(request("GET", "/api/events"))
                head, stream, events = client.head(), EventStream(), []
                while not events:
                    events = stream.feed(client.until(b"\n\n"))
                that(head.first("content-type").startswith("text/event-stream"), f"sends {events[0]}")
            with Client(demo.address) as client:
                client.upgrade("/api/ws")
                client.send_frame(TEXT, "Größe".encode())
                that(client.frame() == (TEXT, "Größe".encode()), "echoes over a WebSocket")
            if self.name == "windows":
                host, port = demo.address
                page = [self.root / "tests/browser/run", "page", f"http://{host}:{port}"]
                that(subprocess.run(page).returncode == 0, "shows its page in Chromium")
                return  # wine makes no console event of SIGTERM.
            demo.signal(signal.SIGTERM)
            that(demo.process.wait(60) == 0, "stops on SIGTERM")
        if self.name == "musl":
            said = subprocess.run(["readelf", "-lW", program], check=True, capture_output=True, text=True)
            that("INTERP" not in said.stdout, "is a static program")


def table(ports):
    print("\n| target | " + " | ".join(SUITES) + " |")
    print("|---|" + "---|" * len(SUITES))
    for port in ports:
        cells = {suite: f"{passed} / {failed} / {excepted} in {seconds:.0f} s"
                 for suite, passed, failed, excepted, seconds in port.rows}
        print(f"| {port.name} | " + " | ".join(cells.get(suite, "–") for suite in SUITES) + " |")
    print("\npassed / failed / excepted", flush=True)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--root", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("targets", nargs="+")
    options = options.parse_args()
    # `run` ends this by SIGTERM. Then the programs end too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    checks = Checks()
    ports = [Port(name, options.root, options.out, checks) for name in options.targets]
    for port in ports:
        port.run()
    table(ports)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
