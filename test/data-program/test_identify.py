from __future__ import annotations

import unittest

from gpubox_data.identify import disposition_name, identify, is_page, kind_by_name
from gpubox_data.seen import url_name


class Names(unittest.TestCase):
    def test_the_last_part_of_a_url(self) -> None:
        self.assertEqual(url_name("https://example.org/a/birds.zip?sig=a/b#c"), "birds.zip")
        self.assertEqual(url_name("https://example.org/"), "")

    def test_what_a_header_calls_it(self) -> None:
        for header, name in (
            ('attachment; filename="a;b=c.csv"; size=4', "a;b=c.csv"),
            ("attachment;filename=birds.zip;", "birds.zip"),
            ("attachment; filename*=UTF-8''a%FFb.csv", ""),
            ("attachment; filename*=nonsense; filename=old.csv", "old.csv"),
            ('attachment; filename="a\\\\b.csv"', "b.csv"),
            ('attachment; filename="unfinished', "unfinished"),
            ("", ""),
        ):
            with self.subTest(header):
                self.assertEqual(disposition_name(header), name)

    def test_what_a_name_says(self) -> None:
        for name, kind in (
            ("Birds.ZIP", "zip"),
            ("birds.tar.zst", "tar"),
            ("birds.TGZ", "tar"),
            ("birds.gz", "plain"),
            ("labels.csv", "plain"),
            ("get.php", "unknown"),
            ("birds-1.0", "unknown"),
            ("v2. of all birds", "unknown"),
            ("content", "unknown"),
            ("a.thirteenchars", "unknown"),
        ):
            with self.subTest(name):
                self.assertEqual(kind_by_name(name), kind)


class Kinds(unittest.TestCase):
    def test_a_name_without_an_ending_leaves_it_to_the_bytes(self) -> None:
        for found, kind in (("zip", "zip"), ("tar", "tar"), ("gzip", "tar")):
            with self.subTest(found):
                self.assertEqual(identify("content", found, lambda: True, "/data/set").kind, kind)
        self.assertEqual(identify("content", "gzip", lambda: False, "/data/set").kind, "plain")

    def test_the_advice_is_the_ending_that_the_name_takes(self) -> None:
        kind = identify("labels.csv", "zip", lambda: False, "/data/my set")
        self.assertEqual(kind.kind, "plain")
        self.assertEqual(kind.note[0], "labels.csv is a zip archive, and is kept as it is")
        self.assertIn("name: 'labels.zip'", kind.note[1])
        self.assertIn("rm -r '/data/my set'", kind.note[2])

    def test_nothing_is_said_of_what_is_wanted_so(self) -> None:
        self.assertEqual(identify("model.PTH", "zip", lambda: False, "/x").note, ())
        self.assertEqual(identify("a.csv.gz", "gzip", lambda: False, "/x").note, ())


class Pages(unittest.TestCase):
    def test_one_is_known_by_how_it_begins(self) -> None:
        for text in (b"<!DOCTYPE html>", b"\xef\xbb\xbf  <HTML >", b"<!-- a --><!-- b --><title>", "\ufeff<html>".encode("utf-16-le")):
            with self.subTest(text):
                self.assertTrue(is_page("labels.csv", "", "", text))

    def test_what_only_looks_a_little_like_one_is_none(self) -> None:
        for text in (b"<htmlx>", b"<annotation><html>", b"<!-- never closed <html>", b"", b"a <html>"):
            with self.subTest(text):
                self.assertFalse(is_page("labels.csv", "text/csv", "", text))

    def test_the_server_is_believed_of_text_alone(self) -> None:
        self.assertTrue(is_page("labels.csv", "text/html", "", b"Please log in."))
        self.assertFalse(is_page("weights.bin", "text/html", "", b"\1\0\2"))
        self.assertFalse(is_page("set.zip", "text/html", "zip", b"PK\3\4"))
        self.assertFalse(is_page("page.html", "text/html", "", b"<html>"))

    def test_a_page_of_many_comments_takes_no_time(self) -> None:
        self.assertTrue(is_page("a.csv", "", "", b"<!---->" * 9000 + b"<html>"))
