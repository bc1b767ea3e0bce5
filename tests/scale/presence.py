"""The people present, by name: pages at two nodes, one of which is killed, or stands still."""

import json
import signal
import time
from pathlib import Path

from process import wait_until
from processes import Redis, Talking

# The time that the example promises, and more for a busy machine.
BOUND_SECONDS = 9
SHARE_SECONDS = 6

ALL = "Ann, Bob, Cid"


class Node(Talking):
    """The example `presence`."""

    def __init__(self, arguments, name, url, port=0):
        command = [Path(arguments.examples) / "presence", f"127.0.0.1:{port}", url]
        super().__init__(arguments, name, command)
        self.url = self.line("http://.*")
        self.port = int(self.url.rsplit(":", 1)[1])


class Pages(Talking):
    """Chromium with the pages of these people, each at a node's address."""

    def __init__(self, arguments, people):
        command = ["node", Path(__file__).with_name("presence.mjs"), arguments.playwright, arguments.chromium]
        command += [arguments.out / "presence-profile", *(f"{url}/?name={name}" for name, url in people)]
        super().__init__(arguments, "presence-pages", command)
        self.line("open")

    def show(self):
        """The people that each page shows."""
        return json.loads(self.ask("tell"))

    def until(self, what, condition, seconds=60):
        """How long it takes until the pages show the expected people."""
        begun = time.monotonic()
        wait_until(what, lambda: condition(self.show()), seconds)
        return time.monotonic() - begun


def presence(arguments, checks):
    limit = BOUND_SECONDS + SHARE_SECONDS
    with Redis(arguments.out, "redis") as redis, Node(arguments, "a", redis.url) as here:
        with Node(arguments, "b", redis.url) as there:
            people = [("Ann", here.url), ("Bob", there.url), ("Cid", there.url)]
            pages = Pages(arguments, people)
            with pages:
                pages.until("each page shows all", lambda shown: shown == [ALL] * 3)
                there.kill()
                took = pages.until("those of the killed node are gone", lambda shown: shown[0] == "Ann")
                checks.that(took <= limit, f"presence: a node was killed, and its people were gone after {took:.1f} s of {BOUND_SECONDS}")
                with Node(arguments, "c", redis.url, there.port) as again:
                    took = pages.until("they come back to the next", lambda shown: shown == [ALL] * 3)
                    checks.that(took <= 30, f"presence: they came to its successor, and were back after {took:.1f} s")
                    stand_still(again, pages, checks, limit)
                    outage(redis, pages, checks)


def stand_still(node, pages, checks, limit):
    """SIGSTOP of a node, and SIGCONT."""
    node.signal(signal.SIGSTOP)
    took = pages.until("those of the node that stands still are gone", lambda shown: shown[0] == "Ann")
    checks.that(took <= limit, f"presence: a node stood still, and its people were gone after {took:.1f} s of {BOUND_SECONDS}")
    time.sleep(5)
    node.signal(signal.SIGCONT)
    took = pages.until("they are back on every page", lambda shown: shown == [ALL] * 3)
    checks.that(took <= limit, f"presence: it went on, and they were back after {took:.1f} s")


def outage(redis, pages, checks):
    """SIGSTOP of Redis for longer than a node may be silent: nobody disappears."""
    redis.process.signal(signal.SIGSTOP)
    shown = set()
    end = time.monotonic() + BOUND_SECONDS + 5
    while time.monotonic() < end:
        shown.update(pages.show())
        time.sleep(0.1)
    redis.process.signal(signal.SIGCONT)
    seen_away = set(shown)
    end = time.monotonic() + BOUND_SECONDS
    while time.monotonic() < end:
        shown.update(pages.show())
        time.sleep(0.02)
    checks.that(seen_away == {ALL} and shown == {ALL}, f"presence: Redis stood still for 14 s and went on; the pages showed {sorted(shown)}")
