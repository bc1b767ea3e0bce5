"""Topics beside one another: a busy one and quiet ones, and thousands of them with the longest names."""

import contextlib
import http.client

from clients import Follower
from processes import Failed, Node, Redis, wait_until

QUIET = 8
# More than the 20,000 events that a node keeps.
NOISE = 25_000

# The longest name that a topic may have, in bytes.
TOPIC_BYTES = 1024
TOPICS = 10_000
# What a hub keeps of events, 16 MiB, and as much again: for topics of which it has nothing else, the allocator's share, the
# threads that publish.
MEMORY_MIB = 32


def post(node, path, text):
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=120)
    with contextlib.closing(connection):
        connection.request("POST", path, text)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise Failed(f"{path} is answered with {answer.status}: {text}")
        return text


class Listeners:
    """Who follows topics, and where."""

    def __init__(self, stack):
        self.stack = stack

    def follow(self, node, topic, cursor=""):
        follower = Follower(node.port, cursor, path=f"/topics/{topic}")
        self.stack.callback(follower.end)
        return follower


def quiet(arguments, checks):
    """A busy topic pushes the events of all others out, which is no loss to those who have them."""
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(Redis(arguments.out, "redis"))
        nodes = [stack.enter_context(Node(arguments, name, redis.url)) for name in "ab"]
        listeners = Listeners(stack)
        markers = [listeners.follow(node, "marker") for node in nodes]
        topics = [f"quiet-{at}" for at in range(QUIET)]
        # Of the last one nothing was ever published: its clients have the place at which they began.
        away = [(topic, listeners.follow(node, topic)) for topic in [*topics, "silent"] for node in nodes]
        wait_until("all follow", lambda: all(f.cursor for f in [*markers, *(f for _, f in away)]))
        for topic in topics:
            post(nodes[0], f"/topics/{topic}", "1")
        wait_until("all have their event", lambda: all(f.got or topic == "silent" for topic, f in away))
        for _, follower in away:
            follower.end()
        missed = topics[: QUIET // 2]
        for topic in missed:
            post(nodes[1], f"/topics/{topic}", "2")
        noise = post(nodes[0], "/batch/noisy", f"0 {NOISE}").count("\n")
        post(nodes[0], "/topics/marker", "1")
        wait_until("both nodes are past the noise", lambda: all(f.got for f in markers))

        back = [(topic, listeners.follow(node, topic, f.cursor)) for topic, f in away for node in nodes]
        wait_until("all are back", lambda: all(f.opens for _, f in back))
        for topic in [*topics, "silent"]:
            post(nodes[1], f"/topics/{topic}", "3")
        with contextlib.suppress(Failed):
            wait_until("all have the last", lambda: all(("3" == str(f.got[-1][1])) for _, f in back if f.got) and all(f.got for _, f in back))
        told = lambda names: sorted({(f.resets, *(number for kind, number in f.got if kind != "reset")) for topic, f in back if topic in names})
        kept = told({*topics, "silent"} - set(missed))
        checks.that(
            kept == [(0, 3)] and noise == NOISE,
            f"{noise} events of a busy topic: clients of topics that lost nothing come back and get (resets, events) {kept}",
        )
        gone = told(missed)
        checks.that(gone == [(1, 3)], f"and those whose event was pushed out {gone}")


def memory(arguments, checks):
    """What a hub keeps is bounded by bytes, whatever takes them."""
    with Redis(arguments.out, "redis") as redis:
        for size, wanted in [(TOPIC_BYTES, TOPICS), (TOPIC_BYTES + 1, 0), (100_000, 0)]:
            with contextlib.ExitStack() as stack:
                node = stack.enter_context(Node(arguments, "a", redis.url, max_events=TOPICS * 2))
                marker = Listeners(stack).follow(node, "marker")
                wait_until("it follows", lambda: marker.cursor)
                # What serving costs is no memory of topics.
                post(node, "/spread", "16 8")
                before = node.rss()
                grown = []
                for number in range(3):
                    kept = int(post(node, "/spread", f"{TOPICS} {size}"))
                    post(node, "/topics/marker", str(number))
                    wait_until("the node has them all", lambda: number in [data for _, data in marker.got])
                    grown.append((node.rss() - before) / 2**20)
                checks.that(
                    kept == wanted and max(grown) <= MEMORY_MIB,
                    f"{kept} of {TOPICS} events kept under topics of {size} bytes, three times: "
                    f"{', '.join(f'{one:.0f}' for one in grown)} MiB",
                )
