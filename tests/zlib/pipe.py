"""Our side: the program `deflate_pipe`, one process for all cases. And zlib's side, with the same
interface."""

import signal
import struct
import subprocess
import zlib
from collections import namedtuple

COMPRESS, ALONE, INFLATE, WHOLE = range(4)
NONE, SYNC, FINISH = range(3)

END, NEED_INPUT, BLOCK_TYPE, STORED_LENGTH, CODE, SYMBOL, DISTANCE, UNFINISHED, TOO_LONG = range(9)
STATUS = ["end", "more", "block type", "stored length", "code", "symbol", "distance", "unfinished", "too long"]

# zlib's error texts, each with our name for it.
REASONS = {
    "invalid block type": BLOCK_TYPE,
    "invalid stored block lengths": STORED_LENGTH,
    "too many length or distance symbols": CODE,
    "invalid code lengths set": CODE,
    "invalid bit length repeat": CODE,
    "invalid code -- missing end-of-block": CODE,
    "invalid literal/lengths set": CODE,
    "invalid distances set": CODE,
    "invalid literal/length code": SYMBOL,
    "invalid distance code": SYMBOL,
    "invalid distance too far back": DISTANCE,
}

# One request may take this long, in seconds.
PATIENCE = 30

Answer = namedtuple("Answer", "status used lengths output")
Verdict = namedtuple("Verdict", "status used output")


class Gone(Exception):
    """The program ended, or does not answer."""


class Pipe:
    def __init__(self, program):
        self.program = program
        self.requests = 0
        self.process = None
        signal.signal(signal.SIGALRM, self.too_late)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.process = subprocess.Popen([self.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1 << 20)

    def stop(self):
        self.process.kill()
        self.process.wait()

    def too_late(self, *_):
        raise Gone(f"no answer within {PATIENCE} s")

    def ask(self, operation, data, level=6, bits=15, pieces=None):
        pieces = [(len(data), FINISH)] if pieces is None else pieces
        numbers = [number for piece in pieces for number in piece]
        head = struct.pack(f"<4BI{len(numbers)}II", operation, level, bits, 0, len(pieces), *numbers, len(data))
        self.requests += 1
        signal.alarm(PATIENCE)
        try:
            self.process.stdin.write(head + data)
            self.process.stdin.flush()
            status, used, count = struct.unpack("<BII", self.read(9))
            *lengths, length = struct.unpack(f"<{count + 1}I", self.read(4 * count + 4))
            return Answer(status, used, lengths, self.read(length))
        except (Gone, OSError) as error:
            signal.alarm(0)
            self.stop()
            code = self.process.returncode
            self.start()
            raise Gone(f"{error} (ended with {code})") from error
        finally:
            signal.alarm(0)

    def read(self, length):
        data = self.process.stdout.read(length)
        if len(data) < length:
            raise Gone("it ended, see above")
        return data


def by_zlib(data, bits=15, strict=True):
    """zlib's result for raw DEFLATE data. With `strict`, zlib can refer only to its window: it
    gives its output byte by byte, so that it cannot read its own output buffer."""
    inflate = zlib.decompressobj(-bits)
    if not strict or bits == 15:
        # The longest distance in a raw stream is the whole window of 15 bits.
        try:
            output = inflate.decompress(data)
        except zlib.error as error:
            return Verdict(reason(error), None, None)
        used = len(data) - len(inflate.unused_data)
        return Verdict(END if inflate.eof else NEED_INPUT, used, output)
    output = []
    try:
        for start in range(0, len(data), 64):
            rest = data[start : start + 64]
            while not inflate.eof:
                piece = inflate.decompress(rest, 1)
                output.append(piece)
                rest = inflate.unconsumed_tail
                if not rest and not piece:
                    break
            if inflate.eof:
                used = min(start + 64, len(data)) - len(inflate.unused_data)
                return Verdict(END, used, b"".join(output))
    except zlib.error as error:
        return Verdict(reason(error), None, None)
    return Verdict(NEED_INPUT, len(data), b"".join(output))


def reason(error):
    words = str(error).split(": ", 1)[-1]
    if words not in REASONS:
        raise error
    return REASONS[words]
