"""Topics beside one another: a busy one and quiet ones, thousands with the longest names, and what
a page gets of a topic when it loads."""

import contextlib
import http.client

from clients import Follower, Loader, account
from clocks import Clock, Moving
from process import Failed, wait_until
from processes import Node, Redis

QUIET = 8
# More than the 20,000 events that a node keeps.
NOISE = 25_000

LOADERS = 6
# The most that a node's `/history` returns.
HISTORY = 50

# The longest name that a topic may have, in bytes.
TOPIC_BYTES = 1024
TOPICS = 10_000
# A hub keeps 16 MiB. Half as much again is for the allocator and for the publishing threads.
MEMORY_MIB = 24


def post(node, path, text):
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=120)
    with contextlib.closing(connection):
        connection.request("POST", path, text)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise Failed(f"{path} is answered with {answer.status}: {text}")
        return text


def follow(stack, node, topic, cursor=""):
    follower = Follower(node.port, cursor, path=f"/topics/{topic}")
    stack.callback(follower.end)
    return follower


def quiet(arguments, checks):
    """A busy topic pushes out the events of all others, which is no loss for clients that have
    them."""
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(Redis(arguments.out, "redis"))
        nodes = [stack.enter_context(Node(arguments, name, redis.url)) for name in "ab"]
        markers = [follow(stack, node, "marker") for node in nodes]
        # Nodes retain the events of `kept`.
        topics = [*(f"quiet-{at}" for at in range(QUIET)), "kept"]
        # `silent` has had no event: its clients have the id at which they began.
        every = [*topics, "silent"]
        away = [(topic, follow(stack, node, topic)) for topic in every for node in nodes]
        wait_until("all follow", lambda: all(f.cursor for f in [*markers, *(f for _, f in away)]))
        for topic in topics:
            post(nodes[0], f"/topics/{topic}", "1")
        have_theirs = lambda: all(f.got or topic == "silent" for topic, f in away)
        wait_until("all have their event", have_theirs)
        for _, follower in away:
            follower.end()
        missed = set(topics[: QUIET // 2])
        for topic in [*missed, "kept"]:
            post(nodes[1], f"/topics/{topic}", "2")
        noise = post(nodes[0], "/batch/noisy", f"0 {NOISE}").count("\n")
        post(nodes[0], "/topics/marker", "1")
        wait_until("both nodes are past the noise", lambda: all(f.got for f in markers))

        back = [
            (topic, follow(stack, node, topic, follower.cursor))
            for topic, follower in away
            for node in nodes
        ]
        # The stream's opening has arrived.
        wait_until("all are back", lambda: all(f.last_byte for _, f in back))
        for topic in every:
            post(nodes[1], f"/topics/{topic}", "3")
        with contextlib.suppress(Failed):
            wait_until("all have the last", lambda: all(3 in f.numbers() for _, f in back))
        told = lambda names: sorted(
            {(follower.resets, *follower.numbers()) for topic, follower in back if topic in names}
        )
        kept = told({*every} - missed - {"kept"})
        checks.that(
            kept == [(0, 3)] and noise == NOISE,
            f"{noise} events of a busy topic, and clients that were away. "
            f"Their topics lost nothing: (resets, events) {kept}",
        )
        gone, retained = told(missed), told({"kept"})
        checks.that(
            gone == [(1, 3)] and retained == [(0, 2, 3)],
            f"an event of theirs was pushed out: {gone}. Their topic retained it: {retained}",
        )


def history(arguments, checks):
    """A page shows a topic's last events, and its stream continues after them, at the other
    node."""
    clocks = [Clock(arguments, name) for name in "ab"]
    with Redis(arguments.out, "redis") as redis, Moving(arguments, redis, clocks) as moving:
        moving.publisher.reach(HISTORY * 2)
        loaders = [Loader(moving.ports, 10 + 3 * at, at) for at in range(LOADERS)]
        for loader in loaders:
            moving.stack.callback(loader.end)
        moving.end(checks, "among pages that are loaded")
        published = moving.publisher.published
        for loader in loaders:
            loader.end()
        pages = [page for loader in loaders for page in loader.pages]
        wrong = []
        for page in filter(None, pages):
            wrong += account(page, published, page[0][1], page[-1][1])
        resets = sum(kind == "reset" for page in pages for kind, _ in page)
        short = sum(len(page) < HISTORY for page in pages)
        checks.that(
            not wrong and resets == short == 0 and len(pages) > LOADERS,
            f"{len(pages)} pages got the last {HISTORY} events of a topic and, from the other node, "
            f"what follows: {resets} resets, {short} too short"
            + "".join(f"\n    {what}" for what in wrong[:4]),
        )


def memory(arguments, checks):
    """A hub's memory is limited by bytes, whatever uses them."""
    with Redis(arguments.out, "redis") as redis:
        for size, wanted in [(TOPIC_BYTES, TOPICS), (TOPIC_BYTES + 1, 0), (100_000, 0)]:
            with contextlib.ExitStack() as stack:
                node = stack.enter_context(Node(arguments, "a", redis.url, max_events=TOPICS * 2))
                marker = follow(stack, node, "marker")
                wait_until("it follows", lambda: marker.cursor)
                # This case does not measure the memory for serving.
                post(node, "/spread", "0 16 8")
                before = node.rss()
                grown = []
                for number in range(3):
                    kept = int(post(node, "/spread", f"{number * TOPICS} {TOPICS} {size}"))
                    post(node, "/topics/marker", str(number))
                    wait_until("the node has them all", lambda: number in marker.numbers())
                    grown.append((node.rss() - before) / 2**20)
                checks.that(
                    kept == wanted and max(grown) <= MEMORY_MIB,
                    f"{kept} of {TOPICS} events kept under as many topics of {size} bytes, "
                    f"three times: {', '.join(f'{one:.0f}' for one in grown)} MiB",
                )
