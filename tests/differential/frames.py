"""WebSocket handshakes and frames, right and wrong ones, by name (RFC 6455, RFC 7692)."""

import struct
import zlib
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\x11\x22\x33\x44"
DEFLATE = "permessage-deflate"


def masked(payload):
    return bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


def frame(opcode, payload=b"", fin=True, rsv=0, length=None, form=None, mask=True):
    """A frame. `length` is claimed instead of the payload's, in so many bytes (`form`)."""
    length = len(payload) if length is None else length
    form = form or (1 if length < 126 else 2 if length < 1 << 16 else 8)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if form == 1:
        head += bytes([bit | length])
    else:
        head += bytes([bit | (126 if form == 2 else 127)]) + struct.pack(
            "!H" if form == 2 else "!Q", length
        )
    return head + (MASK + masked(payload) if mask else payload)


def close(code=None, reason=b""):
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def deflated(payload):
    """As a message's payload (RFC 7692 §7.2.1)."""
    squeeze = zlib.compressobj(wbits=-15)
    return (squeeze.compress(payload) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]


def final(payload):
    """With a final block, and the byte behind it (RFC 7692 §7.2.3.4)."""
    squeeze = zlib.compressobj(wbits=-15)
    return squeeze.compress(payload) + squeeze.flush() + b"\0"


# Frames under which nobody should differ, and those that some refuse.
FRAMES = {
    "text": frame(TEXT, b"hello"),
    "empty text": frame(TEXT),
    "binary": frame(BINARY, b"\0\xff"),
    "empty binary": frame(BINARY),
    "text of 125 bytes": frame(TEXT, b"x" * 125),
    "text of 126 bytes": frame(TEXT, b"x" * 126),
    "text of 65535 bytes": frame(TEXT, b"x" * 65535),
    "text of 65536 bytes": frame(TEXT, b"x" * 65536),
    "two fragments": frame(TEXT, b"hel", fin=False) + frame(CONTINUATION, b"lo"),
    "empty fragments": frame(TEXT, fin=False) + frame(CONTINUATION, fin=False)
        + frame(CONTINUATION),
    "ping in a message": frame(TEXT, b"hel", fin=False) + frame(PING, b"p")
        + frame(CONTINUATION, b"lo"),
    "ping": frame(PING, b"ping"),
    "empty ping": frame(PING),
    "ping of 125 bytes": frame(PING, b"x" * 125),
    "pong": frame(PONG, b"pong"),
    "split code point": frame(TEXT, b"\xc3", fin=False) + frame(CONTINUATION, b"\xa9"),
    "emoji": frame(TEXT, "😀".encode()),
    "non-character": frame(TEXT, "\ufffe\U0010ffff".encode()),
    "NUL in text": frame(TEXT, b"a\0b"),
    "BOM in text": frame(TEXT, "\ufeffa".encode()),
    "no mask": frame(TEXT, b"hello", mask=False),
    "no mask, close": frame(CLOSE, b"\x03\xe8", mask=False),
    "length in 2 bytes": frame(TEXT, b"hello", form=2),
    "length in 8 bytes": frame(TEXT, b"hello", form=8),
    "length 126 in 8 bytes": frame(TEXT, b"x" * 126, form=8),
    "length with the top bit": frame(TEXT, b"hello", length=(1 << 63) + 5, form=8),
    "length of 2^62": frame(BINARY, b"hello", length=1 << 62, form=8),
    "length of 1 TiB": frame(BINARY, b"hello", length=1 << 40, form=8),
    "RSV1": frame(TEXT, b"hello", rsv=4),
    "RSV2": frame(TEXT, b"hello", rsv=2),
    "RSV3": frame(TEXT, b"hello", rsv=1),
    "RSV1 on a ping": frame(PING, b"x", rsv=4),
    "RSV1 on a close": frame(CLOSE, b"\x03\xe8", rsv=4),
    "RSV1 on a continuation": frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", rsv=4),
    **{f"opcode {opcode:X}": frame(opcode, b"x") for opcode in (3, 4, 7, 11, 12, 15)},
    "opcode 3, empty": frame(3),
    "continuation of nothing": frame(CONTINUATION, b"x"),
    "continuation of nothing, not final": frame(CONTINUATION, b"x", fin=False),
    "continuation behind a message": frame(TEXT, b"a") + frame(CONTINUATION, b"b"),
    "message in a message": frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
    "binary in a text": frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"),
    "ping in fragments": frame(PING, b"a", fin=False) + frame(CONTINUATION, b"b"),
    "ping of 126 bytes": frame(PING, b"x" * 126),
    "pong of 126 bytes": frame(PONG, b"x" * 126),
    "close in fragments": frame(CLOSE, b"\x03\xe8", fin=False),
    "close of 126 bytes": frame(CLOSE, b"\x03\xe8" + b"x" * 124),
    "close in a message": frame(TEXT, b"a", fin=False) + close(1000),
    "close, then text": close(1000) + frame(TEXT, b"late"),
    "close, then ping": close(1000) + frame(PING, b"late"),
    "close, empty": close(),
    "close of one byte": frame(CLOSE, b"\x03"),
    "close with a reason": close(1000, b"bye"),
    "close with the longest reason": close(1000, b"x" * 123),
    "close, reason not UTF-8": close(1000, b"\xff"),
    "close, reason cut": close(1000, b"\xc3"),
    **{
        f"close {code}": close(code)
        for code in (
            0, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012,
            1013,
            1014, 1015, 1016, 1100, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 65535,
        )
    },
    **{
        f"text {name}": frame(TEXT, data)
        for name, data in {
            "C0 AF": b"\xc0\xaf", "ED A0 80": b"\xed\xa0\x80", "F4 90 80 80": b"\xf4\x90\x80\x80",
            "F8": b"\xf8\x88\x80\x80\x80", "FF": b"\xff", "80": b"\x80", "cut": b"a\xe2\x82",
            "E0 80 80": b"\xe0\x80\x80", "F0 80 80 80": b"\xf0\x80\x80\x80",
            "CESU": b"\xed\xa0\xbd\xed\xb8\x80",
        }.items()
    },
    "bad byte in a first fragment": frame(TEXT, b"\xff", fin=False) + frame(CONTINUATION, b"x"),
    "bad byte over fragments": frame(TEXT, b"\xc3", fin=False) + frame(CONTINUATION, b"x"),
    "cut at the end of fragments": frame(TEXT, b"\xe2", fin=False) + frame(CONTINUATION, b"\x82"),
    "bad byte in a first fragment, nothing behind": frame(TEXT, b"\xff", fin=False),
    "message without an end": frame(TEXT, b"a", fin=False),
}  # fmt: skip

# What is sent where permessage-deflate was agreed on.
COMPRESSED = {
    "deflated": frame(TEXT, deflated(b"hello"), rsv=4),
    "deflated twice": frame(TEXT, deflated(b"hello"), rsv=4) * 2,
    "deflated, long": frame(TEXT, deflated(b"hello" * 20000), rsv=4),
    "deflated, empty": frame(TEXT, deflated(b""), rsv=4),
    "deflated, no payload": frame(TEXT, b"", rsv=4),
    "deflated, fragments": frame(TEXT, deflated(b"hello")[:3], fin=False, rsv=4)
    + frame(CONTINUATION, deflated(b"hello")[3:]),
    "deflated, RSV1 on each": frame(TEXT, deflated(b"hello")[:3], fin=False, rsv=4)
    + frame(CONTINUATION, deflated(b"hello")[3:], rsv=4),
    "deflated, final block": frame(TEXT, final(b"hello"), rsv=4),
    "deflated, stored": frame(TEXT, b"\0\x05\0\xfa\xffhello\0", rsv=4),
    "deflated, tail not taken off": frame(TEXT, deflated(b"hello") + b"\0\0\xff\xff", rsv=4),
    "deflated, not UTF-8": frame(TEXT, deflated(b"\xff\xfe"), rsv=4),
    "deflated, cut code point": frame(TEXT, deflated(b"a\xe2\x82"), rsv=4),
    "deflated, block type 3": frame(TEXT, b"\x07\xff\xff", rsv=4),
    "deflated, bad lengths": frame(TEXT, b"\0\x05\0\xfa\xfehello\0", rsv=4),
    "deflated, bad distance": frame(TEXT, b"\x02\x12\x00", rsv=4),
    "deflated, cut off": frame(TEXT, deflated(b"hello")[:3], rsv=4),
    "deflated, garbage": frame(TEXT, b"\xff\xff\xff\xff", rsv=4),
    "deflated ping": frame(PING, deflated(b"p"), rsv=4),
    "plain": frame(TEXT, b"hello"),
    "RSV1 and RSV2": frame(TEXT, deflated(b"hello"), rsv=6),
}

OFFERS = (
    "permessage-deflate; client_max_window_bits|permessage-deflate; client_max_window_bits=15|"
    "permessage-deflate; client_max_window_bits=8|permessage-deflate; client_max_window_bits=7|"
    "permessage-deflate; client_max_window_bits=16|permessage-deflate; client_max_window_bits=010|"
    'permessage-deflate; client_max_window_bits="10"|permessage-deflate; client_max_window_bits=10|'
    "permessage-deflate; client_max_window_bits=|permessage-deflate; client_max_window_bits=x|"
    "permessage-deflate; server_max_window_bits=10|permessage-deflate; server_max_window_bits=8|"
    "permessage-deflate; server_max_window_bits|permessage-deflate; server_max_window_bits=16|"
    "permessage-deflate; server_no_context_takeover|permessage-deflate; client_no_context_takeover|"
    "permessage-deflate; server_no_context_takeover=1|permessage-deflate; "
    "client_no_context_takeover=1|"
    "permessage-deflate; unknown|permessage-deflate; server_no_context_takeover; "
    "server_no_context_takeover|"
    "permessage-deflate; client_max_window_bits=10; client_max_window_bits=10|"
    "unknown|unknown, permessage-deflate|permessage-deflate; unknown, "
    "permessage-deflate|x-webkit-deflate-frame|"
    "permessage-deflate;|permessage-deflate;;|;|,|,permessage-deflate|"
    "Permessage-Deflate|permessage-deflate=1|"
    "permessage-deflate client_max_window_bits|permessage-deflate; "
    "=|per[message|permessage-deflate, permessage-deflate"
).split("|")


@dataclass(frozen=True)
class Handshake:
    """A request line and fields."""

    line: str = "GET /ws HTTP/1.1"
    host: tuple = ("HOST",)
    upgrade: tuple = ("websocket",)
    connection: tuple = ("Upgrade",)
    key: tuple = (KEY,)
    version: tuple = ("13",)
    others: tuple = ()

    def data(self, host):
        names = ("Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
        values = (self.host, self.upgrade, self.connection, self.key, self.version)
        lines = [f"{name}: {value}" for name, all_ in zip(names, values) for value in all_]
        text = "\r\n".join([self.line, *lines, *self.others, "", ""])
        return text.replace("HOST", host).encode("latin-1")


def offering(*values):
    return Handshake(others=tuple(f"Sec-WebSocket-Extensions: {value}" for value in values))


HANDSHAKES = {
    "POST": Handshake("POST /ws HTTP/1.1"),
    "HTTP/1.0": Handshake("GET /ws HTTP/1.0"),
    "absolute target": Handshake("GET http://HOST/ws HTTP/1.1"),
    "no Host": Handshake(host=()),
    "no Upgrade": Handshake(upgrade=()),
    "Upgrade in another case": Handshake(upgrade=("WebSocket",)),
    "Upgrade list": Handshake(upgrade=("h2c, websocket",)),
    "Upgrade, two lines": Handshake(upgrade=("h2c", "websocket")),
    "Upgrade with a version": Handshake(upgrade=("websocket/13",)),
    "Upgrade to another": Handshake(upgrade=("h2c",)),
    "no Connection": Handshake(connection=()),
    "Connection list": Handshake(connection=("keep-alive, UPGRADE",)),
    "Connection, two lines": Handshake(connection=("keep-alive", "Upgrade")),
    "Connection without it": Handshake(connection=("keep-alive",)),
    "Connection: close, upgrade": Handshake(connection=("close, upgrade",)),
    "Connection: notupgrade": Handshake(connection=("notupgrade",)),
    "no key": Handshake(key=()),
    "two keys": Handshake(key=(KEY, KEY)),
    "empty key": Handshake(key=("",)),
    "short key": Handshake(key=("AQIDBAUGBwgJCgsMDQ4P",)),
    "long key": Handshake(key=("AQIDBAUGBwgJCgsMDQ4PEBES",)),
    "key not base64": Handshake(key=("!QIDBAUGBwgJCgsMDQ4PEA==",)),
    "key without padding": Handshake(key=("AQIDBAUGBwgJCgsMDQ4PEA",)),
    "key with pad bits": Handshake(key=("AQIDBAUGBwgJCgsMDQ4PEC==",)),
    "key with inner space": Handshake(key=("AQIDBAUG BwgJCgsMDQ4PEA==",)),
    "no version": Handshake(version=()),
    "two versions": Handshake(version=("13", "13")),
    "version list": Handshake(version=("13, 8",)),
    "version 8": Handshake(version=("8",)),
    "version 14": Handshake(version=("14",)),
    "version 013": Handshake(version=("013",)),
    "version with a sign": Handshake(version=("+13",)),
    "Content-Length 0": Handshake(others=("Content-Length: 0",)),
    "Content-Length 5": Handshake(others=("Content-Length: 5",)),
    "chunked": Handshake(others=("Transfer-Encoding: chunked",)),
    "same origin": Handshake(others=("Origin: http://HOST",)),
    "other origin": Handshake(others=("Origin: http://evil.example",)),
    "null origin": Handshake(others=("Origin: null",)),
    "origin as a prefix": Handshake(others=("Origin: http://HOST.evil.example",)),
    "empty origin": Handshake(others=("Origin: ",)),
    "two origins": Handshake(others=("Origin: http://HOST", "Origin: http://evil.example")),
    "subprotocol": Handshake(others=("Sec-WebSocket-Protocol: chat",)),
    "subprotocol twice": Handshake(others=("Sec-WebSocket-Protocol: chat, chat",)),
    "subprotocol with a space": Handshake(others=("Sec-WebSocket-Protocol: a b",)),
    "offer on two lines": offering("unknown", DEFLATE),
    **{f"offer {offer}": offering(offer) for offer in OFFERS},
}
