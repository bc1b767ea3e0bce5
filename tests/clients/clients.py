"""Run by `run`: starts the server and the clients, as many at a time as there are cores, and prints
the table of results."""

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
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tree
from cases import HTTP, TRIES, WEBSOCKET, all_cases
from checks import Checks
from client import Client, request
from commands import Commands
from process import Failed, Process, free_port
from relay import Relay

HERE = Path(__file__).resolve().parent
# The jobs of a single case.
OTHERS = ["http.client", "apt", "zsync"]
# The longest jobs first.
ORDER = ["Firefox", "Chromium", "Mojolicious", "wget", "curl", "nginx", "apt"]
# As many connections as main.rs allows on a server with few places.
FEW_PLACES = 2
CLIENT_SECONDS = 300


class Program(Process):
    """A program that is asked to end: a browser and its children end when their driver does."""

    def kill(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            super().kill()


def hold(port):
    """A connection that holds one of the server's places."""
    client = Client(("127.0.0.1", port))
    client.send(request("GET", "/hold"))
    head = client.head()
    if head.status != 200:
        raise Failed(f"no place to hold: {head}")
    return client


class Run:
    def __init__(self, arguments, stack):
        self.arguments, self.stack = arguments, stack
        scratch = tempfile.TemporaryDirectory(prefix="akurai-clients-")
        self.scratch = Path(stack.enter_context(scratch))
        # The proxy's worker runs as another user.
        self.scratch.chmod(0o755)
        self.tree = self.scratch / "files"
        tree.build(self.tree)
        self.commands = Commands(self.scratch / "commands", self.tree)
        self.log = self.new_log("log")
        self.start_server()
        self.start_nginx()
        self.relay = stack.enter_context(Relay(self.ports["main"], 1_000_000)).port
        self.cases = all_cases(self.tree)
        self.outcomes = {}
        self.stopping = False
        self.lock = threading.Lock()

    def new_log(self, name):
        log = self.arguments.out / name
        log.unlink(missing_ok=True)
        return log

    def start_server(self):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        words = [self.arguments.server, self.tree, 3]
        server = self.stack.enter_context(Program(words, self.log, **pipes))
        ports = [int(word) for word in server.line(r"\d+( \d+)*").split()]
        self.ports = dict(zip(["main", "full", "Firefox", "Chromium"], ports, strict=True))
        for _ in range(FEW_PLACES):
            self.stack.enter_context(hold(self.ports["full"]))

    def start_nginx(self):
        place = self.scratch / "nginx"
        (place / "temp").mkdir(parents=True)
        self.nginx = {name: free_port() for name in ("main", "full")}
        text = (HERE / "nginx.conf").read_text()
        for name, port in self.nginx.items():
            text = text.replace(f"{name.upper()}_PORT", str(port))
            text = text.replace(f":{name.upper()};", f":{self.ports[name]};")
        (place / "nginx.conf").write_text(text)
        words = ["nginx", "-p", place, "-c", place / "nginx.conf", "-e", place / "nginx.log"]
        nginx = self.stack.enter_context(Program(words, self.log))
        nginx.listens(("127.0.0.1", self.nginx["main"]))

    def job(self, case, client):
        """The case as JSON for the client's program."""
        place = case.server
        ports = {**self.ports, "relay": self.relay}
        job = {"case": case.name, "tries": self.arguments.tries, **case.job}
        job["together"] = case.together
        if client in ("Firefox", "Chromium"):
            place = client if place == "full" else place
            page = self.ports[place if place == client else "main"]
            job["page"] = f"http://127.0.0.1:{page}/files/page.html"
            job["fill"] = place == client
        if client == "nginx":
            ports = self.nginx
        scheme = "ws" if "send" in job else "http"
        job["url"] = f"{scheme}://127.0.0.1:{ports[place]}{job.pop('path', '')}"
        return job

    def program(self, client):
        programs = {
            "Firefox": ["node", HERE / "in_browser.mjs", "firefox", self.arguments.firefox],
            "Chromium": ["node", HERE / "in_browser.mjs", "chromium", self.arguments.chromium],
            "Go": [self.arguments.go],
            "Mojolicious": ["perl", HERE / "in_perl.pl"],
        }
        words = programs.get(client)
        if client in ("Firefox", "Chromium"):
            words.append(self.scratch / f"profile-{client}")
        python = ["urllib", "requests", "http.client", "websockets", "tornado"]
        language = "in_python.py" if client in python else "in_node.mjs"
        command = [sys.executable, "-B"] if client in python else ["node"]
        return words or [*command, HERE / language, client]

    def lines(self, client, jobs):
        if hasattr(self.commands, client):
            yield from self.commands.run_jobs(client, jobs)
            return
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        program = Program(self.program(client), self.new_log(f"{client}.log"), **pipes)
        self.stack.callback(program.kill)
        process = program.process
        if self.stopping:
            program.kill()
        late = threading.Timer(CLIENT_SECONDS, process.terminate)
        late.daemon = True
        late.start()
        with process.stdin as to:
            json.dump(jobs, to)
        yield from process.stdout
        process.wait()
        late.cancel()

    def run_client(self, client):
        begun = time.monotonic()
        mine = {case.name: case for case in self.cases if client in case.clients}
        with self.lock:
            for name in mine:
                self.outcomes[client, name] = []
        try:
            for line in self.lines(client, [self.job(case, client) for case in mine.values()]):
                if self.stopping:
                    return
                self.judge(client, mine, json.loads(line))
        except (OSError, ValueError):
            # It ended in the middle: the missing tries fail.
            traceback.print_exc()
        print(f"# {client}: {time.monotonic() - begun:.0f} s", flush=True)

    def judge(self, client, cases, told):
        case, got = cases[told["case"]], told["got"]
        wrong = got["error"] if "error" in got else case.wrong(got)
        with self.lock:
            self.outcomes[client, case.name].append(wrong)

    def run_all(self, clients):
        rank = {client: at for at, client in enumerate(ORDER)}
        clients = sorted(clients, key=lambda client: rank.get(client, len(rank)))
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            try:
                list(threads.map(self.run_client, clients))
            except BaseException:
                # The threads wait here for the programs that were ended.
                self.stopping = True
                threads.shutdown(wait=False, cancel_futures=True)
                self.stack.close()
                raise


def table(title, clients, names, outcomes):
    """A line for each case, a column for each client: the number of tries that succeeded."""
    widths = [max(4, len(client)) for client in clients]
    first = max(len(name) for name in names)
    heads = [client.rjust(width) for client, width in zip(clients, widths)]
    print(f"\n{title.ljust(first)}  {'  '.join(heads)}")
    for name in names:
        cells = []
        for client, width in zip(clients, widths):
            tries = outcomes.get((client, name))
            cells.append(("-" if tries is None else str(tries.count(None))).rjust(width))
        print(f"{name.ljust(first)}  {'  '.join(cells)}")


def report(run, checks):
    tries = run.arguments.tries
    for title, clients in (("HTTP", HTTP), ("WebSocket", WEBSOCKET)):
        names = [case.name for case in run.cases if ("send" in case.job) == (title == "WebSocket")]
        asked = {client for client, name in run.outcomes if name in names}
        clients = [client for client in [*clients, *OTHERS] if client in asked]
        if clients:
            table(title, clients, names, run.outcomes)
    print()
    for (client, name), outcome in run.outcomes.items():
        right = outcome.count(None)
        reasons = sorted({wrong for wrong in outcome if wrong is not None})
        if len(outcome) < tries:
            reasons.append(f"only {len(outcome)} tries ended")
        text = f"{name}: {client} {right} of {tries}"
        text += "".join(f"\n    {why}" for why in reasons[:3])
        checks.that(right == tries and len(outcome) == tries, text, quiet=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--go", required=True, help="in_go.go, built")
    parser.add_argument("--firefox", required=True)
    parser.add_argument("--chromium", required=True)
    parser.add_argument("--out", required=True, type=Path, help="directory for logs")
    parser.add_argument("--tries", type=int, default=TRIES)
    parser.add_argument("--only", help="a group of cases: A1, for example")
    parser.add_argument("clients", nargs="*", help="all of them, if none is named")
    arguments = parser.parse_args()

    # So that SIGTERM, too, ends the started programs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    checks = Checks()
    with contextlib.ExitStack() as stack:
        run = Run(arguments, stack)
        if arguments.only:
            run.cases = [case for case in run.cases if case.group == arguments.only]
        all_clients = list(dict.fromkeys(client for case in run.cases for client in case.clients))
        unknown = set(arguments.clients) - set(all_clients)
        if unknown or not all_clients:
            parser.error(f"there is no {', '.join(unknown) or arguments.only}")
        run.run_all(arguments.clients or all_clients)
        report(run, checks)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
