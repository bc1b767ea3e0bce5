"""Sends the same requests to the demo and to nginx over the same directory; `differences` lists the
differences that may occur."""

import hashlib
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from urllib.parse import quote, unquote, urljoin, urlsplit

import cases
import tree
from client import Closed, ask
from differences import TABLE, rendered
from ranges import essence, parts
from servers import Nginx

FIELDS = (
    "Content-Type Content-Length Content-Range Location Last-Modified Accept-Ranges Allow Vary Content-Encoding ETag"
).split()
# In an error response these fields are the server's own choice.
OF_CONTENT = ("Content-Type", "Content-Length")
LISTINGS = ("dir/root", "dir/listing", "dir/empty")


class Side:
    """One of the two servers, and its first answer for each target."""

    def __init__(self, name, address):
        self.name, self.address = name, address
        self.first = {}

    def ask(self, case):
        values = dict(cases.DATES)
        if any("{" in line for line in case.lines):
            values |= self.validators(case)
        lines = [re.sub(r"\{(\w+)\}", lambda found: values[found[1]], line) for line in case.lines]
        return ask(self.address, case.method, case.target, lines, case.version, case.host)

    def validators(self, case):
        key = (case.target, case.accept_encoding())
        if key not in self.first:
            answer = ask(self.address, "GET", case.target, case.accept_encoding())
            etag = answer.first("etag", "none")
            self.first[key] = {
                "etag": etag,
                "opaque": etag.removeprefix("W/"),
                "last_modified": answer.first("last-modified", "none"),
            }
        return self.first[key]


def value(case, answer, name):
    """A field, reduced to the part that both servers must agree on."""
    found = answer.first(name)
    if found is None:
        return None
    match name:
        case "Content-Type":
            return essence(found)
        case "Content-Length" if case.name in LISTINGS:
            return "known"
        case "Content-Length":
            # A server may choose any length for a boundary; the client has checked that the body's
            # length is right.
            several = essence(answer.first("content-type")) == "multipart/byteranges"
            return "of the parts" if several else found
        case "Location":
            url = urlsplit(found)
            return url.path + (f"?{url.query}" if url.query else "")
        case "ETag":
            return "there"
        case "Allow" | "Vary":
            return ", ".join(sorted(item.strip() for item in found.split(",")))
    return found


def content(case, answer):
    """The body in a form that can be compared."""
    if case.name in LISTINGS:
        base = f"http://localhost{case.target}"
        links = re.findall(r'<a[^>]* href="([^"]*)"', answer.body.decode())
        paths = (unquote(urlsplit(urljoin(base, link)).path, errors="strict") for link in links)
        return {path for path in paths if path.startswith(case.target) and path != case.target}
    if essence(answer.first("content-type")) == "multipart/byteranges" and case.method != "HEAD":
        return parts(answer)
    return answer.body


def told(content_):
    if isinstance(content_, bytes):
        return f"{len(content_)} bytes, SHA-256 {hashlib.sha256(content_).hexdigest()[:8]}"
    return "parts: " + ", ".join(f"{kind} {place} {told(data)}" for kind, place, data in content_)


def compared(case, ours, nginxs):
    """The differences: the field, our value, nginx's value. If the status differs, the rest is not
    compared."""
    if ours.status != nginxs.status:
        return [("status", str(ours.status), str(nginxs.status))]
    differing = []
    for name in FIELDS:
        pair = value(case, ours, name), value(case, nginxs, name)
        if pair[0] != pair[1] and (ours.status < 300 or name not in OF_CONTENT):
            differing.append((name, pair[0] or "none", pair[1] or "none"))
    if ours.status < 300 or ours.status == 304:
        one, other = content(case, ours), content(case, nginxs)
        if isinstance(one, set) and one != other:
            only = (
                " ".join(quote(path) for path in sorted(only)) or "nothing more" for only in (one - other, other - one)
            )
            differing.append(("body", *only))
        elif one != other:
            differing.append(("body", told(one), told(other)))
    return differing


class Row:
    """One row of the table during a run: which of its names have occurred."""

    def __init__(self, difference):
        self.difference = difference
        self.wanted = [name for name in difference.names.split() if not name.startswith("!")]
        self.barred = [name[1:] for name in difference.names.split() if name.startswith("!")]
        self.seen = set()

    def takes(self, case, status, what, ours, nginxs):
        row = self.difference
        if any(fnmatchcase(case.name, name) for name in self.barred) or row.status not in (None, status):
            return False
        names = [name for name in self.wanted if fnmatchcase(case.name, name)]
        first, *others = row.what.split(", ")
        if not names or not (what in others or (what == first and (row.ours, row.nginx) == (ours, nginxs))):
            return False
        if what == first:
            self.seen.update(names)
        return True


def head_says_the_same(side, case, answer):
    """The fields in which HEAD differs from GET; empty if none (RFC 9110 §9.3.2)."""
    head = side.ask(replace(case, method="HEAD"))
    if head.status != answer.status:
        return [f"HEAD: status {head.status}, GET's {answer.status}"]
    fields = (sorted(field for field in one.fields if field[0] != "date") for one in (head, answer))
    ours, gets = fields
    return [f"HEAD: {ours}, GET's {gets}"] if ours != gets or head.excess else []


def is_whole(case, answer, path):
    """Whether this is a 200 with the whole of the file."""
    data = path.read_bytes()
    return (
        answer.status == 200
        and answer.body == (b"" if case.method == "HEAD" else data)
        and answer.first("content-length") == str(len(data))
        and answer.first("content-range") is None
    )


def judge(root, case, answers, rows):
    """What is wrong with the pair of answers; empty if nothing is."""
    wrong = []
    for side, answer in answers.items():
        if answer.excess:
            wrong.append(f"{side}: {len(answer.excess)} bytes after the end: {answer.excess[:60]!r}")
    ours, nginxs = answers["ours"], answers["nginx"]
    for what, *pair in compared(case, ours, nginxs):
        row = next((row for row in rows if row.takes(case, ours.status, what, *pair)), None)
        if row is None:
            wrong.append(f"{what}: ours {pair[0]}, nginx's {pair[1]}")
        elif row.difference.whole and not is_whole(case, ours, root / row.difference.whole):
            wrong.append(f"{what} differs as expected, but ours is not the whole of {row.difference.whole}")
    return wrong


def check(arguments, checks):
    root = arguments.out / "nginx-root" / "files"
    tree.build(root)
    rows = [Row(difference) for difference in TABLE]
    asked = cases.cases(tree.TYPES)
    with Nginx(arguments, root.parent) as nginx, arguments.subject(arguments, root) as subject:
        sides = [Side("ours", subject.address), Side("nginx", nginx.address)]
        for case in asked:
            try:
                answers = {side.name: side.ask(case) for side in sides}
                wrong = judge(root, case, answers, rows)
                if case.method == "GET" and not any(line.startswith("Range:") for line in case.lines):
                    wrong += head_says_the_same(sides[0], case, answers["ours"])
            except (Closed, OSError, ValueError) as error:
                wrong = [repr(error)]
            checks.that(not wrong, f"nginx: {case.name}: {'; '.join(wrong)}", quiet=True)
    for row in rows:
        for name in row.wanted:
            text = f"nginx: a row of the table that does not occur: {name}: {row.difference.what}"
            checks.that(name in row.seen, text, quiet=True)
    table = rendered()
    print(table, end="")
    readme = (arguments.here / "README.md").read_text()
    checks.that(table in readme, "nginx: README.md has this table")
    print(f"nginx: {len(asked)} requests to both, {len(rows)} rows of differences")
