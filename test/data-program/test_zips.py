"""What is unpacked of a zip, and what is refused."""

from __future__ import annotations

import bz2
import io
import os
import stat
import struct
import unittest
import zipfile
import zlib
from typing import Any
from unittest import mock

from archives import INPUTS, Entry, Trickle, UnpackingCase, deflated, found_below, link, zip_of
from gpubox_data import archive, zips
from gpubox_data.source import Interrupted

PICTURES = [Entry(b"set/train/1.jpg", b"a cat" * 100, 8), Entry(b"set/valid/2.jpg", b"a dog")]
UNPACKED = {"set/train/1.jpg": b"a cat" * 100, "set/valid/2.jpg": b"a dog"}


def field(tag: int, content: bytes) -> bytes:
    return struct.pack("<HH", tag, len(content)) + content


def unicode_path(name: bytes, path: bytes, version: bytes = b"\1") -> bytes:
    return field(0x7075, version + struct.pack("<L", zlib.crc32(name)) + path)


class Unpacking(UnpackingCase):
    def test_files_folders_links_and_modes(self) -> None:
        found = self.unpack(
            "zip",
            zip_of(
                *PICTURES,
                Entry(b"set/empty/"),
                Entry(b"set/also empty", mode=stat.S_IFDIR | 0o755),
                Entry(b"set/run.sh", b"#!/bin/sh", mode=stat.S_IFREG | 0o4711),
                Entry(b"set/no mode", b"x", mode=0),
                link(b"set/train/link.jpg", b"../valid/2.jpg"),
                Entry(b"set/nothing", b""),
            ),
        )
        self.assertEqual(
            found,
            {**UNPACKED, "set/run.sh": b"#!/bin/sh", "set/no mode": b"x", "set/train/link.jpg": "-> ../valid/2.jpg", "set/nothing": b""},
        )
        self.assertEqual(os.listdir(f"{self.staging}/set/empty"), [])
        self.assertEqual(os.listdir(f"{self.staging}/set/also empty"), [])
        umask = os.umask(0o022)
        os.umask(umask)
        self.assertEqual(stat.S_IMODE(os.stat(f"{self.staging}/set/run.sh").st_mode), 0o755 & ~umask)
        self.assertEqual(stat.S_IMODE(os.stat(f"{self.staging}/set/no mode").st_mode), 0o644 & ~umask)
        self.assertEqual(self.sizes, [(6, 500 + 5 + 9 + 1 + 14)])
        self.assertEqual((self.progress.total_files, self.progress.total_bytes), (6, 529))

    def test_what_others_write(self) -> None:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as z:
            for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
                z.writestr(f"small {method}", b"small " * 1000, method)
                z.writestr(f"large {method}", b"large " * 500_000, method)
        found = self.unpack("zip", made.getvalue())
        self.assertEqual(len(found), 8)
        for name, content in found.items():
            self.assertEqual(content, b"small " * 1000 if "small" in name else b"large " * 500_000)

    def test_many_batches(self) -> None:
        entries = [Entry(b"%d/%d" % (n % 70, n), b"%d" % n * (n % 9000), 8 * (n % 2)) for n in range(3000)]
        found = self.unpack("zip", zip_of(*entries))
        self.assertEqual(found, {entry.path.decode(): entry.content for entry in entries})

    def test_comment_and_junk(self) -> None:
        # A comment may look like an end, and something else like a signature.
        fake = b"PK\5\6" + bytes(18)
        self.assertEqual(self.unpack("zip", zip_of(*PICTURES, comment=b"by hand " * 8000)), UNPACKED)
        self.assertEqual(self.unpack("zip", zip_of(*PICTURES, before=b"#!/bin/sh\n" * 10_000)), UNPACKED)
        self.assertEqual(self.unpack("zip", zip_of(*PICTURES, before=fake * 3, comment=b"PK\5\6")), UNPACKED)
        self.assertEqual(self.unpack("zip", zip_of(*PICTURES) + b"\0\0"), UNPACKED)

    def test_zip64(self) -> None:
        entries = [entry._replace(zip64=True) for entry in PICTURES]
        self.assertEqual(self.unpack("zip", zip_of(*entries, zip64=True)), UNPACKED)
        self.assertEqual(self.unpack("zip", zip_of(*entries, zip64=True, before=b"x" * 1000, comment=b"c" * 1000)), UNPACKED)
        self.assertEqual(self.unpack("zip", zip_of(*entries)), UNPACKED)

    def test_directory_in_another_order(self) -> None:
        entries = [Entry(b"a%d" % n, b"%d" % n * 100) for n in range(500)]
        found = self.unpack("zip", zip_of(*entries, reverse=True))
        self.assertEqual(found, {entry.path.decode(): entry.content for entry in entries})

    def test_header_that_says_something_else(self) -> None:
        # Only the lengths in it count, as they say where the bytes are.
        entry = Entry(b"a", b"content", local_path=b"../../another name", local_extra=b"x" * 300)
        self.assertEqual(self.unpack("zip", zip_of(entry, PICTURES[1])), {"a": b"content", "set/valid/2.jpg": b"a dog"})

    def test_of_two_with_one_path_the_last_counts(self) -> None:
        found = self.unpack(
            "zip",
            zip_of(
                Entry(b"twice", b"first"),
                Entry(b"link", b"x"),
                Entry(b"./twice", b"last"),
                Entry(b"f/"),
                Entry(b"f//x", b"1"),
                Entry(b"f/./x", b"2"),
                Entry(b"f/"),
                link(b"link", b"twice"),
            ),
        )
        self.assertEqual(found, {"twice": b"last", "f/x": b"2", "link": "-> twice"})
        self.assertEqual(self.sizes, [(3, 17)])

    def test_hashes_that_are_looked_at_in_parts(self) -> None:
        with mock.patch.object(zips, "_SORTED", 2):
            found = self.unpack("zip", zip_of(*(Entry(b"%d" % (n % 7), b"%d" % n) for n in range(20))))
        self.assertEqual(found, {str(n % 7): b"%d" % n for n in range(13, 20)})


class Names(UnpackingCase):
    def names(self, *entries: Entry) -> Any:
        return sorted(self.unpack("zip", zip_of(*entries)))

    def test_utf8_marked_or_not(self) -> None:
        self.assertEqual(self.names(Entry("Zoë".encode(), flags=0x800), Entry("猫".encode())), ["Zoë", "猫"])

    def test_cp437(self) -> None:
        self.assertEqual(self.names(Entry(b"M\x81nchen"), Entry(b"\x81bel", flags=0x800)), ["München", "übel"])

    def test_unicode_path(self) -> None:
        with open(f"{INPUTS}/winrar.zip", "rb") as file:
            self.assertEqual(sorted(self.unpack("zip", file.read())), ["狗/二.jpg", "猫/一.jpg"])
        self.assertEqual(
            self.names(
                Entry(b"a", extra=field(0x5455, b"time") + unicode_path(b"a", "ä".encode())),
                Entry(b"b", extra=unicode_path(b"before", "β".encode())),
                Entry(b"c", extra=unicode_path(b"c", b"\xff")),
                Entry(b"d", extra=unicode_path(b"d", "δ".encode(), b"\2")),
                Entry(b"e", extra=unicode_path(b"e", "ε".encode()), flags=0x800),
                Entry(b"f", extra=unicode_path(b"f", "φ".encode())[:7]),
            ),
            ["b", "c", "d", "e", "f", "ä"],
        )

    def test_backslashes(self) -> None:
        self.assertEqual(
            self.names(Entry(b"win\\dows\\a", system=0), Entry(b"win\\empty\\", system=0), Entry(b"un\\ix")), ["un\\ix", "win/dows/a"]
        )
        self.assertEqual(os.listdir(f"{self.staging}/win/empty"), [])


class Refused(UnpackingCase):
    def test_paths(self) -> None:
        for path in (b"../evil", b"/evil", b"a/../../evil", b"a/..", b"..", b"//evil", b".", b""):
            self.assert_unusable("zip", zip_of(PICTURES[0], Entry(path, b"x", mode=0o100644)), "leads out of the folder")
            self.assertFalse(os.path.exists(self.staging))
        self.assert_unusable("zip", zip_of(Entry(b"a", extra=unicode_path(b"a", b"../evil"))), "../evil leads out of the folder")
        self.assert_unusable("zip", zip_of(Entry(b"..\\evil", system=0)), "../evil leads out of the folder")

    def test_control_characters(self) -> None:
        for path in (b"a\nb", b"a\0b", b"\x1b[0m", b"a\x7f"):
            said = self.assert_unusable("zip", zip_of(Entry(path)), "has control characters in its name, or leads where one has")
            self.assertTrue(str(said).isprintable())
        self.assert_unusable("zip", zip_of(link(b"a", b"b\nc")), "a' has control characters in its name, or leads where one has")

    def test_links(self) -> None:
        for path, target in (
            (b"out", b"/etc"),
            (b"a/out", b"../../etc"),
            (b"a/b/out", b"in/../../../.."),
            (b"out", b".."),
            (b"out", b"./.."),
        ):
            self.assert_unusable(
                "zip", zip_of(PICTURES[0], link(path, target)), f"is a link that leads out of the folder, to {target.decode()}"
            )
        for target in (b"", b"x" * 5000):
            self.assert_unusable("zip", zip_of(PICTURES[0], link(b"a", target)), "a is a link whose target cannot be read")
        self.assertEqual(
            self.unpack("zip", zip_of(PICTURES[1], link(b"a/b", b".././set"))), {"set/valid/2.jpg": b"a dog", "a/b": "-> .././set"}
        )

    def test_what_is_behind_a_link(self) -> None:
        for entries in (
            [link(b"here", b"."), Entry(b"here/x")],
            [Entry(b"here/x"), link(b"here", b".")],
            [link(b"a/here", b"."), link(b"a/./here//x/y", b"z")],
            # Another one takes its place, but a program may have written to it before.
            [link(b"here", b"."), Entry(b"here/x"), Entry(b"here")],
        ):
            self.assert_unusable("zip", zip_of(*entries), "lies behind the link")
            self.assertFalse(os.path.exists(self.staging))

    def test_encrypted_and_special(self) -> None:
        self.assert_unusable(
            "zip", zip_of(PICTURES[0], Entry(b"secret", b"x", flags=1)), "secret is encrypted, and there is no password to give"
        )
        for form in (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK):
            self.assert_unusable("zip", zip_of(Entry(b"null", mode=form | 0o644)), "null is neither a file nor a folder nor a link")

    def test_methods(self) -> None:
        for method, name in ((1, "shrinking (method 1)"), (6, "imploding (method 6)"), (98, "PPMd (method 98)"), (77, "method 77")):
            said = self.assert_unusable(
                "zip", zip_of(*PICTURES, Entry(b"c", b"3", method)), f"is compressed by {name}, which no program here unpacks"
            )
            self.assertIn("7z x", said.details[0])
            self.assertFalse(os.path.exists(self.staging))

    def test_nothing_in_it(self) -> None:
        self.assert_unusable("zip", zip_of(), "holds no files")
        self.assert_unusable("zip", zip_of(Entry(b"empty/")), "holds no files")

    def test_room(self) -> None:
        bombs = [Entry(b"bomb-%d" % n, b"x", size=0xFFFF_FFF0) for n in range(5000)]
        with self.assertRaises(archive.NoRoom) as caught:
            self.unpack("zip", zip_of(*bombs))
        (line,) = caught.exception.lines("/data", "http://host/x.zip")
        self.assertRegex(line, r"^unpacking 5000 files needs 21474856.9 MB in /data, and [0-9.]+ MB are free \(http://host/x.zip\)$")
        self.assertFalse(os.path.exists(self.staging))
        with mock.patch("gpubox_data.places.free_inodes", lambda path: 1), self.assertRaises(archive.NoRoom) as caught:
            self.unpack("zip", zip_of(*PICTURES))
        self.assertEqual(caught.exception.lines("/data", "x.zip"), ["unpacking x.zip makes 2 files and folders, and /data has room for 1"])

    def test_a_path_that_is_a_file_and_a_folder(self) -> None:
        for entries in (
            [Entry(b"a", b"x"), Entry(b"a/b", b"x")],
            [Entry(b"a/b", b"x"), Entry(b"a", b"x")],
            [Entry(b"a/b", b"x"), link(b"a/b/c", b"x")],
        ):
            self.assert_unusable("zip", zip_of(*entries), "cannot be unpacked")

    def test_a_name_that_no_disk_takes(self) -> None:
        self.assert_unusable("zip", zip_of(Entry(b"x" * 300)), "File name too long")


class Damaged(UnpackingCase):
    def test_truncated(self) -> None:
        good = zip_of(*PICTURES)
        for missing in (1, 10, 21, 30, 100, len(good) - 30):
            self.assert_unusable("zip", good[:-missing], "is not a zip archive that can be read: its end is missing")
        for data in (b"", b"<html>", b"PK\5\6"):
            self.assert_unusable("zip", data, "is not a zip archive that can be read: its end is missing")

    def test_its_front_is_missing(self) -> None:
        self.assert_unusable("zip", zip_of(*PICTURES)[20:], "is not a zip archive that can be read")

    def test_checksums_sizes_and_bytes(self) -> None:
        large = os.urandom(3_000_000)
        for content in (b"x" * 9000, large):
            for method in (0, 8):
                changes: tuple[tuple[dict[str, Any], str], ...] = (
                    ({"checksum": 1}, "a/b: its checksum is wrong"),
                    ({"size": len(content) - 1}, "a/b: "),
                    ({"size": len(content) + 1}, "a/b: its size is not what the directory says"),
                )
                for change, why in changes:
                    self.assert_unusable("zip", zip_of(Entry(b"a/b", content, method)._replace(**change), *PICTURES), why)
                    self.assertEqual(self.unpack("zip", zip_of(*PICTURES)), UNPACKED)
            packed = deflated(content)
            for bad in (packed[:-10], b"\xff" * 100, packed[:10] + b"\xff" * 100 + packed[10:]):
                self.assert_unusable("zip", zip_of(Entry(b"a/b", content, 8, packed=bad)), "cannot be unpacked\na/b: ")
        for method in (9, 12, 14, 93, 95):
            self.assert_unusable(
                "zip", zip_of(Entry(b"a/b", b"x" * 100, method, packed=b"\x09\x04\x05\x00" + b"\xfe" * 50)), "cannot be unpacked\na/b: "
            )
        self.assert_unusable("zip", zip_of(Entry(b"a", b"x" * 1000, 12, packed=bz2.compress(b"x" * 1000)[:-5])), "it ends too early")

    def test_what_unpacks_to_more_than_it_says(self) -> None:
        bomb = deflated(bytes(50_000_000))
        for size in (100, 2_000_000):
            self.assert_unusable("zip", zip_of(Entry(b"bomb", b"x", 8, packed=bomb, size=size)), "bomb: ")
        self.assert_unusable(
            "zip",
            zip_of(Entry(b"bomb", b"x", 12, packed=bz2.compress(bytes(20_000_000)), size=100)),
            "it is larger than the directory says",
        )

    def test_entries_that_overlap(self) -> None:
        first = Entry(b"a", b"x" * 1000)
        self.assert_unusable("zip", zip_of(first, Entry(b"b", b"x" * 1000, offset=0)), "entries in it overlap, as those of a zip bomb do")
        self.assert_unusable("zip", zip_of(first, Entry(b"b", b"x" * 1000, offset=500)), "entries in it overlap")
        quoted = [Entry(b"%d" % n, b"x" * 5000, offset=n * 40) for n in range(50)]
        self.assert_unusable("zip", zip_of(*quoted), "entries in it overlap")
        self.assert_unusable("zip", zip_of(*quoted, reverse=True), "entries in it overlap")
        self.assertFalse(os.path.exists(self.staging))

    def test_headers_that_are_elsewhere(self) -> None:
        said = "cannot be unpacked\nb: its header is not where the directory says"
        self.assert_unusable(
            "zip", zip_of(PICTURES[0], Entry(b"b", b"x" * 10, packed=b"x" * 20, packed_size=10, offset=deflated_end() + 5)), said
        )
        large = Entry(b"b", b"x" * 2_000_000, packed=b"x" * 2_000_100, packed_size=2_000_000, offset=deflated_end() + 5)
        self.assert_unusable("zip", zip_of(PICTURES[0], large), said)
        self.assert_unusable("zip", zip_of(Entry(b"b", b"x", offset=10**6)), "its directory is damaged")
        self.assert_unusable("zip", zip_of(Entry(b"b", b"x", zip64=True, offset=2**64 - 1)), "its directory is damaged")
        # Its names are longer than the archive.
        for content in (b"x" * 100, b"x" * 2_000_000):
            data = bytearray(zip_of(Entry(b"b", content)))
            struct.pack_into("<H", data, 28, 60_000)
            self.assert_unusable("zip", bytes(data), "b: its bytes are not where its header says")

    def test_directories(self) -> None:
        good = zip_of(*PICTURES)
        at = good.rindex(b"PK\1\2")
        self.assert_unusable("zip", good[:at] + b"PK\1\3" + good[at + 4 :], "its directory is damaged")
        self.assert_unusable("zip", good[: at + 28] + b"\xff\xff" + good[at + 30 :], "its directory is damaged")
        self.assert_unusable("zip", zip_of(*PICTURES, count=3), "it holds 2 entries, and says that it holds 3")
        data = zip_of(PICTURES[0]._replace(extra=field(1, b"short"), size=0xFFFFFFFF))
        self.assert_unusable("zip", data, "its directory is damaged")


def deflated_end() -> int:
    """Where the bytes of the first picture end."""
    return 30 + len(PICTURES[0].path) + len(deflated(PICTURES[0].content))


class Arriving(UnpackingCase):
    ENTRIES = tuple(Entry(b"%d/%d" % (n % 3, n), os.urandom(20_000), 8 * (n % 2)) for n in range(200))
    LARGE = Entry(b"large", os.urandom(9_000_000))

    def test_in_the_order_of_its_bytes(self) -> None:
        data = zip_of(*self.ENTRIES, self.LARGE, link(b"link", b"large"), *PICTURES)
        expected = self.unpack("zip", data)
        self.assertEqual(len(expected), 204)
        for told, wants in ((True, True), (True, False), (False, True)):
            source = Trickle(self.write(data), told, wants)
            self.assertEqual(self.unpack("zip", data, source), expected)
            if told and wants:
                self.assertEqual(source.asked, sorted(source.asked))
                # Nothing is asked for as a whole.
                self.assertGreater(len(source.asked), 6)

    def test_the_rest_does_not_come(self) -> None:
        data = zip_of(*self.ENTRIES, self.LARGE)
        for until in (2_000_000, 7_000_000):
            source = Trickle(self.write(data), until=until)
            with self.assertRaises(Interrupted):
                self.unpack("zip", data, source)
            self.assertEqual(self.unpack("zip", zip_of(*PICTURES)), UNPACKED)

    def test_it_is_shorter_than_was_said(self) -> None:
        source = Trickle(self.write(zip_of(*PICTURES)))
        with mock.patch.object(Trickle, "wait", lambda self, end: min(end, 20)):
            self.assert_unusable("zip", b"", "it ends too early", source)

    def test_a_fault_ends_it_before_the_rest_is_there(self) -> None:
        bad = Entry(b"bad", b"x", checksum=1)
        source = Trickle(self.write(zip_of(bad, self.LARGE, *self.ENTRIES)))
        self.assert_unusable("zip", b"", "bad: its checksum is wrong", source)
        # One that was wrong from its first block on does not keep others from being unpacked.
        late = self.LARGE._replace(packed=b"\xff" * 9_000_000, method=8)
        self.assert_unusable("zip", zip_of(*self.ENTRIES, late, *PICTURES), "large: ")
        self.assertEqual(self.unpack("zip", zip_of(*PICTURES)), UNPACKED)

    def test_it_changes_after_the_look_into_it(self) -> None:
        """Another archive is in its place: where it would write elsewhere, it does not."""
        self.addCleanup(lambda: self.assertFalse(os.path.exists(f"{self.folder}/evil")))
        for path in (b"../evil", self.folder.encode() + b"/evil"):
            good = zip_of(Entry(b"x" * len(path), b"x"))
            bad = zip_of(Entry(path, b"x"))
            with mock.patch("gpubox_data.entries.check_room", lambda *_, other=bad: self.write(other)):
                self.assert_unusable("zip", good, "leads out of the folder")

    def test_links_in_the_staging_folder(self) -> None:
        os.mkdir(f"{self.folder}/elsewhere")

        def plant(*_: Any) -> None:
            os.symlink(f"{self.folder}/elsewhere", f"{self.staging}/set")

        with mock.patch.object(os, "mkdir", side_effect=_then(os.mkdir, plant)):
            self.assert_unusable("zip", zip_of(*PICTURES), "set/")
        self.assertEqual(found_below(f"{self.folder}/elsewhere"), {})


def _then(first: Any, second: Any) -> Any:
    def both(path: Any, *arguments: Any, **named: Any) -> None:
        first(path, *arguments, **named)
        second()

    return both


if __name__ == "__main__":
    unittest.main()
