"""How archives are compressed: what the standard library does not know, and what all of them have in common."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import shutil
import subprocess
import tempfile
import tracemalloc
import unittest
import zlib
from collections.abc import Iterator
from unittest import mock

from archives import INPUTS, Entry, UnpackingCase, zip_of
from gpubox_data import decoders, zstandard
from gpubox_data.decoders import Undecodable
from gpubox_data.deflate64 import inflate64
from gpubox_data.entries import Unusable


def text(lines: int) -> bytes:
    """Without repetitions of 258 bytes, so that Deflate packs it as Deflate64 does."""
    numbers = random.Random(1)
    return b"".join(b"%d,%s\n" % (numbers.randrange(10**6), numbers.choice((b"cat", b"dog", b"a bird"))) for _ in range(lines))


def parts(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def raw(data: bytes, level: int = 6, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    made = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    return made.compress(data) + made.flush()


class Bits:
    """A block of the fixed codes, as they are written."""

    def __init__(self) -> None:
        self.bits = "1" + "10"

    def plain(self, value: int, count: int) -> None:
        self.bits += f"{value:0{count}b}"[::-1] if count else ""

    def code(self, value: int, count: int) -> None:
        self.bits += f"{value:0{count}b}"

    def literal(self, byte: int) -> None:
        self.code(0x30 + byte, 8) if byte < 144 else self.code(0x190 + byte - 144, 9)

    def copy(self, symbol: int, more: int, distance: int, distance_more: int) -> None:
        """A length and a distance: the codes, and what is added to the least that each stands for."""
        self.code(symbol - 256, 7) if symbol < 280 else self.code(0xC0 + symbol - 280, 8)
        self.plain(more, 16 if symbol == 285 else 0)
        self.code(distance, 5)
        self.plain(distance_more, max(0, distance // 2 - 1))

    def bytes(self) -> bytes:
        bits = self.bits + "0000000"
        bits += "0" * (-len(bits) % 8)
        return int(bits[::-1], 2).to_bytes(len(bits) // 8, "little")


class Deflate64(unittest.TestCase):
    def test_what_deflate_packs(self) -> None:
        data = text(20_000)
        for packed in (raw(data), raw(data, 1), raw(data, 0), raw(data, 9, zlib.Z_HUFFMAN_ONLY), raw(data, 6, zlib.Z_FIXED)):
            for size in (len(packed), 10_000, 7):
                self.assertEqual(b"".join(inflate64(parts(packed, size))), data)
        self.assertEqual(b"".join(inflate64([raw(b"")])), b"")

    def test_what_windows_packs(self) -> None:
        with open(f"{INPUTS}/deflate64.zip", "rb") as file:
            archive = file.read()
        packed = archive[30 + len("labels.csv") :]
        made = b"".join(inflate64([packed]))
        self.assertEqual(len(made.splitlines()), 900)

    def test_its_own_codes(self) -> None:
        bits = Bits()
        expected = bytearray()
        numbers = random.Random(2)
        for _ in range(1000):
            expected.append(numbers.randrange(256))
            bits.literal(expected[-1])
        # 65,538 bytes from 1,000 back, which is distance code 19 (769 to 1,024), until a piece is full.
        for _ in range(5):
            bits.copy(285, 65_535, 19, 1000 - 769)
            expected += (expected[-1000:] * 66)[:65_538]
        # 258 and 3 bytes, from 40,000 (code 30, from 32,769 on) and 65,536 back (code 31, from 49,153 on).
        for length, distance, code, least in ((258, 40_000, 30, 32_769), (3, 65_536, 31, 49_153)):
            bits.copy(285, length - 3, code, distance - least)
            start = len(expected) - distance
            expected += expected[start : start + length]
        # From itself.
        bits.copy(257, 0, 0, 0)
        expected += expected[-1:] * 3
        self.assertEqual(b"".join(inflate64([bits.bytes()])), expected)
        if shutil.which("unzip"):
            with tempfile.NamedTemporaryFile(suffix=".zip") as file:
                file.write(zip_of(Entry(b"a", bytes(expected), 9, packed=bits.bytes())))
                file.flush()
                unzipped = subprocess.run(["unzip", "-p", file.name], capture_output=True, check=True).stdout
            self.assertEqual(unzipped, expected)

    def test_damaged(self) -> None:
        good = raw(text(2000))
        before = Bits()
        before.literal(1)
        before.copy(257, 0, 1, 0)
        oversubscribed = b"\x05" + b"\xff" * 50
        for bad in (
            b"",
            good[:-50],
            good[:3],
            b"\x07",
            b"\x01\x05\x00\x00\x00",
            before.bytes(),
            oversubscribed,
            b"\x03\xff" + b"\xff" * 100,
        ):
            with self.assertRaises(Undecodable):
                list(inflate64([bad]))
        numbers = random.Random(3)
        for _ in range(300):
            changed = bytearray(good)
            for _ in range(3):
                changed[numbers.randrange(len(changed))] = numbers.randrange(256)
            try:
                b"".join(inflate64([bytes(changed)]))
            except Undecodable:
                pass

    def test_a_bomb_comes_in_pieces(self) -> None:
        bits = Bits()
        bits.literal(0)
        for _ in range(2000):
            bits.copy(285, 65_535, 0, 0)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        size = sum(map(len, inflate64([bits.bytes()])))
        self.assertEqual(size, 1 + 2000 * 65_538)
        self.assertLess(tracemalloc.get_traced_memory()[1], 4_000_000)


class Formats(unittest.TestCase):
    def test_pieces_are_small(self) -> None:
        data = bytes(50_000_000)
        for name, pack in (("gzip", gzip.compress), ("bzip2", bz2.compress), ("xz", lzma.compress)):
            sizes = [len(piece) for piece in decoders.pieces(name, [pack(data)])]
            self.assertEqual(sum(sizes), len(data))
            self.assertLessEqual(max(sizes), decoders.PIECE)

    def test_blocks_of_any_size(self) -> None:
        data = text(3000)
        for name, pack in (("gzip", gzip.compress), ("bzip2", bz2.compress), ("xz", lzma.compress)):
            for size in (1, 5, 1000):
                packed = pack(data) + bytes(8) + pack(b"more") + bytes(8)
                self.assertEqual(b"".join(decoders.pieces(name, parts(packed, size))), data + b"more")

    def test_xz_that_takes_too_much_memory(self) -> None:
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 20}]
        packed = lzma.compress(b"x", filters=filters)
        with mock.patch.object(decoders, "_MOST_MEMORY", 1000), self.assertRaises(Undecodable) as caught:
            list(decoders.pieces("xz", [packed]))
        self.assertIn("emory", str(caught.exception))

    def test_an_error_of_the_disk_is_none_of_the_archive(self) -> None:
        def blocks() -> Iterator[bytes]:
            yield gzip.compress(os.urandom(5000))[:100]
            raise OSError(5, "Input/output error")

        with self.assertRaises(OSError):
            list(decoders.pieces("gzip", blocks()))

    def test_names_of_methods(self) -> None:
        self.assertEqual([decoders.method_name(n) for n in (9, 98, 77)], ["Deflate64 (method 9)", "PPMd (method 98)", "method 77"])
        self.assertEqual([n for n in range(100) if decoders.is_known(n)], [0, 8, 9, 12, 14, 93, 95])


@unittest.skipIf(shutil.which("zstd") is None, "no zstd")
class Zstandard(UnpackingCase):
    def zstd(self, data: bytes, *options: str) -> bytes:
        return subprocess.run(["zstd", "-qc", *options], input=data, capture_output=True, check=True).stdout

    def test_frames(self) -> None:
        data = text(30_000)
        for options in ([], ["-19"], ["--no-check"], ["-1", "--long=27"]):
            packed = self.zstd(data, *options)
            for size in (len(packed), 1000):
                self.assertEqual(b"".join(decoders.pieces("zstd", parts(packed * 2, size))), data * 2)
        sizes = [len(piece) for piece in decoders.pieces("zstd", [self.zstd(bytes(30_000_000))])]
        self.assertEqual((sum(sizes), max(sizes)), (30_000_000, decoders.PIECE))

    def test_damaged(self) -> None:
        packed = self.zstd(text(3000))
        for bad in (packed[:-10], packed[:100] + b"\xff\xff\xff\xff" + packed[104:], packed[:-4] + b"\0\0\0\0"):
            with self.assertRaises(Undecodable):
                list(decoders.pieces("zstd", [bad]))

    def test_in_a_zip(self) -> None:
        data = text(3000)
        for method in (93, 95):
            packed = self.zstd(data) if method == 93 else lzma.compress(data)
            self.assertEqual(self.unpack("zip", zip_of(Entry(b"a", data, method, packed=packed))), {"a": data})

    def test_where_there_is_no_library(self) -> None:
        zstandard._library.cache_clear()
        self.addCleanup(zstandard._library.cache_clear)
        with mock.patch.object(zstandard, "_LIBRARIES", ("libnowhere.so.1",)), mock.patch.dict("sys.modules", {"compression": None}):
            said = self.assert_unusable("zip", zip_of(Entry(b"a", b"x", 93)), "needs libzstd to be unpacked")
            with self.assertRaises(Unusable):
                list(decoders.pieces("zstd", [b"x"]))
        self.assertEqual(said.details, ["for instance:  sudo apt-get install libzstd1"])


if __name__ == "__main__":
    unittest.main()
