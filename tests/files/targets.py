"""Request targets that try to leave a directory, combined from every notation that some server once
accepted."""

UPS = [
    b"..", b"%2e%2e", b".%2e", b"%2e.", b"%2E%2E", b"%252e%252e", b"%25252e%25252e", b"..%00", b"%00..", b"..;", b"..;x=1",
    b"..%20", b"..%09", b"..%0a", b"...", b"....", b"..%5c", b"..\\", b".\\.", b"..%255c", b"%c0%ae%c0%ae", b"%c0%2e%c0%2e",
    b"%e0%80%ae%e0%80%ae", b"%f0%80%80%ae%f0%80%80%ae", b"%uff0e%uff0e", b"%ef%bc%8e%ef%bc%8e", b"\xc0\xae\xc0\xae",
    "．．".encode(), b"..%ff", b"%2e%2e%2e%2e",
]  # fmt: skip

SEPARATORS = [
    b"/", b"//", b"/./", b"%2f", b"%2F", b"%252f", b"\\", b"%5c", b"%5C", b"%255c", b"\\/", b"%c0%af", b"%e0%80%af",
    b"%c1%9c", b"%u2215", b"%ef%bc%8f", b"%00/", b"\xc0\xaf",
]  # fmt: skip

STARTS = [b"/", b"//", b"/sub/", b"/sub/deep/", b"/nowhere/", b"/INSIDE.txt/"]

# Text after the name of an existing file.
ENDS = [
    b"", b"%00", b"%00.html", b"%00/", b".", b"..", b"...", b"%2e", b"%20", b"%20%20", b"%20.", b".%20", b"+", b"::$DATA",
    b"%3a%3a$DATA", b":stream", b":$I30:$INDEX_ALLOCATION", b"/", b"//", b"/.", b"/..", b"/../", b"/%2e", b"%2f", b"%5c",
    b"\\", b"%0a", b"%0d%0a", b"%0d%0aX:%20y", b"%7f", b"%c2%a0", b"~", b"~1", b";", b";.html", b"%", b"%2", b"%zz", b"%u0000",
    b"?", b"?/../../etc/passwd", b"#", b"#/../x", b".gz", b"%2egz", b"\t", b" x", b"\x00", b"\xff", b"\x80",
]  # fmt: skip

DRIVES = [
    b"C:", b"c:", b"C%3a", b"C|", b"C%7c", b"C:.", b"\\\\?\\C:", b"%5c%5c%3f%5cC:", b"\\\\.\\C:", b"//./C:", b"\\\\host\\share",
    b"%5c%5chost%5cshare", b"//host/share", b"file:", b"file://", b"file:///", b"~", b"~root", b"$HOME", b"%HOME%", b"${HOME}",
]  # fmt: skip

DEVICES = (
    "con nul aux prn clock$ conin$ conout$ com1 com9 lpt1 lpt9 com%C2%B9 lpt%C2%B3 CON.txt NuL.tar.gz aux. aux%20 nul: "
    "nul%3A com1.txt%20 /dev/null dev/zero /dev/stdin proc/self/environ /proc/self/environ /proc/self/cwd/INSIDE.txt"
).split()

LONG = [
    b"/" + b"a" * 255, b"/" + b"a" * 256, b"/" + b"a" * 4095, b"/" + b"a" * 4096, b"/" + b"a" * 8000, b"/" + b"a" * 20_000,
    b"/" + b"a/" * 2000, b"/" + b"../" * 2000, b"/" + b"%2e%2e/" * 1000, b"/" + b"./" * 3000 + b"INSIDE.txt", b"/" * 6000,
    b"/" + b"%2f" * 2000, b"/" + b"%00" * 2000, b"/" + b"%61" * 250, b"/" + b"sub/../" * 1000 + b"INSIDE.txt",
    b"/INSIDE.txt" + b"/" * 5000, b"/INSIDE.txt" + b"." * 5000, b"/INSIDE.txt?" + b"a" * 7000,
]  # fmt: skip


def targets(outside, absolute):
    """Every target, once. `outside` is the outer file's path relative to the root's parent,
    `absolute` its whole path."""
    found = {}

    def add(target, prefix=b"/files"):
        found[prefix + target] = None

    goal, whole = outside.encode(), absolute.encode()
    for start in STARTS:
        for up in UPS:
            for separator in SEPARATORS:
                depth = 1 + start.count(b"/", 1)
                for ups in {1, 2, depth}:
                    add(start + (up + separator) * ups + goal.replace(b"/", separator))
    for up in UPS:
        for separator in SEPARATORS:
            add(b"/" + (up + separator) * 20 + b"etc" + separator + b"passwd")
    for start in STARTS:
        for end in ENDS:
            add(start + b"INSIDE.txt" + end)
            add(start.rstrip(b"/") + end)
        for device in DEVICES:
            add(start + device.encode())
            add(start + device.encode() + b"/x")
    for drive in DRIVES:
        for rest in (b"", b"/", b"\\", whole, whole.replace(b"/", b"\\"), b"/" + goal):
            add(b"/" + drive + rest)
    for separator in SEPARATORS:
        add(separator + whole)
        add(separator + whole.replace(b"/", separator))
        add(b"/" + separator + whole[1:])
    for target in LONG:
        add(target)
    # Beside the prefix and around it.
    for up in UPS:
        add(up + b"/" + goal)
        add(b"/" + up + b"/files/INSIDE.txt")
        add(b"/" + up + b"/../files/INSIDE.txt", prefix=b"")
        add(b"/files/" + up + b"/" + goal, prefix=b"http://localhost")
        add(b"/x/" + up + b"/files/" + up + b"/" + goal, prefix=b"")
    for odd in (
        b"*",
        b"files/INSIDE.txt",
        b"//files/INSIDE.txt",
        b"/files\\INSIDE.txt",
        b"/FILES/INSIDE.txt",
        b"/%66iles/INSIDE.txt",
    ):
        add(odd, prefix=b"")
    return list(found)
