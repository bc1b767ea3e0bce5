"""Minutes of mixed load from several processes, with clients and whole processes killed at
random."""

import multiprocessing
import random
import statistics
import threading
import time

from client import BINARY, CLOSE, TEXT, Client, Closed, request
from demo import Demo
from process import MIB

PROCESSES = 4
CLIENTS = 8  # in each process
SAMPLE_SECONDS = 10
# How often a process is killed with SIGKILL, and replaced.
KILL_SECONDS = 15
WARM_UP_SHARE = 0.1
BACK_SECONDS = 20
RSS_BYTES = 16 * MIB
# How far the last third's mean may exceed the first third's.
RSS_GROWTH = (0.10, 2 * MIB)
COUNT_GROWTH = (0.10, 4)
FILE_BYTES = 1 * MIB
SEED = 1

# How likely a client dies at any one of its steps, and how likely it then does so by RST.
DEATH = 0.02
RESET = 0.5


class Dies(Exception):
    """Raised where this client must die."""


class Act:
    """One client's visit. `requests` counts the requests that got a whole answer."""

    def __init__(self, dice, address, source, file):
        self.dice, self.address, self.source, self.file = dice, address, source, file
        self.requests = 0

    def run(self):
        act = self.dice.choices(
            [self.keep_alive, self.pipelined, self.post, self.events, self.echo, self.download],
            [4, 3, 3, 2, 3, 2],
        )[0]
        client = Client(self.address, self.source)
        try:
            act(client)
        except Dies:
            if self.dice.random() < RESET:
                client.reset()
        except (OSError, Closed) as error:
            raise RuntimeError(f"{act.__name__}: {error!r}") from error
        finally:
            client.socket.close()

    def step(self):
        if self.dice.random() < DEATH:
            raise Dies

    def expect(self, answer, status, body=None):
        if answer.status != status or body is not None and answer.body != body:
            raise Closed(f"answer {answer}")
        self.requests += 1

    def keep_alive(self, client):
        for _ in range(self.dice.randint(1, 40)):
            client.send(request("GET", "/api/health"))
            self.step()
            self.expect(client.answer(), 200, b'{"status":"ok"}\n')
            time.sleep(self.dice.choice([0, 0, 0, 0.01]))

    def pipelined(self, client):
        for _ in range(self.dice.randint(1, 5)):
            count = self.dice.randint(2, 30)
            client.send(request("GET", "/api/health") * count)
            for _ in range(count):
                self.step()
                self.expect(client.answer(), 200, b'{"status":"ok"}\n')

    def post(self, client):
        """A body that no handler asked for: the demo answers 405, drains it, and the connection
        continues."""
        for _ in range(self.dice.randint(1, 5)):
            body = self.dice.randbytes(self.dice.choice([0, 1, 1000, 30_000]))
            if self.dice.random() < 0.5 and body:
                framing = "Transfer-Encoding: chunked"
                body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            else:
                framing = f"Content-Length: {len(body)}"
            client.send(request("POST", "/api/health", [framing]) + body[: len(body) // 2])
            self.step()
            client.send(body[len(body) // 2 :])
            self.expect(client.answer(), 405)

    def events(self, client):
        client.send(request("GET", "/api/events"))
        self.expect(client.head(), 200)
        for _ in range(self.dice.randint(1, 3)):
            self.step()
            client.until(b"\n\n")

    def echo(self, client):
        client.upgrade("/api/ws")
        self.requests += 1
        for _ in range(self.dice.randint(1, 20)):
            payload = self.dice.randbytes(self.dice.choice([0, 5, 125, 126, 5000, 70_000]))
            opcode = BINARY
            if self.dice.random() < 0.5:
                opcode, payload = TEXT, payload.hex().encode()
            client.send_frame(opcode, payload)
            self.step()
            if client.frame() != (opcode, payload):
                raise Closed("another echo than what was sent")
            self.requests += 1
        client.send_frame(CLOSE, (1000).to_bytes(2, "big"))
        if client.frame()[0] != CLOSE or client.receive():
            raise Closed("no proper close")

    def download(self, client):
        client.send(request("GET", "/files/soak"))
        head = client.head()
        size = int(head.first("content-length"))
        body = bytearray()
        while len(body) < size:
            self.step()
            body += client.take(min(64 * 1024, size - len(body)))
        head.body = bytes(body)
        self.expect(head, 200, self.file)


def process(number, seed, address, file, requests, faults, over):
    """Clients that come and go until `over`. Each has a separate count: a killed process might hold
    a lock."""

    def client(slot, seed):
        dice = random.Random(seed)
        while not over.is_set():
            # Separate addresses keep the ports from running out.
            act = Act(dice, address, f"127.0.{1 + number}.{1 + slot % CLIENTS}", file)
            try:
                act.run()
            except Exception as error:
                if not over.is_set():
                    faults[slot] += 1
                    print(f"fault (seed {seed}): {error}", flush=True)
            requests[slot] += act.requests
            over.wait(dice.uniform(0, 0.05))

    threads = [
        threading.Thread(
            target=client, args=(number * CLIENTS + index, seed * CLIENTS + index), daemon=True
        )
        for index in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def grew_at_most(samples, growth):
    """The means of the first and the last third after warm-up, and whether the last is within
    `growth` of the first."""
    samples = samples[round(len(samples) * WARM_UP_SHARE) :]
    third = max(1, len(samples) // 3)
    first, last = statistics.mean(samples[:third]), statistics.mean(samples[-third:])
    share, more = growth
    return first, last, last <= first * (1 + share) + more


def check(arguments, checks):
    files = arguments.out / "files"
    files.mkdir(exist_ok=True)
    file = random.Random(SEED).randbytes(FILE_BYTES)
    (files / "soak").write_bytes(file)
    seconds = arguments.minutes * 60
    dice = random.Random(SEED)
    spawn = multiprocessing.get_context("fork")
    requests = spawn.RawArray("q", PROCESSES * CLIENTS)
    faults = spawn.RawArray("q", PROCESSES * CLIENTS)
    with Demo(arguments, files) as demo:
        start = demo.warm()
        print(
            f"before: {start}; {PROCESSES} processes of {CLIENTS} clients, {arguments.minutes} "
            f"minutes, seed {SEED}"
        )
        running, over, kills = {}, {}, 0

        def begin(number, seed):
            # A separate event for each process, since a dying process may hold its event's lock.
            over[number] = spawn.Event()
            running[number] = spawn.Process(
                target=process,
                args=(number, seed, demo.address, file, requests, faults, over[number]),
                daemon=True,
            )
            running[number].start()

        for number in range(PROCESSES):
            begin(number, number + 1)
        begun = time.monotonic()
        samples = []
        next_sample, next_kill = SAMPLE_SECONDS, KILL_SECONDS
        while (now := time.monotonic() - begun) < seconds or len(
            samples
        ) < seconds // SAMPLE_SECONDS:
            if now >= next_sample:
                usage = demo.usage()
                samples.append(usage)
                print(
                    f"{now:6.0f} s: {usage}, {sum(requests)} requests, {sum(faults)} faults",
                    flush=True,
                )
                next_sample += SAMPLE_SECONDS
            if now >= next_kill:
                number = dice.randrange(PROCESSES)
                running[number].kill()
                running[number].join()
                kills += 1
                begin(number, PROCESSES + kills)
                next_kill += KILL_SECONDS
            if demo.process.poll() is not None:
                break
            time.sleep(0.1)
        for event in over.values():
            event.set()
        for child in running.values():
            child.join(30)
            child.kill()
        checks.that(demo.process.poll() is None, "soak: the demo still runs")
        if demo.process.poll() is not None:
            return
        checks.that(
            sum(requests) > 0 and sum(faults) == 0,
            f"soak: {sum(requests)} requests answered as they must be, {sum(faults)} not; {kills} "
            "processes killed",
        )
        for name, values, growth, unit in (
            ("RSS", [sample.rss for sample in samples], RSS_GROWTH, MIB),
            ("threads", [sample.threads for sample in samples], COUNT_GROWTH, 1),
            ("descriptors", [sample.descriptors for sample in samples], COUNT_GROWTH, 1),
        ):
            first, last, flat = grew_at_most(values, growth)
            checks.that(
                flat,
                f"soak: {name}, mean of the first third {first / unit:.2f}, of the last "
                f"{last / unit:.2f}, "
                f"most {max(values) / unit:.2f} (must: last <= first + {100 * growth[0]:.0f} % + "
                f"{growth[1] / unit:g})",
            )
        after, waited = demo.wait_until_back_at(start, BACK_SECONDS, RSS_BYTES)
        checks.that(
            after.is_back_at(start, RSS_BYTES),
            f"soak: {waited:.1f} s after the last client left: {after} (must: start, + "
            f"{RSS_BYTES // MIB} MiB, "
            f"+ spare threads, within {BACK_SECONDS} s)",
        )
