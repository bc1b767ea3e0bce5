"""A bad network between two namespaces, in user space: each has a TUN device, and a thread of this
process carries the packets from one to the other. It delays them, drops some, and holds a rate.
Linux has `sch_netem` for that, but not every kernel is built with it. This needs only TUN."""

import contextlib
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import socket
import struct
import subprocess
import threading
import time
from dataclasses import dataclass

SERVER, CLIENT = "10.79.0.1", "10.79.0.2"

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
# IPv4 (RFC 791) and TCP (RFC 9293).
TCP, SYN, ACK = 6, 0x02, 0x10

LIBC = ctypes.CDLL(None, use_errno=True)


def command(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def inside(namespace, action):
    """The result of `action`, which a thread runs in that network namespace. A socket stays where
    it was made."""
    outcome = []

    def run():
        try:
            with open(f"/run/netns/{namespace}") as file:
                if LIBC.setns(file.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            outcome.append((True, action()))
        except BaseException as error:
            outcome.append((False, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    ((is_done, result),) = outcome
    if not is_done:
        raise result
    return result


@dataclass(frozen=True)
class Conditions:
    """How bad a link is, in each direction. `queue` is what waits where the rate ends, in bytes;
    more is dropped, as a router does it."""

    delay: float = 0.02
    loss: float = 0.0
    rate: int = 400_000
    queue: int = 64 * 1024

    def __str__(self):
        return f"{1000 * self.delay:.0f} ms, {100 * self.loss:.0f} % lost, {self.rate // 1000} kB/s"


class Direction:
    def __init__(self, link, to, conditions, dice):
        self.link, self.to, self.conditions, self.dice = link, to, conditions, dice
        self.is_free_at = 0.0
        self.carried = self.dropped = 0

    def due(self, packet, now):
        """When the packet arrives; `None` if it never does."""
        conditions = self.conditions
        begins = max(now, self.is_free_at)
        waiting = (begins - now) * conditions.rate
        if (
            not self.link.lets_pass(packet)
            or waiting > conditions.queue
            or self.dice.random() < conditions.loss
        ):
            self.dropped += 1
            return None
        self.carried += 1
        self.is_free_at = begins + len(packet) / conditions.rate
        return self.is_free_at + conditions.delay


class Link:
    """The path between a server's namespace and a client's."""

    def __init__(self, name, conditions, seed, relay):
        self.server, self.client = f"{name}-s", f"{name}-c"
        self.is_up, self.flows, self.is_stateful = True, set(), False
        with contextlib.ExitStack() as stack:
            devices = []
            for namespace, ours, theirs in (
                (self.server, SERVER, CLIENT),
                (self.client, CLIENT, SERVER),
            ):
                command("ip", "netns", "add", namespace)
                stack.callback(command, "ip", "netns", "del", namespace)
                device = inside(namespace, tun)
                stack.callback(os.close, device)
                devices.append(device)
                command(
                    "ip", "-n", namespace, "address", "add", ours, "peer", theirs, "dev", "net0"
                )
                for interface in ("lo", "net0"):
                    command("ip", "-n", namespace, "link", "set", interface, "up")
            dice = random.Random(seed)
            self.directions = [Direction(self, to, conditions, dice) for to in reversed(devices)]
            for device, direction in zip(devices, self.directions):
                relay.add(device, direction)
                stack.callback(relay.remove, device)
            self.stack = stack.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def remember_flows(self):
        """From now on there is a NAT on the path: only connections that it saw begin may pass. It
        does not change addresses, which neither end could see."""
        self.is_stateful = True

    def forget_flows(self):
        """The NAT forgets all its connections. It says so to nobody; new ones pass."""
        self.flows = set()

    def lets_pass(self, packet):
        if not self.is_up:
            return False
        if not self.is_stateful:
            return True
        words = (packet[0] & 0x0F) * 4
        if packet[9] != TCP:
            return True
        source, target = packet[12:16], packet[16:20]
        source += packet[words : words + 2]
        target += packet[words + 2 : words + 4]
        flow = frozenset((source, target))
        if packet[words + 13] & (SYN | ACK) == SYN:
            self.flows.add(flow)
        return flow in self.flows

    def totals(self):
        carried, dropped = (
            sum(getattr(one, name) for one in self.directions) for name in ("carried", "dropped")
        )
        return f"{carried} packets carried, {dropped} dropped"


def tun():
    """A TUN device of the current namespace: its packets are read and written here."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"net0", IFF_TUN | IFF_NO_PI))
    except OSError:
        os.close(device)
        raise
    return device


class Relay(threading.Thread):
    """Carries the packets of all links."""

    def __init__(self):
        super().__init__(daemon=True)
        self.poll = select.epoll()
        self.lock = threading.Lock()
        self.directions = {}
        self.under_way, self.order = [], itertools.count()
        self.start()

    def add(self, device, direction):
        with self.lock:
            self.directions[device] = direction
            self.poll.register(device, select.EPOLLIN)

    def remove(self, device):
        with self.lock:
            self.poll.unregister(device)
            gone = self.directions.pop(device)
            self.under_way = [
                entry for entry in self.under_way if entry[2] not in (device, gone.to)
            ]
            heapq.heapify(self.under_way)

    def run(self):
        while True:
            now = time.monotonic()
            wait = self.under_way[0][0] - now if self.under_way else 1.0
            ready = self.poll.poll(min(max(wait, 0), 1.0))
            with self.lock:
                now = time.monotonic()
                for device, _ in ready:
                    self.take(device, now)
                while self.under_way and self.under_way[0][0] <= now:
                    _, _, to, packet = heapq.heappop(self.under_way)
                    # A device whose queue is full drops, as any does.
                    with contextlib.suppress(OSError):
                        os.write(to, packet)

    def take(self, device, now):
        direction = self.directions.get(device)
        while direction is not None:
            try:
                packet = os.read(device, 65536)
            except OSError:
                return
            # Only IPv4: the rest is what IPv6 says of itself on a new interface.
            if packet[0] >> 4 == 4 and (due := direction.due(packet, now)) is not None:
                heapq.heappush(self.under_way, (due, next(self.order), direction.to, packet))


def owned_ports(pid, port):
    """The clients' ports of the connections over the link that the process still holds. A socket
    that it has closed, and that the system goes on with, has no inode."""
    ours, theirs = (
        f"{struct.unpack('=I', socket.inet_aton(at))[0]:08X}" for at in (SERVER, CLIENT)
    )
    ports = set()
    with open(f"/proc/{pid}/net/tcp") as lines:
        next(lines)
        for line in lines:
            fields = line.split()
            (host, at), (client, from_port) = fields[1].split(":"), fields[2].split(":")
            if (host, int(at, 16), client) == (ours, port, theirs) and fields[9] != "0":
                ports.add(int(from_port, 16))
    return ports
