"""What the tests share: folders of their own, and parameters."""

from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from gpubox_data.say import Failure


class Scratch(unittest.TestCase):
    """A test with a folder of its own, self.folder, that is gone after it."""

    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        # As the kernel names it: on macOS the folder for temporary files is behind a link.
        self.folder = Path(made.name).resolve()

    def put(self, path: str, text: str = "") -> Path:
        """A file below the folder, with what is around it."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        return file


class Refusals(unittest.TestCase):
    """A test of what ends a command."""

    def refused(self, failure: Failure, status: int, first: str) -> None:
        self.assertEqual(failure.status, status, failure.lines)
        self.assertIn(first, failure.lines[0])


def given(**parameters: str) -> mock._patch_dict:
    """The environment that has these parameters and nothing else, while a block lasts."""
    return mock.patch.dict(os.environ, parameters, clear=True)


def unprivileged(test: Scratch) -> None:
    """The rest of the test is done as somebody whom permissions stop, who has the test's folder."""
    if os.geteuid() != 0:
        return
    os.chown(test.folder, 65_534, 65_534)
    os.setegid(65_534)
    os.seteuid(65_534)
    test.addCleanup(os.setegid, 0)
    # Cleanups are done from the last to the first.
    test.addCleanup(os.seteuid, 0)
