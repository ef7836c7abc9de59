from __future__ import annotations

import os
import unittest
from unittest import mock

from gpubox_data import parameters
from gpubox_data.say import Failure
from scratch import Refusals, Scratch, given


class Number(Refusals):
    def test_a_whole_number(self) -> None:
        for value, number in (("0", 0), ("7", 7), ("86400", 86_400), ("18446744073709551616", 1 << 64)):
            with given(TIMEOUT=value):
                self.assertEqual(parameters.number("TIMEOUT", "timeout", "seconds"), number)

    def test_the_default_where_it_is_not_set(self) -> None:
        with given():
            self.assertEqual(parameters.number("TIMEOUT", "timeout", "seconds"), -1)
            self.assertEqual(parameters.number("TIMEOUT", "timeout", "seconds", 60), 60)
        with given(TIMEOUT=""):
            self.assertEqual(parameters.number("TIMEOUT", "timeout", "seconds", 60), 60)

    def test_anything_else_is_refused(self) -> None:
        for value in ("-1", "+1", "1.5", "1e3", "0x1f", "007", "1_000", " 1", "1\n", "seven", "٣", "²"):
            with given(TIMEOUT=value), self.assertRaises(Failure) as raised:
                parameters.number("TIMEOUT", "timeout", "seconds")
            self.refused(raised.exception, 2, f"timeout: '{value}' is not a number of seconds")


class Flag(Refusals):
    def test_on_off_and_not_set(self) -> None:
        for value, on, on_by_default in (("1", True, True), ("0", False, False), ("", False, True)):
            with given(UNPACK=value):
                self.assertEqual(parameters.flag("UNPACK", "unpack"), on)
                self.assertEqual(parameters.flag("UNPACK", "unpack", True), on_by_default)

    def test_anything_else_is_refused(self) -> None:
        for value in ("true", "yes", "01", " 1"):
            with given(UNPACK=value), self.assertRaises(Failure) as raised:
                parameters.flag("UNPACK", "unpack")
            self.refused(raised.exception, 2, f"unpack: '{value}' is neither 0 nor 1")


class StaysBelow(unittest.TestCase):
    def test_folders_of_the_person(self) -> None:
        for path in ("pets", "oxford/pets", "a b", "..pets", ".hidden", "pets-1", "a/b/c", "päts", ".gpubox2", "...", "~"):
            self.assertTrue(parameters.stays_below(path), path)

    def test_what_leads_elsewhere(self) -> None:
        for path in ("", "/", "/etc", "..", ".", "a/..", "../a", "a/../../b", "a//b", "a/", "./a", "a/.", ".gpubox", "a/.gpubox/b"):
            self.assertFalse(parameters.stays_below(path), path)

    def test_what_a_program_takes_for_an_option(self) -> None:
        for path in ("-rf", "--", "a/-b"):
            self.assertFalse(parameters.stays_below(path), path)


class Root(Refusals):
    def test_an_absolute_path_and_the_home_folder(self) -> None:
        for root, absolute in (("/mnt/fastai", "/mnt/fastai"), ("~", "/home/ada"), ("~/fastai", "/home/ada/fastai")):
            with given(ROOT=root, HOME="/home/ada"):
                self.assertEqual(parameters.absolute_root(), absolute)

    def test_what_is_neither(self) -> None:
        for root in ("", "fastai", "~ada/fastai", "./fastai", "$HOME/fastai"):
            with given(ROOT=root, HOME="/home/ada"), self.assertRaises(Failure) as raised:
                parameters.absolute_root()
            self.refused(raised.exception, 2, f"root: '{root}' is neither absolute nor below ~/")

    def test_nobody_s_home_folder(self) -> None:
        with given(ROOT="~/fastai"), self.assertRaises(Failure) as raised:
            parameters.absolute_root()
        self.refused(raised.exception, 2, f"begins at your home folder, and {parameters.person()} has none here (HOME is not set)")


class Folder(Scratch, Refusals):
    def test_one_below_a_folder_that_is_there(self) -> None:
        (self.folder / "data").mkdir()
        with given(FOLDER="oxford/pets"):
            self.assertEqual(parameters.checked_folder(str(self.folder), "data"), "oxford/pets")

    def test_a_disk_that_is_not_mounted(self) -> None:
        with given(FOLDER="pets"), self.assertRaises(Failure) as raised:
            parameters.checked_folder(str(self.folder), "data")
        self.refused(raised.exception, 1, f"{self.folder}/data is not there")

    def test_what_is_no_folder_is_refused_before_anything_is_looked_at(self) -> None:
        for folder, why in (
            ("", "folder: '' is not a folder below data/"),
            ("../pets", "folder: '../pets' is not a folder below data/"),
            ("a\nb", "folder: it may not hold control characters"),
            ("a\x7fb", "folder: it may not hold control characters"),
        ):
            with given(FOLDER=folder), self.assertRaises(Failure) as raised:
                parameters.checked_folder("/nowhere", "data")
            self.refused(raised.exception, 2, why)


class Person(unittest.TestCase):
    def test_by_name_where_the_machine_knows_one(self) -> None:
        with mock.patch("pwd.getpwuid", return_value=mock.Mock(pw_name="ada")):
            self.assertEqual(parameters.person(), "ada")

    def test_by_number_elsewhere(self) -> None:
        with mock.patch("pwd.getpwuid", side_effect=KeyError):
            self.assertEqual(parameters.person(), f"user {os.getuid()}")


class MoveAway(unittest.TestCase):
    def test_a_command_that_a_shell_takes_as_it_is_meant(self) -> None:
        self.assertEqual(parameters.move_away("/data/it's"), "mv '/data/it'\\''s' '/data/it'\\''s.mine'")


if __name__ == "__main__":
    unittest.main()
