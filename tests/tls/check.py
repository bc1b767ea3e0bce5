"""Run by `run`: starts the server over each library, and its clients; both libraries at a time."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faults_cases
import live_cases
import reload_cases
import requests_cases
import shutdown_cases
from checks import Checks
from process import Process
from tls_client import context

HERE = Path(__file__).resolve().parent
LAYERS = ["rustls", "openssl"]
PARTS = ["requests", "live", "faults", "reload", "shutdown", "browser"]
IDLE_SECONDS = 60
MOST_CONNECTIONS = 1024


class Program(Process):
    """A program that is asked to end: a browser ends when its driver does."""

    def kill(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            super().kill()


class Server(Process):
    """The server over one library. `certificates` is a directory."""

    def __init__(self, run, layer, idle=IDLE_SECONDS, most=MOST_CONNECTIONS, certificates=None):
        self.certificates = certificates or run.certificates
        self.files = run.files
        words = [run.arguments.server, layer, self.certificates, self.files, idle, most]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        super().__init__(words, run.arguments.out / f"{layer}.log", **pipes)
        ports = self.line(r"\d+ \d+").split()
        self.tls, self.plain = (("127.0.0.1", int(port)) for port in ports)
        self.lock = threading.Lock()
        # A gauge's values count on, from one subscriber to the next.
        self.next_value = 1

    def context(self, version):
        return context(self.certificates, version)

    def stats(self):
        with self.lock:
            return json.loads(self.ask("stats"))


class Run:
    def __init__(self, arguments, scratch):
        self.arguments = arguments
        self.certificates = arguments.certificates
        self.scratch = scratch
        self.files = scratch / "files"
        self.files.mkdir()
        (self.files / "file.bin").write_bytes(os.urandom(2_000_000))
        self.checks = Checks()

    def layer(self, layer):
        for part in self.arguments.parts:
            begun = time.monotonic()
            getattr(self, part)(layer)
            print(f"# {layer}, {part}: {time.monotonic() - begun:.0f} s", flush=True)

    def requests(self, layer):
        with Server(self, layer) as server:
            requests_cases.check(server, self.checks, layer)

    def live(self, layer):
        with Server(self, layer) as server:
            live_cases.check(server, self.checks, layer)

    def faults(self, layer):
        most = faults_cases.MOST_CONNECTIONS
        with Server(self, layer, faults_cases.IDLE_SECONDS, most) as server:
            faults_cases.check(server, self.checks, layer)

    def reload(self, layer):
        reload_cases.check(self, Server, layer)

    def shutdown(self, layer):
        shutdown_cases.check(lambda: Server(self, layer), self.checks, layer)

    def browser(self, layer):
        with Server(self, layer) as server:
            places = {
                "origin": f"https://localhost:{server.tls[1]}",
                "plain": f"http://127.0.0.1:{server.plain[1]}",
                "chromium": self.arguments.chromium,
                "profile": str(self.scratch / f"profile-{layer}"),
                "layer": layer,
            }
            command = ["node", HERE / "browser.mjs", json.dumps(places)]
            pipes = {"stdout": subprocess.PIPE, "text": True}
            with Program(command, self.arguments.out / "browser.log", **pipes) as node:
                lines = 0
                for line in node.process.stdout:
                    if line.startswith(("ok - ", "not ok - ")):
                        lines += 1
                        self.checks.that(line.startswith("ok"), line.split(" - ", 1)[1].rstrip())
                    else:
                        print(line, end="", flush=True)
                status = node.process.wait()
            ended = status == 0 and lines > 0
            self.checks.that(ended, f"{layer}: Chromium's program came to its end", quiet=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--certificates", required=True, type=Path)
    parser.add_argument("--chromium", required=True)
    parser.add_argument("--out", required=True, type=Path, help="directory for logs")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS])
    arguments = parser.parse_args()
    arguments.parts = arguments.parts or PARTS

    # So that SIGTERM, too, ends the started programs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="akurai-tls-"))
        run = Run(arguments, Path(scratch))
        for layer in LAYERS:
            (arguments.out / f"{layer}.log").unlink(missing_ok=True)
        with ThreadPoolExecutor(len(LAYERS)) as threads:
            list(threads.map(run.layer, LAYERS))
    print(f"{run.checks.passed} passed, {run.checks.failed} failed")
    return 1 if run.checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
