"""The directory of a zip: what is in it, and whether that may be unpacked. No object is kept for an entry: there may be millions."""

from __future__ import annotations

import stat
import struct
import zlib
from array import array
from collections.abc import Iterator
from itertools import chain, islice
from operator import le
from typing import NamedTuple

from . import decoders, entries
from .entries import Unusable
from .source import Source

# The record at the end of a zip, without its comment: disks, entries, bytes of the directory, where it begins, bytes of the comment.
_END = struct.Struct("<4s4xHHLLH")
_END_SIGNATURE = b"PK\5\6"
_LONGEST_END = _END.size + 65535
# Where the record of a zip64 is, and that: entries, bytes of the directory, where it begins.
_LOCATOR = struct.Struct("<4s4xQ4x")
_END64 = struct.Struct("<4sQ20xQQQ")
# A record of the directory: made on, flags, method, checksum, packed, size, lengths of name, extra and comment, attributes, offset.
RECORD = struct.Struct("<4sxB2xHH4xLLLHHH4xLL")
_LENGTHS = struct.Struct("<HHH")
_SIGNATURE = b"PK\1\2"
# Of the header that each entry has before its bytes, without its name.
_HEADER = 30
# Of what a header has after that.
_LONGEST_NAMES = 2 * 65535
_BLOCK = 1 << 18
# Of hashes that are sorted at a time.
_SORTED = 1 << 18

_UNIX, _WINDOWS = 3, 0
_ENCRYPTED, _UTF8 = 1, 0x800


class Entry(NamedTuple):
    """
    kind: "d" a folder, "l" a symbolic link, "e" encrypted, "?" what no data set needs, "-" a file.

    path: as the archive has it, in UTF-8. packed, size: bytes in the archive, and unpacked. offset: of its header, from the front of the
    zip. executable: may be run as a program.
    """

    kind: str
    path: bytes
    method: int
    checksum: int
    packed: int
    size: int
    offset: int
    executable: bool


def unreadable(why: str) -> Unusable:
    return Unusable("is not a zip archive that can be read", why)


# --- a record ---------------------------------------------------------------------------------------------------------


def entry_of(record: bytes) -> Entry:
    """Raises struct.error where the record is damaged."""
    _, system, flags, method, checksum, packed, size, length, extra_length, _, attributes, offset = RECORD.unpack_from(record)
    name = record[46 : 46 + length]
    extra = record[46 + length : 46 + length + extra_length]
    if extra and (size == 0xFFFFFFFF or packed == 0xFFFFFFFF or offset == 0xFFFFFFFF):
        size, packed, offset = _large(extra, size, packed, offset)
    path = _path(name, extra, flags, system)
    mode = attributes >> 16 if system == _UNIX else 0
    return Entry(_kind(mode, flags, path), path, method, checksum, packed, size, offset, bool(mode & 0o111))


def _kind(mode: int, flags: int, path: bytes) -> str:
    if flags & _ENCRYPTED:
        return "e"
    form = mode & 0o170000
    if form in (0, stat.S_IFREG):
        return "d" if path[-1:] == b"/" else "-"
    return "d" if form == stat.S_IFDIR else "l" if form == stat.S_IFLNK else "?"


def _fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, at)
        yield tag, extra[at + 4 : at + 4 + length]
        at += 4 + length


def _large(extra: bytes, *values: int) -> list[int]:
    """The size, the packed size and the offset, where a zip64 has those that do not fit in the record."""
    for tag, field in _fields(extra):
        if tag == 1:
            at = 0
            found: list[int] = []
            for value in values:
                if value == 0xFFFFFFFF:
                    found += struct.unpack_from("<Q", field, at)
                    at += 8
                else:
                    found.append(value)
            return found
    return list(values)


def _path(name: bytes, extra: bytes, flags: int, system: int) -> bytes:
    path = name
    if not flags & _UTF8 and b"up" in extra:
        path = _unicode_path(extra, name) or name
    if not path.isascii() and not _is_utf8(path):
        # What DOS had.
        path = path.decode("cp437").encode()
    # Some programs on Windows write its own separator.
    return path.replace(b"\\", b"/") if system == _WINDOWS else path


def _is_utf8(text: bytes) -> bool:
    """macOS and others write UTF-8 without saying so."""
    try:
        text.decode()
        return True
    except UnicodeDecodeError:
        return False


def _unicode_path(extra: bytes, name: bytes) -> bytes:
    """The name that WinRAR and Info-ZIP write into an extra field ("up"), as long as it is of the name in the record; else nothing."""
    for tag, field in _fields(extra):
        if tag == 0x7075 and field[:1] == b"\1" and field[1:5] == struct.pack("<L", zlib.crc32(name)) and _is_utf8(field[5:]):
            return field[5:]
    return b""


def records_in(data: bytes) -> Iterator[bytes]:
    """Each of the records that are whole."""
    at = 0
    while len(data) - at >= RECORD.size:
        name, extra, comment = _LENGTHS.unpack_from(data, at + 28)
        end = at + RECORD.size + name + extra + comment
        if end > len(data):
            break
        yield data[at:end]
        at = end


# --- the directory ----------------------------------------------------------------------------------------------------


class Directory:
    """
    The directory of a zip that may be unpacked.

    files, size: of what it holds, and their bytes. entries: records, those that another one replaces included. shift: bytes of something
    else before the zip. links: the symbolic links in it.
    """

    def __init__(self, source: Source) -> None:
        """Has the directory brought, and looks at all of it. Raises Unusable, and what the source raises."""
        self._source = source
        self.files = 0
        self.size = 0
        self.entries = 0
        self.links: set[bytes] = set()
        # Two of each entry, in the order of the directory: where its header begins, and where its bytes end at the earliest.
        self._offsets = array("Q")
        self._ends = array("Q")
        # Where in the directory the entries are, and in which order their bytes come, where that is another one.
        self._places = array("Q")
        self._order: array[int] | None = None
        # Those of which a later one has the path.
        self._replaced: set[int] = set()
        self._start, self._end, self.shift, count = self._find()
        self._check()
        if self.entries & 0xFFFF != count & 0xFFFF:
            raise unreadable(f"it holds {self.entries} entries, and says that it holds {count}")
        self._sort()

    # --- where it is ---

    def _find(self) -> tuple[int, int, int, int]:
        """Where the directory begins and ends, what is before the zip, and how many entries there are said to be."""
        source = self._source
        size = source.size
        if size is None or not source.want(max(0, size - _LONGEST_END), size):
            size = source.wait_for_all()
        first = max(0, size - _LONGEST_END)
        tail = source.read(first, size)
        at = len(tail)
        while True:
            at = tail.rfind(_END_SIGNATURE, 0, at)
            if at < 0:
                raise Unusable("is not a zip archive that can be read: its end is missing")
            found = self._end_at(tail, at, first)
            if found is not None:
                start, end, _, count = found
                if not source.want(start, end):
                    source.wait_for_all()
                if count == 0 or source.read(start, start + 4) == _SIGNATURE:
                    return found

    def _end_at(self, tail: bytes, at: int, first: int) -> tuple[int, int, int, int] | None:
        """What the record at this place of the tail says, where it is one."""
        if len(tail) - at < _END.size:
            return None
        _, _, count, length, offset, _ = _END.unpack_from(tail, at)
        end = first + at
        if count == 0xFFFF or length == 0xFFFFFFFF or offset == 0xFFFFFFFF:
            large = self._end64(end)
            if large is not None:
                end, count, length, offset = large
        if length > end or offset > end - length:
            return None
        return end - length, end, end - length - offset, count

    def _end64(self, end: int) -> tuple[int, int, int, int] | None:
        """Of a zip64, whose record is right before this place: where that begins, and what it says."""
        source = self._source
        place = end - _LOCATOR.size
        if place < _END64.size:
            return None
        if not source.want(place - _END64.size, end):
            source.wait_for_all()
        signature, offset = _LOCATOR.unpack(source.read(place, end))
        if signature != b"PK\6\7":
            return None
        # Where it says, or right before the locator, where something is before the zip.
        for start in (offset, place - _END64.size):
            if start + _END64.size > place or not source.want(start, start + _END64.size):
                continue
            signature, _, count, length, directory = _END64.unpack(source.read(start, start + _END64.size))
            if signature == b"PK\6\6":
                return start, count, length, directory
        return None

    # --- what is in it ---

    def _records(self) -> Iterator[bytes]:
        """Each entry as the directory has it, and in its order."""
        at, rest = self._start, b""
        while at < self._end:
            end = min(at + _BLOCK, self._end)
            block = rest + self._source.read(at, end)
            used = 0
            for record in records_in(block):
                if not record.startswith(_SIGNATURE):
                    raise unreadable("its directory is damaged")
                used += len(record)
                yield record
            at, rest = end, block[used:]
        if rest:
            raise unreadable("its directory is damaged")

    def _check(self) -> None:
        hashes = array("q")
        methods: set[int] = set()
        place = 0
        for record in self._records():
            entry = self._checked(record)
            methods.add(entry.method)
            path = entries.checked_path(entry.path, entry.kind == "d")
            if entry.kind == "l":
                self.links.add(path)
            if entry.kind != "d":
                self.files += 1
            self.size += entry.size
            hashes.append(hash(path))
            end = entry.offset + _HEADER + entry.packed
            if end > self._start - self.shift:
                raise unreadable("its directory is damaged")
            self._offsets.append(entry.offset)
            self._ends.append(end)
            self._places.append(place)
            place += len(record)
        self.entries = len(self._places)
        _check_methods(methods)
        self._find_replaced(_twice(hashes))
        if self.links:
            for record in self._records():
                path = entries.plain(entry_of(record).path)
                entries.check_behind(path, path, self.links)

    @staticmethod
    def _checked(record: bytes) -> Entry:
        try:
            entry = entry_of(record)
        except struct.error as error:
            raise unreadable("its directory is damaged") from error
        if entry.kind == "e":
            raise entries.encrypted(entry.path)
        if entry.kind == "?":
            raise entries.special(entry.path)
        return entry

    def _find_replaced(self, hashes: set[int]) -> None:
        """Of entries with one path the last counts. hashes: of the paths that may be such."""
        if not hashes:
            return
        last: dict[bytes, tuple[int, bool]] = {}
        for number, record in enumerate(self._records()):
            entry = entry_of(record)
            path = entries.plain(entry.path)
            if hash(path) in hashes:
                before, was_file = last.get(path, (-1, False))
                if before >= 0:
                    self._replaced.add(before)
                    self.files -= was_file
                last[path] = (number, entry.kind != "d")

    # --- in which order ---

    def _sort(self) -> None:
        """Sees in which order the bytes of the entries come. Raises Unusable where they overlap."""
        offsets, ends = self._offsets, self._ends
        if not all(map(le, offsets, islice(offsets, 1, None))):
            keys = sorted(offset << 32 | number for number, offset in enumerate(offsets))
            self._order = array("L", (key & 0xFFFFFFFF for key in keys))
            self._offsets = offsets = array("Q", (offsets[number] for number in self._order))
            self._ends = ends = array("Q", (ends[number] for number in self._order))
        if not all(map(le, ends, islice(offsets, 1, None))):
            raise Unusable("is refused: entries in it overlap, as those of a zip bomb do")

    def in_order(self) -> Iterator[tuple[bytes, int, int]]:
        """
        What is to be unpacked, in the order of its bytes: the record, where in the file the header begins, and before which place the bytes
        end, which the header alone says exactly.
        """
        shift = self.shift
        nexts = chain(islice(self._offsets, 1, None), (self._start - shift,))
        numbers = self._order if self._order is not None else range(self.entries)
        records = self._records() if self._order is None else map(self._record, self._order)
        for number, record, start, end, next_start in zip(numbers, records, self._offsets, self._ends, nexts):
            if number not in self._replaced:
                yield record, start + shift, min(end + _LONGEST_NAMES, next_start) + shift

    def _record(self, number: int) -> bytes:
        start = self._start + self._places[number]
        end = self._start + self._places[number + 1] if number + 1 < self.entries else self._end
        return self._source.read(start, end)


def _twice(hashes: array[int]) -> set[int]:
    """Those that are there more than once. A part of them is looked at at a time: sorting makes objects of them."""
    found: set[int] = set()
    parts = len(hashes) // _SORTED + 1
    for part in range(parts):
        ordered = sorted(each for each in hashes if each % parts == part)
        found.update(one for one, next_one in zip(ordered, islice(ordered, 1, None)) if one == next_one)
    return found


def _check_methods(methods: set[int]) -> None:
    """Raises Unusable where one of them is known to nobody here."""
    for method in sorted(methods):
        if not decoders.is_known(method):
            raise Unusable(
                f"is compressed by {decoders.method_name(method)}, which no program here unpacks",
                "unpack it by another program, such as 7z, and pack it again:  7z x FILE",
            )
    if decoders.ZSTD in methods:
        from .zstandard import decoder

        decoder()
