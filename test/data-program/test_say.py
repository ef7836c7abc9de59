from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

from gpubox_data import say


class Legible(unittest.TestCase):
    def test_what_is_harmless_stays(self) -> None:
        for text in ("pets", "Zürich 東京 🐈", "a'b\"c\\d $HOME `id`", ""):
            self.assertEqual(say.legible(text), text)

    def test_a_tab_is_a_space(self) -> None:
        self.assertEqual(say.legible("a\tb"), "a b")

    def test_no_control_character_is_left(self) -> None:
        for code in (*range(9), *range(10, 32), *range(127, 160)):
            self.assertEqual(say.legible(f"a{chr(code)}b"), "a?b", hex(code))

    def test_what_changes_the_direction_of_writing_is_shown_as_something_else(self) -> None:
        for code in (0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202E, 0x2066, 0x2069):
            self.assertEqual(say.legible(chr(code)), "?", hex(code))
        # Their neighbours are text.
        for code in (0x200D, 0x2010, 0x2027, 0x202F, 0x2065, 0x206A):
            self.assertEqual(say.legible(chr(code)), chr(code), hex(code))

    def test_it_is_cut_after_2000_bytes_and_not_within_a_character(self) -> None:
        self.assertEqual(say.legible("x" * 2000), "x" * 2000)
        self.assertEqual(say.legible("x" * 2001), "x" * 2000 + "...")
        self.assertEqual(say.legible("x" * 1999 + "é"), "x" * 1999 + "...")
        self.assertEqual(say.legible("é" * 5000), "é" * 1000 + "...")

    def test_a_name_that_is_no_text_can_be_shown(self) -> None:
        shown = say.legible(os.fsdecode(b"caf\xe9" + b"x" * 3000))
        self.assertTrue(shown.endswith("..."))
        self.assertEqual(shown.encode("utf-8", "surrogateescape")[:4], b"caf\xe9")


class Quoted(unittest.TestCase):
    def test_a_shell_reads_it_as_one_word(self) -> None:
        for text in ("pets", "", "a b", "it's", "''", '$(id) `id` \\ " ! *', "-rf", "a\nb"):
            printed = subprocess.run(["sh", "-c", f"printf %s {say.quoted(text)}"], check=True, stdout=subprocess.PIPE, text=True)
            self.assertEqual(printed.stdout, text)


class Shown(unittest.TestCase):
    def test_megabytes_are_millions(self) -> None:
        self.assertEqual(say.megabytes(0), "0.0 MB")
        self.assertEqual(say.megabytes(1_250_000), "1.2 MB")

    def test_the_time_that_is_left_is_as_coarse_as_it_is_long(self) -> None:
        for seconds, shown in ((0, "0 s"), (99.4, "99 s"), (100, "2 min"), (5939, "99 min"), (5940, "1 h 39 min"), (86_400, "24 h 00 min")):
            self.assertEqual(say.time_left(seconds), shown)

    def test_a_path_of_any_bytes(self) -> None:
        self.assertEqual(say.shown_path(b"/data/caf\xe9").encode("utf-8", "surrogateescape"), b"/data/caf\xe9")
        self.assertEqual(say.shown_path("/data/pets"), "/data/pets")
        self.assertEqual(say.shown_path(7), "7")


class Said(unittest.TestCase):
    """What reaches the two outputs, which are swapped for files meanwhile."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(setattr, say, "topic", say.topic)
        say.topic = "data pets"
        self.files = {at: Path(folder.name, str(at)) for at in (1, 2)}
        for at, file in self.files.items():
            kept = os.dup(at)
            opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(opened, at)
            os.close(opened)
            self.addCleanup(os.close, kept)
            self.addCleanup(os.dup2, kept, at)

    def said(self) -> bytes:
        return self.files[2].read_bytes()

    def test_each_line_begins_with_what_it_is_about(self) -> None:
        say.say("created: /data/pets")
        self.assertEqual(self.said(), b"data pets: created: /data/pets\n")

    def test_nothing_in_a_line_makes_another(self) -> None:
        say.say("a\ndata pets: b\r\x1b[2Jc")
        self.assertEqual(self.said(), b"data pets: a data pets: b??[2Jc\n")

    def test_lines_of_others_are_indented(self) -> None:
        say.show_lines(["data pets: created", "a\nb"])
        self.assertEqual(self.said(), b"  data pets: created\n  a?b\n")

    def test_the_result_is_a_line_on_standard_output(self) -> None:
        say.result("/data/caf\udce9")
        self.assertEqual(self.files[1].read_bytes(), b"/data/caf\xe9\n")
        self.assertEqual(self.said(), b"")

    def test_a_long_step_says_that_it_goes_on(self) -> None:
        # Those of other tests may be ending.
        before = set(threading.enumerate())
        said = threading.Event()

        class Soon(say.Watch):
            INTERVAL = 0.01  # type: ignore[assignment]

        def report() -> str:
            said.set()
            return "3 of 7 files"

        with Soon("unpacking", report):
            self.assertTrue(said.wait(10))
        self.assertTrue(self.said().startswith(b"data pets: 3 of 7 files\n"))
        self.assertEqual(set(threading.enumerate()) - before, set())

    def test_a_short_step_says_nothing(self) -> None:
        with say.Watch("unpacking"):
            pass
        self.assertEqual(self.said(), b"")


class Gone(unittest.TestCase):
    def test_the_work_goes_on_where_nobody_listens_any_more(self) -> None:
        folder = os.path.dirname(os.path.dirname(say.__file__))
        ended = subprocess.run(
            [sys.executable, "-c", "from gpubox_data.say import result, say\nsay('a')\nresult('done')"],
            check=False,
            stdout=subprocess.PIPE,
            stderr=broken_pipe(self),
            env={"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.assertEqual((ended.returncode, ended.stdout), (0, b"done\n"))


def broken_pipe(test: unittest.TestCase) -> int:
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    test.addCleanup(os.close, writing)
    return writing


if __name__ == "__main__":
    unittest.main()
