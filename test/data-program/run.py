"""Runs the unit tests of the data program and says what became of each; data-program.test.ts makes a test of its own of every one.

python3 -B run.py --list prints their names, a line each. Without it they are run, and a line of JSON comes for each: its name, and
"error", the traces of one that failed, or "skipped", the reason. The line without a name is of what failed around them.
"""

from __future__ import annotations

import json
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent


def each_of(tests: unittest.TestSuite | unittest.TestCase) -> Iterator[unittest.TestCase]:
    if isinstance(tests, unittest.TestCase):
        yield tests
        return
    for test in tests:
        yield from each_of(test)


class Outcomes(unittest.TestResult):
    """Prints what became of a test as soon as it has ended."""

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        traces = self.traces(test)
        traces += ["it passes, though it is marked as one that fails" for each in self.unexpectedSuccesses if each is test]
        skipped = [reason for each, reason in self.skipped if each is test]
        told = {"error": "\n".join(traces)} if traces else {"skipped": skipped[0]} if skipped else {}
        print(json.dumps({"name": test.id(), **told}), flush=True)

    def traces(self, test: unittest.TestCase | None) -> list[str]:
        """Those of a test with all its parts; without one, those of what is around the tests."""
        found = []
        for each, trace in self.failures + self.errors:
            # A part is a test of its own to unittest.
            of = getattr(each, "test_case", each)
            if of is test or (test is None and not isinstance(of, unittest.TestCase)):
                found.append(trace)
        return found


sys.path.insert(0, str(HERE.parent.parent / "host-scripts"))
suite = unittest.defaultTestLoader.discover(str(HERE))
if "--list" in sys.argv:
    for test in each_of(suite):
        print(test.id())
else:
    outcomes = Outcomes()
    suite.run(outcomes)
    print(json.dumps({"name": "", "error": "\n".join(outcomes.traces(None))}))
