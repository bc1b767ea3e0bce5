"""Our DEFLATE and zlib each read what the other wrote, and both read invalid streams: see
README.md."""

import argparse
import itertools
import random as generators
import sys
import time
import zlib
from pathlib import Path

import inputs
import mutated
from pipe import ALONE, COMPRESS, END, FINISH, INFLATE, NEED_INPUT, NONE, STATUS, SYNC, Gone, Pipe, by_zlib

MARK = b"\x00\x00\xff\xff"
STRATEGIES = [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED]
FLUSHES = [zlib.Z_NO_FLUSH, zlib.Z_PARTIAL_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_BLOCK]

# Levels, window bits, and how our encoder flushes: only at the end, by Sync, sometimes, or as one
# message.
WAYS = list(itertools.product(range(1, 10), range(8, 16), ("none", "sync", "finish", "alone")))

# How many failures are printed in full, and kept.
MOST_TOLD = 20


class Checks:
    def __init__(self, out):
        self.out = out
        self.passed = 0
        self.failed = 0

    def check(self, name, data, *faults):
        """A case is one check. Its faults are texts, or nothing."""
        faults = [fault for fault in faults if fault]
        if not faults:
            self.passed += 1
            return
        self.failed += 1
        if self.failed <= MOST_TOLD:
            kept = self.out / f"failure-{self.failed}.bin"
            kept.write_bytes(data)
            print(f"FAILED {name}: {'; '.join(faults)}; its {len(data)} bytes are in {kept}", flush=True)
            if len(data) <= 200:
                print(f"  {data.hex()}", flush=True)


def ours_to_zlib(random, pipe, checks):
    """zlib reads our compressed data."""
    ways = itertools.cycle(random.sample(WAYS, len(WAYS)))
    for name, data in inputs.inputs(random):
        for _ in range(2 if len(data) <= 70000 else 1):
            compressed_by_us(random, pipe, checks, name, data, *next(ways))
    # A message of this length goes as a stream.
    data = inputs.records(random, (2 << 20) + random.randrange(1, 100_000))
    for plan in ("alone", "none"):
        compressed_by_us(random, pipe, checks, "records, over 2 MiB", data, 6, 15, plan)
    # Each level with each window and each plan, on data for which all of them matter.
    for kind in (inputs.text, inputs.records, inputs.short_matches, inputs.fibonacci):
        data = kind(random, random.randrange(8000, 16000))
        for way in WAYS:
            compressed_by_us(random, pipe, checks, kind.__name__, data, *way)


def compressed_by_us(random, pipe, checks, name, data, level, bits, plan):
    name = f"ours {name} level {level} window {bits} {plan}"
    if plan == "alone":
        pieces = [(len(data), random.choice([SYNC, FINISH]))]
        answer = pipe.ask(ALONE, data, level, bits, pieces)
    else:
        lengths = inputs.cuts(random, len(data))
        flush = {"none": lambda: NONE, "sync": lambda: SYNC, "finish": lambda: random.choice([NONE, SYNC])}[plan]
        pieces = [(length, flush()) for length in lengths]
        # At the end everything must come out.
        pieces[-1] = (lengths[-1], SYNC if plan == "sync" else FINISH)
        answer = pipe.ask(COMPRESS, data, level, bits, pieces)
    out = answer.output
    syncs = sum(flush == SYNC for _, flush in pieces)
    most = len(data) + len(data) * 5 // 16384 + 11 * syncs + 6
    faults = [f"{len(data)} bytes became {len(out)}" if len(out) > most else None]
    faults.append(fault_by_pieces(data, answer, pieces))
    if bits < 15 and len(data) <= 20000:
        narrow = by_zlib(out, bits)
        faults.append(None if narrow.output == data else f"not within a window of {bits} bits: {STATUS[narrow.status]}")
    again = pipe.ask(INFLATE, out, bits=bits, pieces=[(length, NONE) for length in inputs.cuts(random, len(out))])
    expected = END if pieces[-1][1] == FINISH else NEED_INPUT
    if (again.status, again.output) != (expected, data):
        faults.append(f"by ourselves it is {STATUS[again.status]}, {len(again.output)} bytes")
    checks.check(name, data, *faults)


def fault_by_pieces(data, answer, pieces):
    """What zlib reads from each piece's output as it comes."""
    inflate = zlib.decompressobj(-15)
    output = b""
    start = given = 0
    try:
        for (length, flush), end in zip(pieces, answer.lengths):
            piece = answer.output[start:end]
            output += inflate.decompress(piece)
            start, given = end, given + length
            if flush != NONE and output != data[:given]:
                return f"{len(output)} bytes of {given} came out"
            if flush == SYNC and not answer.output[:end].endswith(MARK):
                return f"after Sync it ends with {answer.output[:end][-4:].hex()}"
    except zlib.error as error:
        return f"zlib says {error}"
    is_finished = pieces[-1][1] == FINISH
    if inflate.eof != is_finished or inflate.unused_data:
        return f"the end is {inflate.eof}, with {len(inflate.unused_data)} bytes behind it"
    return None if output == data else "it is not what it was"


def zlib_to_ours(random, pipe, checks):
    """We read zlib's compressed data: first each of its options, then random ones."""
    ways = itertools.product(range(10), range(9, 16), range(1, 10), STRATEGIES)
    for nth, (level, bits, memory, strategy) in enumerate(ways):
        if nth % 97 == 0:
            name, data = inputs.one(random, 6000)
        compressed_by_zlib(random, pipe, checks, name, data, level, bits, memory, strategy, 2)
    for name, data in inputs.inputs(random):
        way = random.randrange(10), random.randrange(9, 16), random.randrange(1, 10), random.choice(STRATEGIES)
        compressed_by_zlib(random, pipe, checks, name, data, *way, 8)


def compressed_by_zlib(random, pipe, checks, name, data, level, bits, memory, strategy, most_cuts):
    compress = zlib.compressobj(level, zlib.DEFLATED, -bits, memory, strategy)
    out = b""
    # Where all output is out and the input is at a whole byte: there the decoder may give its
    # memory back.
    rests = set()
    start = 0
    for length in inputs.cuts(random, len(data), most_cuts):
        out += compress.compress(data[start : start + length])
        start += length
        flush = random.choice(FLUSHES)
        if flush != zlib.Z_NO_FLUSH:
            out += compress.flush(flush)
        if flush in (zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH) and out.endswith(MARK):
            rests.add(len(out))
    is_finished = random.random() < 0.8
    out += compress.flush(zlib.Z_FINISH if is_finished else zlib.Z_SYNC_FLUSH)
    if zlib.decompressobj(-15).decompress(out) != data:
        sys.exit("tests/zlib: this zlib does not read what it wrote")
    behind = random.randbytes(random.choice([0, 0, 1, 9, 300])) if is_finished else b""
    ends = sorted(rests | set(itertools.accumulate(inputs.cuts(random, len(out + behind)))))
    pieces = [(end - before, int(end in rests)) for before, end in zip([0] + ends, ends)]
    window = random.randint(bits, 15)
    answer = pipe.ask(INFLATE, out + behind, bits=window, pieces=pieces)
    faults = []
    if (answer.status, answer.used) != (END if is_finished else NEED_INPUT, len(out)):
        faults.append(f"{STATUS[answer.status]} after {answer.used} of {len(out)}")
    if answer.output != data:
        faults.append(f"{len(answer.output)} bytes of {len(data)}, not what they were")
    checks.check(f"zlib {name} level {level} window {bits} memory {memory} strategy {strategy}", out + behind, *faults)


PARTS = {"ours": ours_to_zlib, "zlib": zlib_to_ours, "made": mutated.made, "mutated": mutated.mutated, "cost": mutated.cost}


def play(arguments, pipe, checks, seed):
    for part in arguments.parts or PARTS:
        begun, before = time.monotonic(), checks.passed + checks.failed
        random = generators.Random(f"{seed} {part}")
        try:
            PARTS[part](random, pipe, checks)
        except Gone as error:
            checks.check(f"{part} after {checks.passed + checks.failed - before} cases", b"", f"deflate_pipe: {error}")
        count = checks.passed + checks.failed - before
        print(f"{part}: {count} cases in {time.monotonic() - begun:.1f} s, seed {seed}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="tests/zlib/run")
    parser.add_argument("--pipe", required=True, help="the example deflate_pipe, built")
    parser.add_argument("--out", required=True, type=Path, help="directory for what failed")
    parser.add_argument("--seed", type=int, help="the seed that a run printed")
    parser.add_argument("--part", dest="parts", action="append", choices=PARTS, help="only this part")
    parser.add_argument("seconds", nargs="?", type=int, default=0, help="go on with further seeds for so long")
    arguments = parser.parse_args()
    seed = generators.randrange(1 << 32) if arguments.seed is None else arguments.seed
    print(f"zlib {zlib.ZLIB_RUNTIME_VERSION}, seed {seed}", flush=True)
    checks = Checks(arguments.out)
    begun = time.monotonic()
    with Pipe(arguments.pipe) as pipe:
        for further in itertools.count():
            play(arguments, pipe, checks, seed + further)
            if time.monotonic() - begun >= arguments.seconds:
                break
    print(f"{pipe.requests} requests in {time.monotonic() - begun:.0f} s")
    mutated.report(checks, arguments.parts)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
