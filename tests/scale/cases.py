"""The cases: each disturbs a Redis or a node while events flow, and checks what the clients see,
and that nothing is lost silently."""

import contextlib
import signal
import time

from client import ask
from clients import Follower, Publisher, account
from process import free_port, wait_until
from processes import MASTER, Node, Proxy, Redis

# A publish fails within 1 s without a connection and within 3 s without an answer; the rest is for
# a busy machine.
FAILURE_SECONDS = 4.5


def status(port, path):
    return ask(("127.0.0.1", port), "GET", path).status


class Scene:
    """Two nodes on one Redis, two followers at each, and a publisher that sends to both in turn."""

    def __init__(self, arguments, checks, url, publishing=(0, 1), max_events=100_000):
        self.checks = checks
        self.stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self.nodes = [stack.enter_context(Node(arguments, name, url, max_events)) for name in ("a", "b")]
            self.followers = [Follower(node.port) for node in self.nodes for _ in range(2)]
            for follower in self.followers:
                stack.callback(follower.end)
            wait_until("all follow", lambda: all(follower.cursor for follower in self.followers))
            self.publisher = Publisher([self.nodes[at].port for at in publishing])
            stack.callback(self.publisher.end)
            self.publisher.reach(200)
            self.stack = stack.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def wait_ready(self):
        wait_until("both nodes are ready", lambda: all(status(node.port, "/api/ready") == 200 for node in self.nodes))

    def end(self, name, resets, followers=None, failures=None, opens=1):
        """Lets more events flow to the end, and judges how many resets each of `followers` saw, and
        whether publishes failed."""
        self.wait_ready()
        self.publisher.held.clear()
        reached = self.publisher.next
        self.publisher.reach(reached + 300)
        wait_until("an event was kept", lambda: any(number > reached for number in list(self.publisher.published.ids)))
        published = self.publisher.end()
        last = max(published.ids)
        followers = self.followers if followers is None else followers
        with contextlib.suppress(Exception):
            wait_until("all have the last", lambda: all(f.got and f.got[-1][1] == last for f in followers), 15)
        wrong = [what for follower in followers for what in account(list(follower.got), published, 0, last)]
        seen = sorted({follower.resets for follower in followers})
        got = [sum(1 for kind, _ in follower.got if kind != "reset") for follower in followers]
        self.checks.that(
            not wrong and seen == resets and {follower.opens for follower in followers} == {opens},
            f"{name}: {len(published.ids)} published, {len(published.failed)} failed; each client got "
            f"{min(got)} to {max(got)}, in order, none twice, {seen} resets, on {opens} connection(s)"
            + "".join(f"\n    {what}" for what in wrong[:8])
            + "".join(f"\n    opened {f.opens}, resets {f.resets}" for f in followers if f.opens != opens or [f.resets] != resets),
        )
        if failures is not None:
            self.checks.that(
                bool(published.failed) == failures and published.slowest_failure < FAILURE_SECONDS,
                f"{name}: publishing failed {len(published.failed)} times, the slowest after "
                f"{published.slowest_failure:.2f} s: {next(iter(published.failed.values()), 'never')}",
            )
        return published

    def judge_outage(self, name):
        """While Redis is away: the nodes are not ready, but healthy; streams are open and get
        heartbeats."""
        node = self.nodes[0].port
        wait_until("the node says that it is not ready", lambda: status(node, "/api/ready") == 503, 15)
        since = time.monotonic()
        health = status(node, "/api/health")
        with contextlib.suppress(Exception):
            wait_until("heartbeats", lambda: all(follower.last_byte > since for follower in self.followers), 10)
        beating = all(follower.last_byte > since for follower in self.followers)
        open_still = all(follower.opens == 1 for follower in self.followers)
        self.checks.that(
            health == 200 and beating and open_still,
            f"{name}: meanwhile /api/ready says 503, /api/health {health}, streams stay open and get heartbeats",
        )


def kill(arguments, checks):
    """kill -9 of Redis: with an append-only file nothing is lost, without one there is a reset."""
    for append_only in (True, False):
        name = f"Redis killed, {'with' if append_only else 'without'} AOF"
        with Redis(arguments.out, "redis", append_only) as redis, Scene(arguments, checks, redis.url) as scene:
            redis.process.kill()
            scene.judge_outage(name)
            redis.start()
            # Nodes reconnect by themselves, at the latest after the longest pause.
            scene.end(name, [0] if append_only else [1], failures=True)


def stop(arguments, checks):
    """SIGSTOP: the server accepts connections and does not answer."""
    with Redis(arguments.out, "redis") as redis, Scene(arguments, checks, redis.url) as scene:
        redis.process.signal(signal.SIGSTOP)
        scene.judge_outage("Redis stopped")
        redis.process.signal(signal.SIGCONT)
        scene.end("Redis stopped", [0], failures=True)


def cut(arguments, checks):
    """CLIENT KILL, repeatedly."""
    with Redis(arguments.out, "redis") as redis, Scene(arguments, checks, redis.url) as scene:
        killed = 0
        for _ in range(20):
            killed += redis.ask("CLIENT", "KILL", "TYPE", "normal")
            time.sleep(0.1)
        scene.end(f"{killed} connections killed", [0], failures=False)


def flush(arguments, checks):
    with Redis(arguments.out, "redis") as redis, Scene(arguments, checks, redis.url) as scene:
        # Once while nothing happens, and once in the middle.
        scene.publisher.hold()
        redis.ask("FLUSHALL")
        wait_until("all are told", lambda: all(follower.resets == 1 for follower in scene.followers), 10)
        scene.publisher.go_on(0.5)
        redis.ask("FLUSHALL")
        scene.end("FLUSHALL, idle and under way", [2], failures=False)


def restore(arguments, checks):
    """An older dump. A client that was away meanwhile is told as well, at a node that was running
    and at one that was not."""
    with Redis(arguments.out, "redis") as redis, Scene(arguments, checks, redis.url) as scene:
        publisher = scene.publisher
        publisher.hold()
        redis.ask("SAVE")
        publisher.go_on(0.5)
        publisher.hold()
        last = max(publisher.published.ids)
        wait_until("all have the last", lambda: all(f.got[-1][1] == last for f in scene.followers))
        away = scene.followers.pop()
        away.end()
        redis.process.kill()
        redis.start()
        wait_until("all are told", lambda: all(follower.resets == 1 for follower in scene.followers), 15)
        with Node(arguments, "c", redis.url) as third:
            returned = [Follower(node.port, away.cursor, away.got) for node in (scene.nodes[1], third)]
            for follower in returned:
                scene.stack.callback(follower.end)
            wait_until("who returns is told", lambda: all(follower.resets == 1 for follower in returned), 15)
            scene.end("an older dump", [1], scene.followers + returned)


def overrun(arguments, checks):
    """MAXLEN removes events while a node is paused: its clients are told, and the clients of the
    other node lose nothing."""
    with Redis(arguments.out, "redis") as redis:
        with Scene(arguments, checks, redis.url, publishing=(0,), max_events=500) as scene:
            scene.nodes[1].signal(signal.SIGSTOP)
            scene.publisher.reach(scene.publisher.next + 2_000)
            scene.nodes[1].signal(signal.SIGCONT)
            wait_until("its clients are told", lambda: all(f.resets for f in scene.followers[2:]), 15)
            scene.end("MAXLEN overrun while a node is paused, its clients", [1], scene.followers[2:], failures=False)
            untouched = [account(list(f.got), scene.publisher.published, 0, max(scene.publisher.published.ids)) for f in scene.followers[:2]]
            checks.that(
                untouched == [[], []] and all(f.resets == 0 for f in scene.followers[:2]),
                f"MAXLEN overrun: those of the other node got everything {[wrong for wrong in untouched if wrong] or ''}",
            )


def promote(arguments, checks):
    """REPLICAOF NO ONE, behind a proxy that finds the master: with a replica that has everything,
    and with one that lags."""
    for lags in (False, True):
        name = f"promotion of a replica that {'lags' if lags else 'has everything'}"
        with contextlib.ExitStack() as stack:
            master = stack.enter_context(Redis(arguments.out, "master"))
            replica = stack.enter_context(Redis(arguments.out, "replica"))
            replica.ask("REPLICAOF", "127.0.0.1", master.port)
            linked = lambda: "master_link_status:up" in replica.ask("INFO", "replication")
            wait_until("the replica is linked", linked)
            proxy = stack.enter_context(Proxy(arguments, MASTER, [master.port, replica.port]))
            wait_until("the proxy finds the master", Address(proxy.port).answers)
            scene = stack.enter_context(Scene(arguments, checks, f"redis://127.0.0.1:{proxy.port}"))
            scene.publisher.hold()
            # WAIT would report only the writes of its own connection, and there are none.
            newest = ["XREVRANGE", "akurai", "+", "-", "COUNT", 1]
            wait_until("the replica has everything", lambda: replica.ask(*newest) == master.ask(*newest))
            if lags:
                # A broken link: it stays a replica, and gets nothing.
                replica.ask("REPLICAOF", "127.0.0.1", free_port())
                scene.publisher.go_on(0.5)
                scene.publisher.hold()
                last = max(scene.publisher.published.ids)
                wait_until("all have the last", lambda: all(f.got[-1][1] == last for f in scene.followers))
            master.process.kill()
            replica.ask("REPLICAOF", "NO", "ONE")
            if lags:
                wait_until("all are told", lambda: all(follower.resets == 1 for follower in scene.followers), 20)
            scene.end(name, [1] if lags else [0])


class Address:
    """A Redis behind a proxy; the test asks it whether it answers."""

    def __init__(self, port):
        self.port = port

    ask, answers = Redis.ask, Redis.answers
