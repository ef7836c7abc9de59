from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from gpubox_data.dataset import Set
from gpubox_data.say import Failure
from scratch import Refusals, Scratch, given

SOURCES = Path(__file__).parents[2] / "host-scripts"


class DatasetTest(Scratch, Refusals):
    def setUp(self) -> None:
        super().setUp()
        (self.folder / "data").mkdir()
        self.file = self.put("a.csv", "a,b\n")

    def environment(self, **more: str) -> dict[str, str]:
        return {"ROOT": str(self.folder), "URLS": self.file.as_uri(), "FOLDER": "set", **more}

    def run_command(self, redirections: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        program = "import sys; from gpubox_data.main import main; sys.exit(main('dataset'))"
        command = ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-B", "-c", program]
        environment = {**os.environ, "PYTHONPATH": str(SOURCES), **self.environment(**more)}
        return subprocess.run(command, check=False, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def test_what_is_too_long_for_a_name_is_said_before_anything_is_done(self) -> None:
        for parameters, first in (
            ({"NAME": "n" * 256}, "is not the name of a file"),
            ({"FOLDER": "f" * 250, "KEEP_ARCHIVE": "1"}, "where its archive is to be kept, is too long"),
            ({"URLS": "file:///a%00b"}, "is not an http, https or file url"),
        ):
            with self.subTest(first), given(**self.environment(**parameters)), self.assertRaises(Failure) as raised:
                Set()
            self.refused(raised.exception, 2, first)

    def test_a_folder_that_cannot_be_made_is_told_with_the_reason(self) -> None:
        ended = self.run_command(FOLDER="/".join(["f" * 100] * 3))
        self.assertEqual(ended.returncode, 1)
        self.assertIn("File name too long", ended.stderr)

    def test_a_name_is_that_of_the_first_url_where_another_has_none(self) -> None:
        (self.folder / "a.csv").rename(self.folder / ".gpubox.json")
        ended = self.run_command(URLS=f"{self.file.as_uri()}\n{(self.folder / '.gpubox.json').as_uri()}")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertEqual((self.folder / "data/set/a.csv").read_text("utf-8"), "a,b\n")

    def test_nothing_is_written_into_files_that_have_the_number_of_a_closed_one(self) -> None:
        for redirections in (">&-", "2>&-", "<&- >&- 2>&-"):
            with self.subTest(redirections):
                folder = redirections.replace(" ", "")
                ended = self.run_command(redirections, FOLDER=folder)
                self.assertEqual(ended.returncode, 0, ended.stderr)
                self.assertRegex((self.folder / f"data/.gpubox/{folder}/lock").read_text("utf-8"), r"^\d+\n$")
