"""The server closes idle connections just when the proxy wants to use them again: does a request
get lost?"""

import contextlib
import random
import re
import threading
import time

from client import ask, request
from clients import Tls
from places import PROXIES, Proxy, Server

# The server closes an idle connection after this time, instead of 15 s.
IDLE_MS = 300
# Instead of the 10 s of conf/, in the same proportion.
KEPT_MS = 200
CLIENTS = 40
SECONDS = 12
SPREAD_SECONDS = 0.001
STEP_SECONDS = 0.002
BODY = b"x" * 100

CAREFUL = {
    "nginx": [(r"keepalive_timeout 10s;", f"keepalive_timeout {KEPT_MS}ms;")],
    "Caddy": [(r"keepalive 10s", f"keepalive {KEPT_MS}ms")],
    "HAProxy": [],
}
# Without conf/'s own setting: the proxy's default.
CARELESS = {
    "nginx": [(r"^ *keepalive_timeout 10s;.*\n", "")],
    "Caddy": [(r"^ *keepalive 10s .*\n", "")],
    "HAProxy": [(r"^ *option http-server-close.*\n", "")],
}


def check(arguments, checks):
    for load in loads(arguments, "with conf", CAREFUL):
        for method in load.asked:
            checks.that(not load.lost[method], load.says(method))
    careless = loads(arguments, "by default", CARELESS)
    for load in careless:
        print("# " + "; ".join(load.says(method) for method in load.asked), flush=True)
    # Shows what the numbers above are worth.
    lost = sum(len(load.lost["POST"]) for load in careless)
    checks.that(lost > 0, f"the load is one in which requests can get lost ({lost})")


def loads(arguments, name, changes):
    """The result of each proxy's load. The loads run at the same time."""
    with contextlib.ExitStack() as stack:
        running = []
        for kind in PROXIES:
            server = stack.enter_context(Server(arguments, idle_ms=IDLE_MS))
            proxy = stack.enter_context(Proxy(arguments, kind, server.address, name, changes[kind]))
            running.append(Load(proxy, server))
        for load in running:
            load.thread.join()
        return running


class Load:
    """Clients of one proxy that all ask at once, wait as long as the server does, and ask again. By
    then all of the proxy's connections to the server have been idle for the same time. The number
    of connections that the server had to accept again shows whether the wait was too long or too
    short, and the load adjusts it."""

    def __init__(self, proxy, server):
        self.proxy, self.server = proxy, server
        self.asked = {"GET": 0, "POST": 0}
        self.lost = {"GET": [], "POST": []}
        self.seed = random.randrange(1 << 32)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def says(self, method):
        lost = self.lost[method]
        how = f" ({', '.join(sorted(set(lost)))}; seed {self.seed})" if lost else ""
        return f"{self.proxy.name}: {len(lost)} of {self.asked[method]} {method} lost{how}"

    def run(self):
        rng = random.Random(self.seed)
        clients = [Tls(self.proxy.address) for _ in range(CLIENTS)]
        wait, accepted = IDLE_MS / 1000, self.accepted()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.round(clients)
            answered = time.monotonic()
            before, accepted = accepted, self.accepted()
            anew = min((accepted - before - 1) / CLIENTS, 1)
            wait -= (anew - 0.5) * STEP_SECONDS
            due = answered + wait + rng.uniform(-SPREAD_SECONDS, SPREAD_SECONDS)
            time.sleep(max(due - time.monotonic(), 0))
        for client in clients:
            client.socket.close()

    def round(self, clients):
        methods = ["GET" if at % 2 else "POST" for at in range(CLIENTS)]
        unsent = [self.ask(client, method) for client, method in zip(clients, methods)]
        for at, method in enumerate(methods):
            self.asked[method] += 1
            if why := unsent[at] or self.answer(clients[at]):
                self.lost[method].append(why)
                clients[at].socket.close()
                clients[at] = Tls(self.proxy.address)

    def ask(self, client, method):
        """Why a request could not be sent; `None` if it was."""
        path, body = ("/api/upload", BODY) if method == "POST" else ("/api/health", b"")
        head = request(method, path, [f"Content-Length: {len(body)}"], host=client.host)
        try:
            client.send(head + body)
        except OSError as error:
            return type(error).__name__
        return None

    def answer(self, client):
        """Why a request has no good answer; `None` if it has."""
        try:
            status = client.answer().status
            return None if status == 200 else str(status)
        except OSError as error:
            return type(error).__name__

    def accepted(self):
        """How many connections the server has accepted, this one included."""
        body = ask(self.server.address, "GET", "/metrics").body
        return int(re.search(rb"^akurai_\w*accepted\w* (\d+)$", body, re.MULTILINE)[1])
