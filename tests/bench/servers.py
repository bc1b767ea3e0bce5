"""The servers of `http`, `echo` and `idle`, and their tasks: see README.md beside this file."""

import re

PROGRAMS = {
    "akurai": "web",
    "akurai-joined": "web",
    "floor": "floor-web",
    "floor-epoll": "floor-epoll",
    "axum": "axum-web",
    "axum-one": "axum-web",
    "tiny_http": "tiny-web",
    "tungstenite": "tungstenite-web",
    "hyper": "hyper-web",
    "actix": "actix-web",
    "tako": "tako-web",
    "http-net": "http-net-web",
}

# The servers by default, and the others, which `run` builds when they are named or all are
# requested.
SERVERS = {
    "http": (
        ["akurai", "floor", "floor-epoll", "axum", "axum-one", "tiny_http"],
        ["hyper", "actix", "tako", "http-net"],
    ),
    "echo": (
        ["akurai", "floor", "floor-epoll", "axum", "axum-one", "tungstenite"],
        ["akurai-joined", "hyper", "actix", "tako"],
    ),
    "idle": (
        ["akurai", "tungstenite", "axum"],
        ["floor", "floor-epoll", "axum-one", "hyper", "actix", "tako"],
    ),
}

# The servers that have the paths of slow handlers.
HAVE_SLOW = ["akurai", "before", "axum", "axum-one"]

UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
TEXT = "Hello, World!"


def bytes_of(size):
    found = re.fullmatch(r"(\d+)(B|KiB|MiB|GiB)", size)
    if not found:
        raise SystemExit(f"tests/bench: {size} is no size, such as 16B, 1KiB, 64KiB, 1MiB or 1GiB")
    return int(found[1]) * UNITS[found[2]]


def chosen(args, scenario):
    """The servers that the arguments name, and `before` behind ours if there is one."""
    default, others = SERVERS[scenario]
    if "before" in PROGRAMS:
        default = [default[0], "before", *default[1:]]
    if not args.servers:
        return default
    if args.servers == ["all"]:
        # Its route is not the common echo, but our own option beside it.
        return [name for name in default + others if name != "akurai-joined"]
    for name in args.servers:
        if name not in default + others:
            raise SystemExit(
                f"tests/bench: {scenario} has no {name}, but {' '.join(default + others)}"
            )
    if "before" in PROGRAMS and "before" not in args.servers:
        return [args.servers[0], "before", *args.servers[1:]]
    return args.servers


class Case:
    """A case's task: `words` are the client's arguments after the address, for each server."""

    def __init__(self, name, client, bytes, connections, depth, path, *options):
        self.name, self.client, self.bytes = name, client, bytes
        self.connections, self.depth = connections, depth
        self.path, self.options = path, options
        # The requests a second that the client sends, if it does not send as fast as it can.
        self.rate = None
        # The answers that do not count among the others: None, "slow" or "compute".
        self.slow = None
        # Each handler waits.
        self.waits = False
        # A case of other load than the one that strace counts.
        self.is_load = False
        # A round may do only a part of a long transfer: then the bytes count.
        self.long = bytes >= 64 * 2**20

    def words(self, server):
        path = self.path
        if server.startswith("floor") and "--churn" in self.options:
            path = "/close"
        elif server == "akurai-joined":
            path = "/echo-joined"
        elif "--deflate" in self.options:
            path = "/echo-deflate"
        length = len(self.options[-1]) if "--upload" in self.options else self.bytes
        return path, length, self.connections, self.depth, *self.options

    def has(self, server):
        """Whether that server can do it at all."""
        if server == "http-net":
            return not self.long and not self.path.startswith(("/upload", "/download"))
        # actix ends the connection a second after the Close, so a rate would say nothing.
        if server == "actix" and "--handshake" in self.options:
            return False
        if self.slow and server not in HAVE_SLOW:
            return False
        # tokio's clock goes on by milliseconds.
        if self.waits and server not in ("akurai", "before"):
            return False
        return "--deflate" not in self.options or server in ("akurai", "before")


def load_case(name, connections, idle, how, rate, slow):
    """A GET under a load that is not just as much as possible."""
    options, path = ["--idle", idle or 0], "/"
    if rate:
        options += ["--each" if how == "@" else "--all", rate]
    if slow == "wait":
        slow, path = None, "/wait"
    if slow:
        options += ["--slow", f"/{slow}"]
    case = Case(name, "fetch", len(TEXT), int(connections), 1, path, *options, "--expect", TEXT)
    case.rate = rate and int(rate) * (int(connections) if how == "@" else 1)
    case.slow, case.is_load, case.waits = slow, True, path == "/wait"
    return case


def http_case(name):
    if found := re.fullmatch(r"(\d+)(?:\+(\d+))?(?:([@~])(\d+))?(?:-(slow|compute|wait))?", name):
        if any(found.groups()[1:]):
            return load_case(name, *found.groups())
    if found := re.fullmatch(r"(\d+)(?:x(\d+))?", name):
        return Case(
            name, "fetch", len(TEXT), int(found[1]), int(found[2] or 1), "/", "--expect", TEXT
        )
    if found := re.fullmatch(r"churn(?:-(\d+))?", name):
        return Case(
            name, "fetch", len(TEXT), int(found[1] or 16), 1, "/", "--churn", "--expect", TEXT
        )
    if found := re.fullmatch(r"(post|upload|download)-(\d+[A-Za-z]+)(?:-(\d+))?", name):
        bytes = bytes_of(found[2])
        if found[1] == "post":
            return Case(name, "fetch", bytes, int(found[3] or 64), 1, "/post", "--post", bytes)
        connections = int(found[3] or 1)
        if found[1] == "upload":
            return Case(
                name, "fetch", bytes, connections, 1, "/upload", "--upload", bytes, "--expect",
                str(bytes),
            )
        return Case(name, "fetch", bytes, connections, 1, f"/download/{bytes}")
    raise SystemExit(f"tests/bench: http has no {name}: see --help")


def echo_case(name, *options):
    if found := re.fullmatch(r"handshake(?:-(\d+))?", name):
        return Case(name, "chat", 0, int(found[1] or 16), 1, "/echo", "--handshake")
    if found := re.fullmatch(r"(\d+[A-Za-z]+)-(\d+)(?:x(\d+))?", name):
        return Case(
            name, "chat", bytes_of(found[1]), int(found[2]), int(found[3] or 1), "/echo", *options
        )
    raise SystemExit(f"tests/bench: echo has no {name}: see --help")


CASES = {
    "http": "1 4 16 64 256 64x16 16@2000 64@1000 256@50 256@200 64~30000 64+1000 64-slow "
    "64-compute 64@20-compute 64-wait post-1KiB post-64KiB churn upload-1GiB download-1GiB".split(),
    "echo": "16B-1 16B-64 16B-256 16B-64x16 1KiB-64 64KiB-1 64KiB-64 1MiB-1 1MiB-64 "
    "handshake".split(),
}
FORMS = {
    "http": "CONNECTIONS[xPIPELINED] is a GET of 13 bytes, "
    "CONNECTIONS[+IDLE][@EACH|~ALL][-slow|-compute|-wait] the same with idle "
    "connections beside the busy ones, at a rate of requests/s (on EACH connection at even times; "
    "on ALL together at "
    "random times), and with handlers that sleep or compute 20 ms for one request in a hundred, or wait for 200 µs each, "
    "post-SIZE[-CONNECTIONS] a body that comes back, churn[-CONNECTIONS] "
    "a GET and a connection for each, upload-SIZE and download-SIZE[-CONNECTIONS] are streamed",
    "echo": "SIZE-CONNECTIONS[xIN_FLIGHT] is a message that comes back, handshake[-CONNECTIONS] a "
    "connection that is opened "
    "and closed",
}
