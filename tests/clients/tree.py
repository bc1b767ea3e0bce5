"""The server's files: a page, an Apt repository, a file for zsync and an older version of it."""

import gzip
import hashlib
import random
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent

CONTROL = """\
Package: akurai-tried
Version: 1.0
Architecture: all
Maintainer: nobody <nobody@localhost>
Description: a package to be fetched
"""

# How many blocks zsync has to fetch, each between two that it has.
HOLES = 60
BLOCK_BYTES = 2048


def run(*words, cwd):
    subprocess.run([str(word) for word in words], cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def build(tree):
    tree.mkdir()
    for name in ("page.html", "talk.mjs"):
        shutil.copy(HERE / name, tree / name)
    (tree / "text").write_text("".join(f"line {n:010}\n" for n in range(8192)))
    apt(tree)
    zsync(tree)


def apt(tree):
    place = tree / "apt"
    made = tree.parent / "package"
    (made / "DEBIAN").mkdir(parents=True)
    (made / "DEBIAN/control").write_text(CONTROL)
    (made / "usr/share/akurai-tried").mkdir(parents=True)
    (made / "usr/share/akurai-tried/data").write_bytes(random.Random(1).randbytes(200_000))
    place.mkdir()
    package = place / "akurai-tried_1.0_all.deb"
    run("dpkg-deb", "--build", "--root-owner-group", made, package, cwd=tree)
    data = package.read_bytes()
    entry = f"{CONTROL}Filename: ./{package.name}\nSize: {len(data)}\n"
    entry += f"SHA256: {hashlib.sha256(data).hexdigest()}\n"
    packages = entry.encode()
    files = {"Packages": packages, "Packages.gz": gzip.compress(packages)}
    release = "Origin: akurai\nSuite: ./\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n"
    for name, content in files.items():
        (place / name).write_bytes(content)
        release += f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}\n"
    (place / "Release").write_text(release)


def zsync(tree):
    new = bytearray(random.Random(2).randbytes(4 * HOLES * BLOCK_BYTES))
    (tree / "new").write_bytes(new)
    for hole in range(HOLES):
        start = (4 * hole + 1) * BLOCK_BYTES
        new[start : start + BLOCK_BYTES] = bytes(BLOCK_BYTES)
    (tree / "old").write_bytes(new)
    made = ["-u", "new", "-o", tree / "new.zsync", tree / "new"]
    run("zsyncmake", "-b", BLOCK_BYTES, *made, cwd=tree)
