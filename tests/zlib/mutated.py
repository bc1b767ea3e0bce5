"""Streams that no encoder wrote: made by hand, and mutated. Our decoder must accept what zlib
accepts, with the same output, and refuse what it refuses, for the same reason, except for
`DIFFERENCES`."""

import time
import zlib
from collections import Counter

import inputs
import streams
from pipe import ALONE, CODE, DISTANCE, END, FINISH, INFLATE, NEED_INPUT, NONE, STATUS, SYNC, TOO_LONG, WHOLE, by_zlib

MADE = 8000
MUTATED = 100_000

# This much input of the smallest blocks may take this long, in the fastest of three runs.
COST_BYTES = 256 * 1024
COST_SECONDS = 0.4

# No stream here gives more output.
MOST_BYTES = 1 << 26

# The differences that may occur; each must occur. README.md gives the reasons.
DIFFERENCES = {
    "window": "a distance beyond a narrow window: we refuse it, zlib not always",
    "precode": "lengths in a code that is none, and then the end of the input: we refuse it, zlib waits",
}
seen = Counter()


def compare(random, pipe, checks, name, data, bits):
    """Checks one stream, with any cuts."""
    pieces = [(length, NONE) for length in inputs.cuts(random, len(data), 6)]
    if len(data) < 300 and random.random() < 0.1:
        pieces = [(1, NONE)] * len(data)
    ours = pipe.ask(INFLATE, data, bits=bits, pieces=pieces)
    theirs = by_zlib(data, bits)
    same = ours.status == theirs.status
    if same and ours.status <= NEED_INPUT:
        same = (ours.used, ours.output) == (theirs.used, theirs.output)
    elif not same:
        same = is_precode(data, ours, theirs)
    if bits < 15 and ours.status == DISTANCE and by_zlib(data, bits, strict=False).status != DISTANCE:
        seen["window"] += 1
    words = f"{STATUS[ours.status]} ({ours.used} bytes become {len(ours.output)}), zlib says {STATUS[theirs.status]}"
    if theirs.output is not None:
        words += f" ({theirs.used} become {len(theirs.output)})"
    fault = None
    if bits == 15 and theirs.status != NEED_INPUT:
        fault = fault_of_whole(pipe, data, theirs)
    checks.check(f"{name} window {bits}", data, None if same else words, fault)
    return theirs.status


def fault_of_whole(pipe, data, theirs):
    """The same with our `inflate`, which reads a whole stream, up to a limit."""
    if theirs.status != END:
        whole = pipe.ask(WHOLE, data, pieces=[(MOST_BYTES, NONE)])
        return None if whole.status == theirs.status else f"as a whole it is {STATUS[whole.status]}"
    data, length = data[: theirs.used], len(theirs.output)
    whole = pipe.ask(WHOLE, data, pieces=[(length, NONE)])
    if (whole.status, whole.output) != (END, theirs.output):
        return f"as a whole it is {STATUS[whole.status]}, {len(whole.output)} bytes"
    less = pipe.ask(WHOLE, data, pieces=[(length - 1, NONE)]) if length else None
    return f"with one byte less it is {STATUS[less.status]}" if less and less.status != TOO_LONG else None


def is_precode(data, ours, theirs):
    """Whether this is the second of `DIFFERENCES`. zlib reads the missing code as if its every bit
    meant the length 0, so it refuses only at the end."""
    if (ours.status, theirs.status) != (CODE, NEED_INPUT):
        return False
    inflate = zlib.decompressobj(-15)
    try:
        inflate.decompress(data)
        inflate.decompress(bytes(64))
    except zlib.error as error:
        is_it = "missing end-of-block" in str(error)
        seen["precode"] += is_it
        return is_it
    return False


def window(random):
    return 15 if random.random() < 0.8 else random.randrange(8, 15)


def made(random, pipe, checks):
    outcomes = Counter()
    for _ in range(MADE):
        data = streams.made(random)
        outcomes[compare(random, pipe, checks, "made", data, window(random))] += 1
    # Distances around each window, and around the length of the output so far.
    for bits in range(8, 16):
        for distance in (1 << bits) - 1, 1 << bits, (1 << bits) + 1:
            for have in distance - 1, distance, distance + 1, 40000:
                if distance <= 32768:
                    data = streams.far(random, distance, have)
                    outcomes[compare(random, pipe, checks, f"distance {distance} of {have}", data, bits)] += 1
    for lengths in streams.NO_PRECODES:
        for tail in b"", b"\x00", b"\xff", bytes(60), b"\xff" * 60:
            data = streams.precode(lengths) + tail
            outcomes[compare(random, pipe, checks, f"precode {lengths}", data, 15)] += 1
    tell(outcomes)


def mutated(random, pipe, checks):
    outcomes = Counter()
    for _ in range(60):
        data = some_stream(random, pipe)[:700]
        for length in range(len(data)):
            outcomes[compare(random, pipe, checks, "truncated", data[:length], 15)] += 1
    pool = [some_stream(random, pipe) for _ in range(400)]
    for nth in range(MUTATED):
        if nth % 50 == 0:
            pool[random.randrange(len(pool))] = some_stream(random, pipe)
        data = mutate(random, bytearray(random.choice(pool)), pool)
        outcomes[compare(random, pipe, checks, "mutated", data, window(random))] += 1
    tell(outcomes)


def cost(random, pipe, checks):
    """Empty blocks must be cheap to read: a client can send them at almost no cost."""
    for name, block in streams.SMALLEST.items():
        data = streams.many_blocks(block, COST_BYTES)
        compare(random, pipe, checks, f"smallest blocks, {name}", data, 15)
        least = None
        for _ in range(3):
            begun = time.monotonic()
            pipe.ask(INFLATE, data)
            took = time.monotonic() - begun
            least = took if least is None else min(least, took)
        print(f"  {len(data)} bytes of {name} blocks take {least * 1000:.0f} ms")
        late = f"took {least:.2f} s" if least > COST_SECONDS else None
        checks.check(f"cost of the smallest blocks, {name}", b"", late)


def tell(outcomes):
    print("  " + ", ".join(f"{STATUS[status]} {count}" for status, count in sorted(outcomes.items())))


def some_stream(random, pipe):
    """A stream of our encoder, of zlib's, or made by hand."""
    how = random.random()
    if how < 0.3:
        return streams.made(random)
    _, data = inputs.one(random, 3000)
    if how < 0.6:
        pieces = [(len(data), random.choice([SYNC, FINISH]))]
        return pipe.ask(ALONE, data, random.randrange(1, 10), random.randrange(8, 16), pieces).output
    strategy = random.choice([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE])
    compress = zlib.compressobj(random.randrange(1, 10), zlib.DEFLATED, -15, random.randrange(1, 10), strategy)
    half = len(data) // 2
    out = compress.compress(data[:half]) + compress.flush(zlib.Z_SYNC_FLUSH)
    return out + compress.compress(data[half:]) + compress.flush()


def mutate(random, data, pool):
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        how = random.randrange(8)
        at = random.randrange(len(data)) if data else 0
        # The first bytes matter most: there are the headers and the codes.
        at = random.choice([at, min(at, random.randrange(60))])
        if not data or how == 0:
            data[at:at] = random.randbytes(random.randrange(1, 9))
        elif how <= 3:
            data[at] ^= 1 << random.randrange(8)
        elif how == 4:
            data[at] = random.choice([0, 0xFF, random.randrange(256)])
        elif how == 5:
            del data[at : at + random.choice([1, 1, 2, 30])]
        elif how == 6:
            del data[at:]
        else:
            other = random.choice(pool)
            data[at:] = other[random.randrange(len(other) + 1) :]
    return bytes(data)


def report(checks, parts):
    """Prints which differences occurred."""
    for name, what in DIFFERENCES.items():
        print(f"differs, as it may: {seen[name]} times {what}")
        if parts is None or "made" in parts:
            checks.check(f"difference {name}", b"", None if seen[name] else "it no longer occurs")
