"""Archives as bytes, well-formed or crafted, and sources that bring them bit by bit."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import tempfile
import unittest
import zlib
from typing import Any, NamedTuple, Union

from gpubox_data import archive
from gpubox_data.source import Interrupted, Source

INPUTS = os.path.join(os.path.dirname(__file__), "..", "host-scripts", "inputs")


class Entry(NamedTuple):
    """One of a zip. packed: what is stored, where it is not made from the content. What is None is made to fit."""

    path: bytes
    content: bytes = b""
    method: int = 0
    mode: int = stat.S_IFREG | 0o644
    system: int = 3
    flags: int = 0
    extra: bytes = b""
    packed: bytes | None = None
    size: int | None = None
    packed_size: int | None = None
    checksum: int | None = None
    offset: int | None = None
    local_path: bytes | None = None
    local_extra: bytes = b""
    zip64: bool = False


def link(path: bytes, target: bytes) -> Entry:
    return Entry(path, target, mode=stat.S_IFLNK | 0o777)


def deflated(data: bytes) -> bytes:
    made = zlib.compressobj(6, zlib.DEFLATED, -15)
    return made.compress(data) + made.flush()


def zip_of(
    *entries: Entry, before: bytes = b"", comment: bytes = b"", zip64: bool = False, count: int | None = None, reverse: bool = False
) -> bytes:
    """before: bytes of something else. reverse: the directory is in another order than the bytes."""
    bodies = []
    records = []
    offset = 0
    for entry in entries:
        packed = entry.packed
        if packed is None:
            packed = deflated(entry.content) if entry.method == 8 else entry.content
        size = len(entry.content) if entry.size is None else entry.size
        packed_size = len(packed) if entry.packed_size is None else entry.packed_size
        checksum = zlib.crc32(entry.content) if entry.checksum is None else entry.checksum
        local = entry.path if entry.local_path is None else entry.local_path
        head = struct.pack("<HHHHHL", 20, entry.flags, entry.method, 0, 0x5A21, checksum)
        body = b"PK\3\4" + head + struct.pack("<LLHH", packed_size & 0xFFFFFFFF, size & 0xFFFFFFFF, len(local), len(entry.local_extra))
        bodies.append(body + local + entry.local_extra + packed)
        at = offset if entry.offset is None else entry.offset
        extra = entry.extra
        if entry.zip64:
            extra += struct.pack("<HHQQQ", 1, 24, size, packed_size, at)
            size = packed_size = at = 0xFFFFFFFF
        sizes = struct.pack("<LLHHHHHLL", packed_size, size, len(entry.path), len(extra), 0, 0, 0, entry.mode << 16, at)
        records.append(b"PK\1\2" + bytes([20, entry.system]) + head + sizes + entry.path + extra)
        offset += len(bodies[-1])
    directory = b"".join(reversed(records) if reverse else records)
    number = len(entries) if count is None else count
    end = b""
    if zip64:
        end += b"PK\6\6" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, number, number, len(directory), offset)
        end += b"PK\6\7" + struct.pack("<LQL", 0, offset + len(directory), 1)
        end += b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, len(comment))
    else:
        end += b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, number & 0xFFFF, number & 0xFFFF, len(directory), offset, len(comment))
    return before + b"".join(bodies) + directory + end + comment


def tar_header(
    path: bytes, form: bytes = b"0", *, size: int = 0, target: bytes = b"", mode: int = 0o644, rest: bytes = b"ustar\x0000"
) -> bytes:
    """rest: from the magic on."""
    head = path.ljust(100, b"\0") + b"%07o\0" % mode + b"0030071\0" * 2 + b"%011o\0" % size + b"15023420600\0"
    made = head + b" " * 8 + form + target.ljust(100, b"\0") + rest.ljust(255, b"\0")
    return made[:148] + b"%06o\0 " % sum(made) + made[156:]


def member(path: bytes, content: bytes = b"", form: bytes = b"0", **more: Any) -> bytes:
    return tar_header(path, form, size=len(content), **more) + content + bytes(-len(content) % 512)


def tar_of(*members: bytes) -> bytes:
    return b"".join(members) + bytes(1024)


class Trickle(Source):
    """
    A file of which nothing is there but what was waited for.

    told: whether its size is known from the beginning. wants: whether parts of it can be had before others.

    until: where it breaks off, for what waits.
    """

    def __init__(self, path: str, told: bool = True, wants: bool = True, until: int | None = None) -> None:
        with open(path, "rb") as file:
            self._all = file.read()
        self._there = 0
        self._wants = wants
        self._until = until
        self.asked: list[int] = []
        os.truncate(path, 0)
        super().__init__(path)
        self.size = len(self._all) if told else None

    def _bring(self, start: int, end: int) -> None:
        with open(self.path, "r+b") as file:
            file.seek(start)
            file.write(self._all[start:end])

    def wait(self, end: int) -> int:
        end = min(end, len(self._all))
        self.asked.append(end)
        if self._until is not None and end > self._until:
            raise Interrupted
        if end > self._there:
            self._bring(self._there, end)
            self._there = end
        return end

    def wait_for_all(self) -> int:
        return self.wait(len(self._all))

    def want(self, start: int, end: int) -> bool:
        if self._wants:
            self._bring(start, end)
        return self._wants


Found = dict[str, Union[bytes, str]]


def found_below(folder: str) -> Found:
    """The files, by their path, and where links lead as text."""
    found: Found = {}
    for above, folders, files in os.walk(folder):
        for name in files + [each for each in folders if os.path.islink(os.path.join(above, each))]:
            path = os.path.join(above, name)
            if os.path.islink(path):
                found[os.path.relpath(path, folder)] = "-> " + os.readlink(path)
            else:
                with open(path, "rb") as file:
                    found[os.path.relpath(path, folder)] = file.read()
    return found


class UnpackingCase(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.staging = f"{self.folder}/staging"
        self.file = f"{self.folder}/archive"
        self.progress = archive.Progress()
        self.sizes: list[Any] = []
        self.workers = archive.Workers(2)
        self.addCleanup(self.workers.close)

    def write(self, data: bytes) -> str:
        with open(self.file, "wb") as file:
            file.write(data)
        return self.file

    def unpack(self, kind: str, data: bytes, source: Source | None = None) -> Found:
        """What is in the folder then."""
        if source is None:
            source = Source(self.write(data))
        shutil.rmtree(self.staging, ignore_errors=True)
        self.progress = archive.Progress()
        files = archive.unpack(kind, source, self.staging, self.workers, self.progress, say_size=lambda *size: self.sizes.append(size))
        found = found_below(self.staging)
        self.assertEqual(files, len(found))
        self.assertEqual(self.progress.files, files)
        self.assertEqual(os.listdir(self.folder).count("evil"), 0)
        return found

    def assert_unusable(self, kind: str, data: bytes, why: str, source: Source | None = None) -> archive.Unusable:
        """why: a part of what is said, the details included."""
        with self.assertRaises(archive.Unusable) as caught:
            self.unpack(kind, data, source)
        said = "\n".join([str(caught.exception), *caught.exception.details])
        self.assertIn(why, said)
        return caught.exception
