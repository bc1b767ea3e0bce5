"""The directory that both servers serve. Everything in it is the same on every run: seeded bytes,
mtimes in the past."""

import gzip
import os
import random
import shutil

SEED = 9110
# Thu, 04 Mar 2021 05:06:07 GMT, and a fraction that no HTTP-date can express.
MODIFIED_NS = 1_614_834_367_123_456_789
OLDER_NS = MODIFIED_NS - 86_400 * 10**9

TYPES = (
    "page.html page.htm style.css app.js module.mjs data.json app.js.map site.webmanifest code.wasm notes.md table.csv "
    "feed.xml logo.svg image.png photo.jpg photo.jpeg anim.gif photo.webp photo.avif icon.ico font.woff font.woff2 "
    "font.ttf font.otf sound.mp3 sound.ogg sound.wav film.mp4 film.webm doc.pdf archive.zip UPPER.TXT blob.unknown "
    "noextension two..dots.txt"
).split()

NAMES = (
    "with space.txt|ünïcode-文-😀.txt|100%.txt|%2e%2e.txt|a%20b.txt|quote\".txt|apos'.txt|plus+sign.txt|semi;colon.txt|"
    "a&b=c.txt|hash#.txt|quest?.txt|tilde~.txt|[brackets].txt|<tag>.txt|comma,at@.txt|colon:x.txt|dot.|space |"
    "back\\slash.txt|con.txt|...|tab\t.txt"
).split("|")


def build(root):
    """The tree below `root`, and a file and a directory beside it that no server may serve."""
    shutil.rmtree(root.parent, ignore_errors=True)
    root.mkdir(parents=True)
    chance = random.Random(SEED)

    def put(name, data=None):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(200) if data is None else data)

    def text(count):
        return bytes(chance.choice(b"abcdefghijklmnopqrstuvwxyz \n") for _ in range(count))

    put("zero.txt", b"")
    put("one.bin", b"1")
    put("kib.txt", text(1024))
    put("hundred.bin", chance.randbytes(100_000))
    put("mib.bin", chance.randbytes(1 << 20))
    for name in [*TYPES, *NAMES]:
        put(name)
    put("index/index.html", b"<p>an index</p>\n")
    put("plain/a.txt")
    put("plain/sub/b.txt")
    put("dir with space/index.html", b"<p>a space</p>\n")
    put("deep/er/est/x.txt")
    put(".hidden.txt")
    put(".git/config")
    put("plain/.hidden.txt")
    put(".well-known/security.txt")
    (root / "empty").mkdir()
    outside = root.parent / "files-outside"
    outside.mkdir()
    (outside / "secret.txt").write_bytes(b"outside\n")

    (root / "link.txt").symlink_to("kib.txt")
    (root / "link-dir").symlink_to("index")
    (root / "link-out.txt").symlink_to("../files-outside/secret.txt")
    (root / "link-out").symlink_to("../files-outside")
    (root / "link-nowhere").symlink_to("nowhere")

    # On purpose they are no coding of the file: the bytes tell which of them the server sent.
    for name, codings in (("side.txt", ("gz",)), ("both.txt", ("gz", "br", "zst")), ("brotli.txt", ("br",))):
        put(name, text(3000))
        for coding in codings:
            put(f"{name}.{coding}", gzip.compress(chance.randbytes(600), mtime=0))
    put("stale.txt", text(3000))
    put("stale.txt.gz", gzip.compress(b"of an older file", mtime=0))
    put("packed.png", text(3000))
    put("packed.png.gz", gzip.compress(b"a picture", mtime=0))

    for directory, names, files in os.walk(root, topdown=False):
        for name in [*names, *files]:
            path = os.path.join(directory, name)
            os.utime(path, ns=(MODIFIED_NS, MODIFIED_NS), follow_symlinks=False)
    os.utime(root / "stale.txt.gz", ns=(OLDER_NS, OLDER_NS))
