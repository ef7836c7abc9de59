"""What is unpacked of a tar, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import subprocess
import tarfile
import unittest
from typing import Any
from unittest import mock

from archives import INPUTS, Trickle, UnpackingCase, member, tar_header, tar_of
from gpubox_data import archive, unpack_tar
from gpubox_data.source import Interrupted

PICTURES = [member(b"set/train/1.jpg", b"a cat" * 200), member(b"set/valid/2.jpg", b"a dog")]
UNPACKED = {"set/train/1.jpg": b"a cat" * 200, "set/valid/2.jpg": b"a dog"}
GNU = b"ustar  \0"


def pax(*records: bytes, form: bytes = b"x") -> bytes:
    """Records of `key=value`, with their lengths."""
    made = b""
    for record in records:
        length = len(record) + 3
        while len(b"%d %s\n" % (length, record)) != length:
            length += 1
        made += b"%d %s\n" % (length, record)
    return member(b"././@PaxHeader", made, form)


def link(path: bytes, target: bytes) -> bytes:
    return tar_header(path, b"2", target=target)


def hard_link(path: bytes, target: bytes) -> bytes:
    return tar_header(path, b"1", target=target)


class Unpacking(UnpackingCase):
    def test_files_folders_links_modes_and_times(self) -> None:
        found = self.unpack(
            "tar",
            tar_of(
                tar_header(b"./", b"5"),
                link(b"./set/train/link.jpg", b"../valid/2.jpg"),
                *PICTURES,
                tar_header(b"set/empty", b"5", mode=0),
                tar_header(b"set/also empty/", b"\0"),
                member(b"set/run.sh", b"#!/bin/sh", mode=0o4711),
                member(b"set/contiguous", b"c", b"7"),
                member(b"set/old", b"o", b"\0", rest=b""),
                hard_link(b"set/same.jpg", b"./set/valid/2.jpg"),
                hard_link(b"set/again.jpg", b"set/same.jpg"),
                hard_link(b"set/again.jpg", b"set/again.jpg"),
                tar_header(b"a label", b"V", rest=GNU),
            ),
        )
        self.assertEqual(
            found,
            {
                **UNPACKED,
                "set/run.sh": b"#!/bin/sh",
                "set/contiguous": b"c",
                "set/old": b"o",
                "set/same.jpg": b"a dog",
                "set/again.jpg": b"a dog",
                "set/train/link.jpg": "-> ../valid/2.jpg",
            },
        )
        for folder in ("empty", "also empty"):
            self.assertEqual(os.listdir(f"{self.staging}/set/{folder}"), [])
        run = os.stat(f"{self.staging}/set/run.sh")
        umask = os.umask(0o022)
        os.umask(umask)
        self.assertEqual((stat.S_IMODE(run.st_mode), run.st_uid), (0o755 & ~umask, os.getuid()))
        self.assertEqual(run.st_mtime, 0o15023420600)
        self.assertEqual(os.stat(f"{self.staging}/set/again.jpg").st_nlink, 3)
        self.assertEqual((self.sizes, self.progress.bytes), ([], 1000 + 5 + 9 + 1 + 1))

    def test_compressed(self) -> None:
        data = tar_of(*PICTURES, *(member(b"%d" % n, os.urandom(5000)) for n in range(300)))
        expected = self.unpack("tar", data)
        self.assertEqual(len(expected), 302)
        half = len(data) // 2
        for pack in (gzip.compress, bz2.compress, lzma.compress, zstd):
            self.assertEqual(self.unpack("tar", pack(data)), expected)
            # In two parts, as several cores write it.
            self.assertEqual(self.unpack("tar", pack(data[:half]) + pack(data[half:])), expected)
            if pack is not zstd:
                self.assertEqual(self.unpack("tar", pack(data[:half]) + pack(data[half:]) + bytes(512)), expected)
        # What pzstd writes begins with a frame that says how large the next one is.
        self.assertEqual(self.unpack("tar", b"\x50\x2a\x4d\x18\x04\0\0\0size" + zstd(data)), expected)
        self.assertEqual(self.unpack("tar", gzip.compress(data) + b"no part of it"), expected)

    def test_what_others_write(self) -> None:
        long = "a long name of a folder/" * 12 + "Zoë"
        for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            made = io.BytesIO()
            with tarfile.open(fileobj=made, mode="w", format=form) as tar:
                names = ["x" * 120 + "/" + "y" * 90, "ü" * 30] + ([long] if form != tarfile.USTAR_FORMAT else [])
                for name in names:
                    info = tarfile.TarInfo(name)
                    info.size = 700
                    info.mtime = 1.5 if form == tarfile.PAX_FORMAT else 1
                    tar.addfile(info, io.BytesIO(b"c" * 700))
                info = tarfile.TarInfo("link")
                info.type, info.linkname = tarfile.SYMTYPE, names[-1]
                tar.addfile(info)
            found = self.unpack("tar", made.getvalue())
            self.assertEqual(found, {**dict.fromkeys(names, b"c" * 700), "link": f"-> {names[-1]}"})
            self.assertEqual(os.stat(f"{self.staging}/{names[0]}").st_mtime, 1.5 if form == tarfile.PAX_FORMAT else 1)

    def test_from_macos(self) -> None:
        with open(f"{INPUTS}/birds-mac.tgz", "rb") as file:
            found = self.unpack("tar", file.read())
        self.assertTrue({"birds/train/1.jpg", "birds/train/2.jpg", "birds/._train"} <= set(found))
        self.assertEqual(archive.tree_of(self.staging, "tar"), (f"{self.staging}/birds", 5))

    def test_extensions(self) -> None:
        data = tar_of(
            pax(b"path=everywhere", b"comment=c", form=b"g"),
            member(b"a", b"1"),
            pax(b"path=here", b"size=2", b"mtime=never"),
            tar_header(b"b", size=0) + b"22" + bytes(510),
            member(b"././@LongLink", b"long\0", b"L", rest=GNU),
            pax(b"path=pax"),
            member(b"c", b"333", mode=0o755),
            pax(b"linkpath=here", form=b"X"),
            link(b"d", b"elsewhere"),
            member(b"././@LongLink", b"here\0", b"K", rest=GNU),
            member(b"././@LongLink", b"link\0", b"L", rest=GNU),
            link(b"e", b"elsewhere"),
        )
        self.assertEqual(self.unpack("tar", data), {"everywhere": "-> here", "here": b"22", "pax": b"333", "link": "-> here"})

    def test_numbers_in_binary_and_signed_checksums(self) -> None:
        binary = bytearray(member(b"a", b"1"))
        binary[124:136] = b"\x80" + (1).to_bytes(11, "big")
        signed = bytearray(member("ü".encode("latin-1"), b"2"))
        for header, first in ((binary, 0), (signed, -256)):
            header[148:156] = b" " * 8
            header[148:156] = b"%06o\0 " % (sum(header[:512]) + first)
        found = self.unpack("tar", tar_of(bytes(binary)))
        self.assertEqual(found, {"a": b"1"})
        self.assertEqual(list(self.unpack("tar", tar_of(bytes(signed))).values()), [b"2"])

    def test_of_two_with_one_path_the_last_counts(self) -> None:
        found = self.unpack(
            "tar",
            tar_of(
                member(b"a", b"first"),
                hard_link(b"kept", b"a"),
                member(b"./a", b"last"),
                member(b"b", b"x"),
                link(b"b", b"a"),
                link(b"c", b"b"),
                member(b"c", b"file"),
                member(b"d", b"x"),
                hard_link(b"d", b"a"),
                link(b"e", b"x"),
                hard_link(b"e", b"a"),
            ),
        )
        self.assertEqual(found, {"a": b"last", "kept": b"first", "b": "-> a", "c": b"file", "d": b"last", "e": b"last"})

    def test_without_an_end(self) -> None:
        # Some programs write none.
        self.assertEqual(self.unpack("tar", b"".join(PICTURES)), UNPACKED)
        self.assertEqual(self.unpack("tar", tar_of(*PICTURES) + b"what follows"), UNPACKED)

    def test_a_large_file(self) -> None:
        content = os.urandom(5_000_000)
        self.assertEqual(self.unpack("tar", gzip.compress(tar_of(member(b"a", content), *PICTURES), 1)), {"a": content, **UNPACKED})

    def test_a_backslash_is_part_of_a_name(self) -> None:
        self.assertEqual(self.unpack("tar", tar_of(member(b"a\\056\\b", b"1"))), {"a\\056\\b": b"1"})


class Sparse(UnpackingCase):
    HOLES = b"\0" * 5000 + b"a" * 512 + b"\0" * 3000 + b"b" * 100 + b"\0" * 77

    def test_by_tar_itself(self) -> None:
        if shutil.which("tar") is None or b"GNU tar" not in subprocess.run(["tar", "--version"], capture_output=True, check=True).stdout:
            self.skipTest("no GNU tar")
        content = bytearray(3_000_000)
        with open(f"{self.folder}/holes", "wb") as file:
            for n in range(60):
                content[n * 40_000 : n * 40_000 + 5] = b"%05d" % n
                file.seek(n * 40_000)
                file.write(b"%05d" % n)
            file.truncate(3_000_000)
        for form in (
            ["--format=gnu"],
            ["--format=pax", "--sparse-version=0.0"],
            ["--format=pax", "--sparse-version=0.1"],
            ["--format=pax"],
        ):
            data = subprocess.run(["tar", "-cSC", self.folder, *form, "holes"], capture_output=True, check=True).stdout
            self.assertLess(len(data), 1_000_000)
            self.assertEqual(self.unpack("tar", data), {"holes": bytes(content)})
            self.assertLess(os.stat(f"{self.staging}/holes").st_blocks * 512, 1_500_000)

    def test_parts_that_are_none(self) -> None:
        for numbers in (b"0,5,3,5", b"0,5", b"0,5,600,5", b"0,5,x,5", b"0,10,0"):
            data = tar_of(pax(b"GNU.sparse.size=500", b"GNU.sparse.map=" + numbers), member(b"a", b"0123456789"))
            if numbers == b"0,10,0":
                self.assertEqual(self.unpack("tar", data), {"a": b"0123456789" + bytes(490)})
            else:
                self.assert_unusable("tar", data, "is not a tar archive that can be read")
        data = tar_of(pax(b"GNU.sparse.major=1", b"GNU.sparse.minor=0", b"GNU.sparse.realsize=10"), member(b"a", b"9" * 5000))
        self.assert_unusable("tar", data, "too many parts")
        data = tar_of(pax(b"GNU.sparse.major=1", b"GNU.sparse.minor=0", b"GNU.sparse.realsize=10"), member(b"a", b"100\n" + bytes(508)))
        self.assert_unusable("tar", data, "is not a tar archive that can be read")


class Refused(UnpackingCase):
    def test_paths(self) -> None:
        for path in (b"../evil", b"/evil", b"a/../../evil", b"a/..", b"..", b"."):
            for form in (b"0", b"2", b"1"):
                self.assert_unusable(
                    "tar",
                    tar_of(PICTURES[0], tar_header(path, form, target=b"set")),
                    f"is refused: {path.decode()} leads out of the folder",
                )
        self.assert_unusable("tar", tar_of(pax(b"path=../evil"), member(b"a")), "../evil leads out of the folder")
        self.assert_unusable("tar", tar_of(member(b"x", b"../evil\0", b"L"), member(b"a")), "../evil leads out of the folder")

    def test_control_characters(self) -> None:
        said = self.assert_unusable(
            "tar", tar_of(member(b"a\nb")), "is refused: 'a\\nb' has control characters in its name, or leads where one has"
        )
        self.assertTrue(str(said).isprintable())
        self.assert_unusable("tar", tar_of(pax(b"path=a\0b"), member(b"a")), "has control characters")
        for form in (b"1", b"2"):
            self.assert_unusable("tar", tar_of(tar_header(b"a", form, target=b"\x1b]52")), "has control characters")

    def test_links(self) -> None:
        for path, target in ((b"out", b"/etc"), (b"deep/out", b"../../etc"), (b"a/b/out", b"in/../../../.."), (b"out", b"..")):
            self.assert_unusable(
                "tar", tar_of(PICTURES[0], link(path, target)), f"is a link that leads out of the folder, to {target.decode()}"
            )
        for target in (b"../../../../etc/passwd", b"/etc/passwd"):
            self.assert_unusable(
                "tar", tar_of(hard_link(b"hard", target)), f"hard is a link that leads out of the folder, to {target.decode()}"
            )

    def test_names_of_links(self) -> None:
        data = tar_of(link(b"a/b/c/s", b"../../.."), hard_link(b"q", b"./a//b/c/s"), member(b"q/evil", b"x"))
        self.assert_unusable("tar", data, "is refused: q is another name of the link ./a//b/c/s, which would lead elsewhere from there")

    def test_what_is_behind_a_link(self) -> None:
        for members in (
            [link(b"here", b"."), member(b"here/x")],
            [link(b"here", b"."), member(b"here"), member(b"./here//x/y")],
            [link(b"here", b"."), tar_header(b"here/x", b"5")],
            [link(b"here", b"."), link(b"here/x", b"y")],
            [link(b"here", b"."), member(b"a"), hard_link(b"here/x", b"a")],
            [link(b"here", b"."), member(b"a"), hard_link(b"b", b"here/a")],
        ):
            self.assert_unusable("tar", tar_of(*members), "lies behind the link here")
        for before in (member(b"here/x"), tar_header(b"here", b"5")):
            self.assert_unusable("tar", tar_of(before, link(b"here", b".")), "cannot be unpacked\nhere: Is a directory")

    def test_devices(self) -> None:
        for form in (b"3", b"4", b"6", b"D", b"M", b"Z"):
            self.assert_unusable("tar", tar_of(tar_header(b"null", form)), "is refused: null is neither a file nor a folder nor a link")

    def test_a_hard_link_that_leads_nowhere(self) -> None:
        for target in (b"c", b"c/d", b"a/d"):
            self.assert_unusable("tar", tar_of(member(b"a"), hard_link(b"b", target)), "cannot be unpacked\nb: No")

    def test_nothing_in_it(self) -> None:
        self.assert_unusable("tar", tar_of(), "holds no files")
        self.assert_unusable("tar", tar_of(tar_header(b"a", b"5")), "holds no files")
        self.assert_unusable("tar", b"", "holds no files")

    def test_a_path_that_is_a_file_and_a_folder(self) -> None:
        for members in ([member(b"a"), member(b"a/b")], [member(b"a/b"), member(b"a")], [member(b"a"), tar_header(b"a", b"5")]):
            self.assert_unusable("tar", tar_of(*members), "cannot be unpacked\na")


class Room(UnpackingCase):
    def test_more_than_is_free(self) -> None:
        with mock.patch.object(unpack_tar, "free_bytes", lambda path: 3_100_000), self.assertRaises(archive.NoRoom) as caught:
            self.unpack("tar", gzip.compress(tar_of(member(b"big", b"x" * 5_000_000))))
        lines = caught.exception.lines("/data", "http://host/set.tar.gz")
        self.assertEqual(lines[0], "unpacking 1 files needs 5.0 MB in /data, and 3.1 MB are free (http://host/set.tar.gz)")
        self.assertEqual(os.listdir(self.staging), [])

    def test_a_bomb(self) -> None:
        bomb = gzip.compress(b"".join(member(b"%d" % n, bytes(1_000_000)) for n in range(50)))
        with mock.patch.object(unpack_tar, "free_bytes", lambda path: 9_000_000), self.assertRaises(archive.NoRoom) as caught:
            self.unpack("tar", bomb)
        self.assertRegex(caught.exception.lines("/data", "x")[0], "^unpacking 9 files needs 9.0 MB in /data, and 9.0 MB are free")
        self.assertIn("there may be more in it", caught.exception.lines("/data", "x")[1])
        with mock.patch.object(unpack_tar, "free_inodes", lambda path: 10), self.assertRaises(archive.NoRoom) as caught:
            self.unpack("tar", bomb)
        self.assertEqual(
            caught.exception.lines("/data", "x"), ["unpacking x makes 11 or more files and folders, and /data has room for 10"]
        )

    def test_others_fill_the_disk(self) -> None:
        free = iter([10**9, 10**9, 10**6])
        with (
            mock.patch.object(unpack_tar, "_LOOK", 10_000),
            mock.patch.object(unpack_tar, "free_bytes", lambda path: next(free)),
            self.assertRaises(archive.NoRoom),
        ):
            self.unpack("tar", tar_of(*(member(b"%d" % n, bytes(6000)) for n in range(50))))

    def test_a_full_disk(self) -> None:
        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        with mock.patch.object(unpack_tar, "write_all", full), self.assertRaises(archive.NoRoom) as caught:
            self.unpack("tar", tar_of(*PICTURES))
        self.assertRegex(
            caught.exception.lines("/data", "x")[0],
            "^writing set/train/1.jpg ended with 'No space left on device' in /data, and .* are free",
        )

        def broken(*_: Any) -> None:
            raise OSError(5, "Input/output error")

        with mock.patch.object(unpack_tar, "write_all", broken), self.assertRaises(OSError) as failed:
            self.unpack("tar", tar_of(*PICTURES))
        self.assertEqual((failed.exception.filename, failed.exception.errno), (b"set/train/1.jpg", 5))


class Damaged(UnpackingCase):
    WHY = "is not a tar archive that can be read"

    def test_truncated(self) -> None:
        data = tar_of(member(b"big", os.urandom(100_000)), *PICTURES)
        for pack in (gzip.compress, bz2.compress, lzma.compress, zstd):
            packed = pack(data)
            for end in (20, len(packed) // 2, len(packed) - 3):
                self.assert_unusable("tar", packed[:end], f"{self.WHY}\n")
        for end in (100, 511, 600, 100_000, len(data) - 1024 - 1100, len(data) - 1024 - 500):
            self.assert_unusable("tar", data[:end], f"{self.WHY}\n")

    def test_other_files(self) -> None:
        for data in (b"<html>" * 1000, b"x", os.urandom(5000), gzip.compress(b"1,2\n" * 1000), b"\x1f\x8b\x08" + os.urandom(3000)):
            self.assert_unusable("tar", data, self.WHY)

    def test_checksums(self) -> None:
        data = bytearray(tar_of(*PICTURES))
        data[len(PICTURES[0]) + 5] ^= 1
        said = self.assert_unusable("tar", bytes(data), self.WHY)
        self.assertEqual(said.details, ["after set/train/1.jpg: a header in it is damaged"])
        # Behind the end of the tar is the checksum of what is compressed.
        packed = bytearray(gzip.compress(tar_of(*PICTURES)))
        packed[-6] ^= 1
        self.assert_unusable("tar", bytes(packed), self.WHY)

    def test_headers(self) -> None:
        def changed(at: int, field: bytes) -> bytes:
            header = bytearray(tar_header(b"a", size=3))
            header[at : at + len(field)] = field
            header[148:156] = b" " * 8
            header[148:156] = b"%06o\0 " % sum(header)
            return bytes(header) + b"123" + bytes(509)

        for data in (
            changed(124, b"x" * 11),
            changed(124, b"-0000000001"),
            changed(124, b"0_1\0"),
            changed(124, b"\xff" * 12),
            changed(124, b"\x80" + b"\xff" * 11),
            changed(100, b"seven\0"),
            pax(b"path=x")[:512] + b"garbage" + bytes(505) + PICTURES[0],
            pax(b"path=x")[:512] + b"10 garbage\n" + bytes(501) + PICTURES[0],
            pax(b"path=x")[:512] + b"0 x=y\n" + bytes(506) + PICTURES[0],
            pax(b"size=-5") + PICTURES[0],
        ):
            with self.assertRaises((archive.Unusable, archive.NoRoom)):
                self.unpack("tar", tar_of(data))

    def test_headers_without_end(self) -> None:
        for form in (b"L", b"x"):
            self.assert_unusable("tar", tar_of(member(b"x", bytes(2_000_000), form), *PICTURES), "a header in it is too long")


class Arriving(UnpackingCase):
    DATA = gzip.compress(tar_of(*(member(b"%d" % n, os.urandom(20_000)) for n in range(100))), 1)

    def test_as_it_comes(self) -> None:
        expected = self.unpack("tar", self.DATA)
        for told in (True, False):
            source = Trickle(self.write(self.DATA), told)
            self.assertEqual(self.unpack("tar", self.DATA, source), expected)
            self.assertGreater(len(source.asked), 6)
        self.assertEqual(self.progress.read, len(self.DATA))

    def test_the_rest_does_not_come(self) -> None:
        with self.assertRaises(Interrupted):
            self.unpack("tar", self.DATA, Trickle(self.write(self.DATA), until=1_000_000))

    def test_a_fault_in_what_is_written_ends_it(self) -> None:
        data = tar_of(member(b"a"), member(b"a/b"), *(member(b"%d" % n, bytes(200_000)) for n in range(50)))
        source = Trickle(self.write(data))
        self.assert_unusable("tar", b"", "a/b", source)
        self.assertLess(source.asked[-1], len(data))


class HoldsTar(UnpackingCase):
    def test_compressed_or_not(self) -> None:
        data = tar_of(*PICTURES)
        for pack in (bytes, gzip.compress, bz2.compress, lzma.compress, zstd):
            self.assertTrue(archive.holds_tar(self.write(pack(data))))
            self.assertFalse(archive.holds_tar(self.write(pack(b"1,2\n" * 500))))
            self.assertFalse(archive.holds_tar(self.write(pack(b""))))

    def test_formats(self) -> None:
        data = tar_of(*PICTURES)
        formats: list[Any] = [
            (data, "tar"),
            (gzip.compress(data), "gzip"),
            (bz2.compress(data), "bzip2"),
            (bz2.compress(b""), "bzip2"),
            (lzma.compress(data), "xz"),
            (zstd(data), "zstd"),
            (b"PK\3\4", "zip"),
            (b"PK\5\6", "zip"),
            (bytes.fromhex("377abcaf271c0004"), "7z"),
            (bytes.fromhex("526172211a0700cf"), "rar"),
            (b"BZh is how a text may begin", ""),
            (b"", ""),
        ]
        for content, name in formats:
            self.assertEqual(archive.format_of(self.write(content)), name)


def zstd(data: bytes) -> bytes:
    if shutil.which("zstd") is None:
        raise unittest.SkipTest("no zstd")
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


if __name__ == "__main__":
    unittest.main()
