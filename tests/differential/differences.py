"""The classes of differences that may occur, which the file `differences` lists."""

import re
from dataclasses import dataclass, field

NOT_LISTED = "not listed: "
# On a busy machine a few findings do not occur again: one in forty with five processes for each
# core. So many may, or one in ten.
MOST_UNSTEADY = 20


@dataclass(frozen=True)
class Finding:
    """A difference: its class, the changes in which it shows, the peers that differ from us, and
    what was seen."""

    name: str
    changes: tuple
    peers: tuple
    detail: str = ""

    def key(self):
        return self.name, self.changes


@dataclass
class Row:
    """A row of the file. `names` and `changes` are patterns, in which `*` stands for anything; a
    finding of one of its classes needs one of them in its changes."""

    names: list
    changes: list = field(default_factory=list)
    texts: dict = field(default_factory=dict)

    def pattern(self, finding):
        """The pattern that takes the finding, if one does."""
        if any(matches(name, finding.name) for name in self.names):
            for pattern in self.changes:
                if any(matches(pattern, change) for change in finding.changes):
                    return pattern
        return None


def matches(pattern, text):
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text, re.DOTALL) is not None


def rows(text):
    """The rows of the file. One is the name of a class, or several, a line each, and behind them
    indented lines: `in:` and patterns between ` | `, `by:` and which peers do what, `why:` and why
    ours is right."""
    found, key = [], None
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            if not found or found[-1].texts:
                found.append(Row([]))
            found[-1].names.append(line)
            continue
        start = re.match(r" +(in|by|why): ", line)
        key = start[1] if start else key
        before = found[-1].texts.get(key)
        value = (line[start.end() :] if start else line).strip()
        found[-1].texts[key] = f"{before} {value}" if before else value
    for row in found:
        row.changes = [pattern.strip() for pattern in row.texts["in"].split(" | ")]
        if not row.texts.get("by") or not row.texts.get("why"):
            raise ValueError(f"differences: {row.names} does not say which peers do what, and why")
    return found


class Found:
    """What was found of one class and its changes."""

    def __init__(self, finding, example, pattern):
        self.count = 0
        self.peers = set()
        self.detail, self.example, self.pattern = finding.detail, example, pattern

    def add(self, finding, example):
        self.count += 1
        self.peers.update(finding.peers)
        self.example = min(self.example, example, key=len)


class Differences:
    """What was found, by class and changes."""

    def __init__(self, listed):
        self.listed = listed
        self.found = {}
        self.seen = set()
        self.unsteady_counts = {}

    def pattern(self, finding):
        """The row and the pattern that list the finding; None if none does."""
        for row in self.listed:
            if (pattern := row.pattern(finding)) is not None:
                return row.names[0], pattern
        return None

    def knows(self, finding):
        return self.pattern(finding) is not None or finding.key() in self.found

    def unsteady(self, finding):
        """It did not occur again."""
        key = finding.key()
        self.unsteady_counts[key] = self.unsteady_counts.get(key, 0) + 1

    def check_unsteady(self, checks):
        """Claims that few findings did not occur again."""
        count = sum(self.unsteady_counts.values())
        most = max(MOST_UNSTEADY, sum(found.count for found in self.found.values()) // 10)
        checks.that(count <= most, f"{count} findings did not occur again alone (must: <= {most})")

    def add(self, finding, example):
        pattern = self.pattern(finding)
        self.seen.add(pattern)
        if finding.key() not in self.found:
            self.found[finding.key()] = Found(finding, example, pattern)
        self.found[finding.key()].add(finding, example)

    def missing(self, parts):
        """The patterns of these parts that occurred in none of their classes."""
        for row in self.listed:
            for pattern in row.changes:
                place = row.names[0], pattern
                if row.names[0].split(" ")[0] in parts and place not in self.seen:
                    yield place

    def unlisted(self):
        return {key: found for key, found in self.found.items() if found.pattern is None}

    def report(self, file):
        """Writes everything that was found, with the shortest example of each, into a file."""
        with open(file, "w") as out:
            for (name, changes), found in sorted(self.found.items()):
                listed = NOT_LISTED if found.pattern is None else ""
                print(f"{listed}{name}: {' + '.join(changes)}", file=out)
                peers = ", ".join(sorted(found.peers))
                print(f"    {found.count} times; {peers}; {found.detail}", file=out)
                print(f"    {found.example[:600]!r}", file=out)
