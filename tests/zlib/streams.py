"""DEFLATE data made by hand (RFC 1951): forms that an encoder may write though none does, and
invalid forms. zlib judges which is which."""

import heapq

LENGTH_EXTRA = [0] * 8 + [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4 + [5] * 4 + [0]
DISTANCE_EXTRA = [max(0, symbol // 2 - 1) for symbol in range(30)]
LENGTH_BASE = [3 + sum(1 << extra for extra in LENGTH_EXTRA[:symbol]) for symbol in range(28)] + [258]
DISTANCE_BASE = [1 + sum(1 << extra for extra in DISTANCE_EXTRA[:symbol]) for symbol in range(30)]
PRECODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
FIXED_LITLEN = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8
FIXED_DISTANCE = [5] * 32


class Bits:
    def __init__(self):
        self.out = bytearray()
        self.held = 0
        self.count = 0

    def put(self, value, count):
        self.held |= value << self.count
        self.count += count
        whole = self.count // 8
        if whole > 8:
            self.out += (self.held & ((1 << 8 * whole) - 1)).to_bytes(whole, "little")
            self.held >>= 8 * whole
            self.count -= 8 * whole

    def code(self, code):
        """Writes a code from its highest bit on."""
        value, length = code
        self.put(int(f"{value:0{length}b}"[::-1], 2), length)

    def align(self, filler=0):
        count = -self.count % 8
        self.put(filler & ((1 << count) - 1), count)

    def bytes(self):
        return bytes(self.out) + self.held.to_bytes((self.count + 7) // 8, "little")


def codes(lengths):
    """Each symbol's code by §3.2.2. Lengths that form no valid code are of some use too."""
    out = {}
    code = 0
    for length in range(1, 16):
        for symbol, own in enumerate(lengths):
            if own == length:
                out[symbol] = (code & ((1 << length) - 1), length)
                code += 1
        code <<= 1
    return out


def complete_code(random, symbols, most_bits):
    """Lengths of a complete code for `symbols`, anywhere between flat and deep."""
    depths = [(0, 0)]
    how = random.random()
    count = max(len(symbols), 2)
    while len(depths) < count:
        # The leaf to split has the highest priority, and is more or less the shallowest.
        _, depth = heapq.heappop(depths)
        for _ in range(2):
            priority = depth + 1 if how < 0.3 else random.random() * (1 + (how > 0.7) * -depth)
            heapq.heappush(depths, (priority if depth + 1 < most_bits else 99, depth + 1))
    depths = [depth for _, depth in depths]
    random.shuffle(depths)
    return dict(zip(symbols, depths))


def spoilt(random, lengths, odds=0.03):
    if random.random() < odds:
        at = random.randrange(len(lengths))
        lengths[at] = random.choice([0, 1, 2, 7, max(0, lengths[at] - 1), lengths[at] + 1])
    return lengths


def block(random, bits, have, is_last, kind=None):
    """Writes a block after `have` bytes of output; returns how much output there is then."""
    bits.put(is_last, 1)
    kind = random.choice([0, 1, 2, 2, 2]) if kind is None else kind
    bits.put(kind, 2)
    if kind == 0:
        return have + stored(random, bits)
    if kind == 1:
        return symbols(random, bits, have, FIXED_LITLEN, FIXED_DISTANCE)
    if kind == 2:
        litlen, distance = description(random, bits)
        return symbols(random, bits, have, litlen, distance)
    return have


def stored(random, bits):
    # The bits that fill the byte mean nothing.
    bits.align(random.getrandbits(8))
    data = random.randbytes(random.choice([0, 1, 2, 3, 4, 5, 8, 9, random.randrange(300)]))
    complement = len(data) ^ 0xFFFF ^ (random.getrandbits(16) if random.random() < 0.02 else 0)
    bits.put(len(data), 16)
    bits.put(complement, 16)
    bits.put(int.from_bytes(data, "little"), 8 * len(data))
    return len(data)


def description(random, bits):
    """Writes the lengths of two codes, in any of the allowed ways."""
    literals = random.sample(range(256), random.choice([0, 1, 2, 10, 60, 200, 256]))
    references = random.sample(range(257, 286), random.choice([0, 0, 1, 5, 29]))
    distances = random.sample(range(30), random.choice([0, 1, 1, 2, 3, 8, 30]))
    litlen = complete_code(random, literals + references + [256], 15)
    distance = complete_code(random, distances, 15)
    litlen = [litlen.get(symbol, 0) for symbol in range(286)]
    distance = [distance.get(symbol, 0) for symbol in range(30)]
    spoilt(random, litlen)
    spoilt(random, distance)
    hlit = max([257] + [symbol + 1 for symbol, length in enumerate(litlen) if length])
    hdist = max([1] + [symbol + 1 for symbol, length in enumerate(distance) if length])
    hlit = random.choice([hlit, random.randint(hlit, 286), 286])
    hdist = random.choice([hdist, random.randint(hdist, 30), 30])
    items = repeats(random, litlen[:hlit] + distance[:hdist])
    used = {symbol for symbol, _, _ in items}
    if len(used) < 2:
        used.add(random.choice(sorted(set(range(19)) - used)))
    precode = complete_code(random, sorted(used), 7)
    precode = spoilt(random, [min(7, precode.get(symbol, 0)) for symbol in range(19)], 0.01)
    precode = [min(7, length) for length in precode]
    hclen = max(4, *(at + 1 for at, symbol in enumerate(PRECODE_ORDER) if precode[symbol]))
    hclen = random.choice([hclen, random.randint(hclen, 19)])
    # Sometimes one more than there are symbols.
    bits.put(hlit - 257 + (random.random() < 0.01), 5)
    bits.put(hdist - 1 + (random.random() < 0.01), 5)
    bits.put(hclen - 4, 4)
    for symbol in PRECODE_ORDER[:hclen]:
        bits.put(precode[symbol], 3)
    precode = codes(precode)
    for symbol, extra, count in items:
        if symbol in precode:
            bits.code(precode[symbol])
            bits.put(extra, count)
    return litlen, distance


def repeats(random, lengths):
    """Lengths as symbols of the precode: symbol, extra bits, and how many lengths these are."""
    items = []
    at = 0
    eager = random.random()
    if random.random() < 0.01:
        items.append((16, 0, 2))
    while at < len(lengths):
        left = lengths[at:]
        same = next((count for count, length in enumerate(left) if length != left[0]), len(left))
        before = at > 0 and lengths[at - 1] == left[0]
        use = random.random() < eager
        if use and before and same >= 3:
            # Also across the border between the two codes.
            count = random.randint(3, min(6, same))
            items.append((16, count - 3, 2))
        elif use and left[0] == 0 and same >= 11:
            count = random.choice([random.randint(11, min(138, same)), min(138, same)])
            items.append((18, count - 11, 7))
        elif use and left[0] == 0 and same >= 3:
            count = random.randint(3, min(10, same))
            items.append((17, count - 3, 3))
        else:
            count = 1
            items.append((left[0], 0, 0))
        at += count
    if random.random() < 0.01:
        items[-1] = (18, 127, 7)
    return items


def symbols(random, bits, have, litlen_lengths, distance_lengths):
    litlen, distance = codes(litlen_lengths), codes(distance_lengths)
    literals = [symbol for symbol in litlen if symbol < 256]
    references = [symbol for symbol in litlen if 256 < symbol < 286]
    usable = [symbol for symbol in distance if symbol < 30]
    for _ in range(random.choice([0, 1, 5, 40, 200])):
        if references and usable and (not literals or random.random() < 0.4):
            symbol = random.choice(references)
            back = random.choice(usable)
            extra = random.getrandbits(DISTANCE_EXTRA[back]) if DISTANCE_EXTRA[back] else 0
            if have < DISTANCE_BASE[back] + extra and random.random() > 0.003:
                continue
            length = random.choice([0, random.getrandbits(5), 31]) & ((1 << LENGTH_EXTRA[symbol - 257]) - 1)
            bits.code(litlen[symbol])
            bits.put(length, LENGTH_EXTRA[symbol - 257])
            bits.code(distance[back])
            bits.put(extra, DISTANCE_EXTRA[back])
            have += LENGTH_BASE[symbol - 257] + length
        elif literals:
            bits.code(litlen[random.choice(literals)])
            have += 1
    if random.random() < 0.01:
        # Symbols without a meaning: in the fixed codes 286 and 287, or 30 and 31; in other codes,
        # bits that no code has.
        bits.put(random.getrandbits(12), 12)
    if 256 in litlen:
        bits.code(litlen[256])
    return have


def made(random):
    """A stream of a few blocks."""
    bits = Bits()
    have = 0
    count = random.choice([1, 1, 2, 3, 6])
    for nth in range(count):
        kind = 3 if random.random() < 0.005 else None
        have = block(random, bits, have, nth + 1 == count, kind)
    bits.align(random.getrandbits(8))
    return bits.bytes()


def far(random, distance, have):
    """A reference of this distance after this many bytes, all in fixed codes or stored."""
    bits = Bits()
    left = have
    while left:
        count = min(left, 65535)
        bits.put(0, 3)
        bits.align()
        bits.put(count | (count ^ 0xFFFF) << 16, 32)
        bits.put(int.from_bytes(random.randbytes(count), "little"), 8 * count)
        left -= count
    bits.put(1 | 1 << 1, 3)
    litlen, distances = codes(FIXED_LITLEN), codes(FIXED_DISTANCE)
    symbol = max(symbol for symbol in range(30) if DISTANCE_BASE[symbol] <= distance)
    # Length 258, or 258 as symbol 284 with all of its extra bits.
    if random.random() < 0.5:
        bits.code(litlen[285])
    else:
        bits.code(litlen[284])
        bits.put(31, 5)
    bits.code(distances[symbol])
    bits.put(distance - DISTANCE_BASE[symbol], DISTANCE_EXTRA[symbol])
    bits.code(litlen[256])
    return bits.bytes()


# No code at all, a single one, too few or too many: invalid lengths of the precode, by symbol.
NO_PRECODES = [{}, {0: 1}, {8: 1}, {18: 1}, {1: 2, 18: 2}, {1: 7, 18: 1}, {0: 1, 1: 1, 18: 1}, {0: 1, 1: 2, 2: 2, 18: 3}]


def precode(lengths):
    """A dynamic block up to the lengths of its precode."""
    bits = Bits()
    bits.put(1 | 2 << 1, 3)
    bits.put(15 << 10, 14)
    for symbol in PRECODE_ORDER:
        bits.put(lengths.get(symbol, 0), 3)
    return bits.bytes()


def many_blocks(block_bits, length):
    """The same block, repeated up to about this many bytes."""
    bits = Bits()
    while len(bits.out) < length:
        for value, count in block_bits:
            bits.put(value, count)
        if block_bits[0] == (0, 3):
            bits.align()
            bits.put(0xFFFF << 16, 32)
    return bits.bytes()


# The smallest blocks of each type: empty stored and fixed ones, and a dynamic one with two codes,
# each of one bit. Its precode has two as well, for 1 and 18: 138 and 117 zeros, then the literal
# 255, the end, and a distance.
SMALLEST = {
    "stored": [(0, 3)],
    "fixed": [(0, 1), (1, 2), (0, 7)],
    "dynamic": [(0, 1), (2, 2), (0, 5), (0, 5), (14, 4)]
    + [(int(symbol in (1, 18)), 3) for symbol in PRECODE_ORDER[:18]]
    + [(1, 1), (127, 7), (1, 1), (106, 7), (0, 1), (0, 1), (0, 1), (1, 1)],
}
