"""Counts the claims of the harnesses in Python, whose `run` scripts put this directory on Python's
path."""


class Checks:
    """Counts claims, and prints a line for each. A `quiet` one is printed only when it fails."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def that(self, holds, text, quiet=False):
        if holds:
            self.passed += 1
        else:
            self.failed += 1
        if not (holds and quiet):
            print(f"{'ok' if holds else 'not ok'} - {text}", flush=True)
        return bool(holds)
