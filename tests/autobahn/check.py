"""Handles the suite's files for tests/autobahn/run: prints the spec, and judges the report.

check.py spec URL OUTDIR SECTION...           prints the spec for `wstest -m fuzzingclient`
check.py report OUTDIR EXPECTED SECTION...    counts the cases, prints every case that is not OK,
                                              exits 1 if one is not as expected
"""

import collections
import json
import pathlib
import sys

AGENT = "akurai"

# How many cases each section of autobahntestsuite 25.10.1 has, so that a run which skips some of
# them fails.
CASES = {
    "1": 16,  # framing
    "2": 11,  # pings and pongs
    "3": 7,  # reserved bits
    "4": 10,  # opcodes
    "5": 20,  # fragmentation
    "6": 145,  # UTF-8
    "7": 37,  # closing
    "9": 54,  # limits and performance
    "10": 1,  # fragments and autofragmentation
    "12": 90,  # permessage-deflate, sizes
    "13": 126,  # permessage-deflate, parameters
}


def spec(url, outdir, sections):
    for section in sections:
        if section not in CASES:
            sys.exit(f"tests/autobahn: there is no section {section}; there are {', '.join(CASES)}")
    return {
        "outdir": outdir,
        "servers": [{"agent": AGENT, "url": url}],
        "cases": [f"{section}.*" for section in sections],
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }


def read_expected(path):
    """The listed exceptions: case → (behaviour, reason)."""
    expected = {}
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split(None, 2)
        if len(fields) != 3:
            sys.exit(f"{path}: a case, its behaviour and a reason are wanted, not: {line.strip()}")
        expected[fields[0]] = (fields[1], fields[2])
    return expected


def in_order(case):
    return [int(part) for part in case.split(".")]


def report(outdir, expected_path, sections):
    index = pathlib.Path(outdir) / "index.json"
    if not index.is_file():
        print(f"{index} was not written: wstest did not come to its end")
        return 0, 1
    results = json.loads(index.read_text(encoding="utf-8")).get(AGENT, {})
    expected = read_expected(expected_path)
    passed = failed = 0

    behaviours = collections.Counter(result["behavior"] for result in results.values())
    closes = collections.Counter(result["behaviorClose"] for result in results.values())
    print("behaviour: " + ", ".join(f"{count} {name}" for name, count in behaviours.most_common()))
    print("closing:   " + ", ".join(f"{count} {name}" for name, count in closes.most_common()))

    for case in sorted(results, key=in_order):
        result = results[case]
        behaviour, close = result["behavior"], result["behaviorClose"]
        # Either half may fail: the answer itself, or the way the connection was closed after it.
        shortfalls = {verdict for verdict in (behaviour, close) if verdict not in ("OK", "INFORMATIONAL")}
        if behaviour == "INFORMATIONAL":
            shortfalls.add(behaviour)
        listed, reason = expected.get(case, (None, None))
        as_expected = shortfalls == ({listed} if listed else set())
        if as_expected:
            passed += 1
        else:
            failed += 1
        if shortfalls or not as_expected:
            note = f"expected: {reason}" if as_expected else f"listed as {listed}" if listed else "not expected"
            code = result.get("remoteCloseCode")
            print(f"{case}: {behaviour}, close {close}, remote close code {code} ({note})")

    for section in sections:
        count = sum(case.split(".")[0] == section for case in results)
        if count != CASES[section]:
            failed += 1
            print(f"section {section}: {count} cases ran, {CASES[section]} were expected")

    return passed, failed


def main(arguments):
    if len(arguments) >= 4 and arguments[0] == "spec":
        print(json.dumps(spec(arguments[1], arguments[2], arguments[3:]), indent=2))
    elif len(arguments) >= 4 and arguments[0] == "report":
        passed, failed = report(arguments[1], arguments[2], arguments[3:])
        print(f"{passed} passed, {failed} failed")
        sys.exit(failed > 0 or passed == 0)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
