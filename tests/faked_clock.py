"""A program's clock that is wrong, and may be set while the program runs: libfaketime, as Debian has
it."""

import os
from pathlib import Path

from process import Failed


def preloaded():
    for path in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"):
        return str(path)
    raise Failed("there is no libfaketime: install Debian's package faketime")


class FakedClock:
    """A clock in the file `path`, off by so many seconds. The clock that measures waits is not
    changed."""

    def __init__(self, path, offset=0):
        self.path = path
        self.set(offset)
        self.environment = {
            "LD_PRELOAD": preloaded(),
            "FAKETIME_TIMESTAMP_FILE": str(self.path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset):
        part = self.path.with_suffix(".part")
        part.write_text(f"{offset:+d}\n")
        os.replace(part, self.path)
        self.offset = offset
