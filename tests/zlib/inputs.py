"""Data to compress, of every kind and length that may matter. A seeded random generator makes all
of it."""

import json
import zlib

WORDS = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you "
    "were all her she there would their we him been has when who will no more if out so up said what its about than into"
).split()

# Around empty, the shortest and longest match, hashes of four bytes, the window, a stored block,
# and the gathered input.
LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 47, 48, 49, 100, 255, 256, 257, 258, 259, 260, 517, 1000, 4096]
LONG_LENGTHS = [16384, 24576, 32767, 32768, 32769, 65534, 65535, 65536, 65537, 98304, 131072, 200001, 1 << 20]


def noise(random, length):
    return random.randbytes(length)


def text(random, length):
    words = []
    have = 0
    while have < length:
        word = random.choice(WORDS) if random.random() < 0.9 else "%x" % random.getrandbits(32)
        words.append(word)
        have += len(word) + 1
    return " ".join(words).encode()[:length].ljust(length, b".")


def records(random, length):
    """JSON, like many messages."""
    lines = []
    have = 0
    while have < length:
        line = json.dumps(
            {
                "id": len(lines) + random.randrange(3),
                "name": random.choice(WORDS),
                "price": round(random.random() * 1000, 2),
                "tags": random.sample(WORDS, 3),
                "at": f"2024-05-{random.randrange(1, 29):02}T10:{random.randrange(60):02}:00Z",
            }
        )
        lines.append(line)
        have += len(line) + 1
    return "\n".join(lines).encode()[:length].ljust(length, b" ")


def binary(random, length):
    """Counters, small numbers and noise in columns."""
    row = bytearray()
    rows = []
    for number in range(length // 16 + 1):
        row = number.to_bytes(4, "little") + (number * 7 % 300).to_bytes(2, "big") + bytes(6) + random.randbytes(4)
        rows.append(row)
    return b"".join(rows)[:length]


def run(random, length):
    return bytes([random.randrange(256)]) * length


def runs(random, length):
    """Runs whose lengths are around the shortest and longest match."""
    out = bytearray()
    while len(out) < length:
        count = random.choice([1, 2, 3, 4, 5, 257, 258, 259, 260, 516, random.randrange(1, 1000)])
        out += bytes([random.randrange(256)]) * count
    return bytes(out[:length])


def alternating(random, length):
    pair = bytes([random.randrange(256), random.randrange(256)])
    return (pair * (length // 2 + 1))[:length]


def every_byte(random, length):
    order = list(range(256))
    random.shuffle(order)
    return (bytes(order) * (length // 256 + 1))[:length]


def fibonacci(random, length):
    """Symbols as frequent as Fibonacci's numbers: they give the deepest possible tree, so that
    codes must be cut to 15 bits."""
    counts = [1, 1]
    while sum(counts) < length:
        counts.append(counts[-1] + counts[-2])
    out = bytearray()
    for symbol, count in enumerate(counts):
        out += bytes([symbol * 37 % 256]) * count
    out = out[:length]
    random.shuffle(out)
    return bytes(out)


def compressed(random, length):
    """Data that is already compressed."""
    out = zlib.compress(text(random, length * 3 + 64), 9)
    while len(out) < length:
        out += zlib.compress(records(random, length), 6)
    return out[:length]


def two_symbols(random, length):
    return bytes(random.choices(b"ab", k=length))


def short_matches(random, length):
    """Matches of 3 to 6 bytes among noise, which save almost nothing."""
    out = bytearray(random.randbytes(64))
    while len(out) < length:
        start = random.randrange(max(0, len(out) - 40000), len(out) - 8)
        out += out[start : start + random.randrange(3, 7)]
        out += random.randbytes(random.randrange(3))
    return bytes(out[:length])


def distant(back):
    """Data with matches at this distance only."""

    def made(random, length):
        first = random.randbytes(min(back, length))
        return (first * (length // back + 1))[:length]

    made.__name__ = f"distant_{back}"
    return made


KINDS = [noise, text, records, binary, run, runs, alternating, every_byte, fibonacci, compressed, two_symbols, short_matches]
DISTANCES = [1, 2, 3, 15, 16, 17, 255, 256, 257, 512, 1024, 4096, 16384, 32767, 32768, 32769]


def inputs(random):
    """Every kind in every length, and every distance."""
    for length in LENGTHS + LONG_LENGTHS:
        for kind in KINDS:
            yield f"{kind.__name__} {length}", kind(random, length)
    for back in DISTANCES:
        for length in (back + 3, back + 4, back + 258, 2 * back + 5, 70000):
            yield f"distant {back} {length}", distant(back)(random, length)


def one(random, most):
    """Any kind, most often short."""
    kind = random.choice(KINDS + [distant(random.choice(DISTANCES))])
    length = int(most ** random.random()) - 1 if random.random() < 0.5 else random.randrange(most)
    return f"{kind.__name__} {length}", kind(random, length)


def cuts(random, length, most=8):
    """Lengths of pieces that make up `length`; some may be empty."""
    ends = sorted(random.randrange(length + 1) for _ in range(random.randrange(most)))
    return [end - start for start, end in zip([0] + ends, ends + [length])]
