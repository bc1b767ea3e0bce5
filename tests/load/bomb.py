"""Small compressed messages that inflate to large ones (RFC 7692)."""

import struct
import zlib

from client import CLOSE, Client, ask, opening
from demo import Demo
from process import MIB

GIB = 1 << 30
# The demo's longest message is 16 MiB. Its buffer grows to that from half as much, and for a moment
# both exist.
PEAK_BYTES = 32 * MIB
# For each thread the allocator keeps the memory that the thread has freed.
LASTING_BYTES = 96 * MIB
CONNECTIONS = 20

HANDSHAKE = opening("/api/ws", ["Sec-WebSocket-Extensions: permessage-deflate"])


def bomb():
    """A message that inflates to 1 GiB of zeros. DEFLATE makes nothing smaller than a thousandth,
    so it has 1 MiB."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    payload = b"".join(compressor.compress(bytes(MIB)) for _ in range(GIB // MIB))
    return payload + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]


def compressed_frame(payload):
    """A whole binary message with RSV1, masked with zeros."""
    return bytes([0xC2, 0x80 | 127]) + struct.pack("!Q", len(payload)) + bytes(4) + payload


def answer(demo, payload):
    """The server's answer: opcode and close code."""
    with Client(demo.address) as client:
        client.send(HANDSHAKE)
        head = client.head()
        agreed = head.first("sec-websocket-extensions", "")
        if head.status != 101 or not agreed.startswith("permessage-deflate"):
            raise SystemExit(f"tests/load: handshake: {head}")
        client.send(compressed_frame(payload))
        opcode, close = client.frame()
        return opcode, struct.unpack("!H", close[:2])[0]


def check(arguments, checks):
    payload = bomb()
    with Demo(arguments) as demo:
        start = demo.usage()
        codes = [answer(demo, payload)]
        first = demo.usage().peak
        codes += [answer(demo, payload) for _ in range(CONNECTIONS - 1)]
        checks.that(
            set(codes) == {(CLOSE, 1009)},
            f"{CONNECTIONS} messages of {len(payload):,} bytes that stand for {GIB:,} get "
            f"{sorted(set(codes))}",
        )
        checks.that(
            first < PEAK_BYTES,
            f"peak RSS {first / MIB:.1f} MiB, from {start.rss / MIB:.1f} MiB, with messages of 16 "
            "MiB at most",
        )
        most = demo.usage().peak
        checks.that(
            most < LASTING_BYTES, f"peak RSS {most / MIB:.1f} MiB after {CONNECTIONS} of them"
        )
        checks.that(ask(demo.address, "GET", "/api/health").status == 200, "the demo goes on")
