"""
Reads a tar from its front, a member at a time: ustar and what was before it, GNU's long names and sparse files, pax.

Python's own reader keeps every member in memory, and takes an archive that ends in a header for whole.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from . import decoders
from .decoders import Undecodable
from .source import Source

BLOCK = 512
# Of the archive that are read at a time, in bytes.
_READ = 1 << 18
# What tells of the next member has no more bytes.
_LONGEST_EXTENSION = 1 << 20
# Parts of a sparse file.
_MOST_PARTS = 1 << 20
_NO_BLOCK = bytes(BLOCK)
_ENDS_EARLY = "it ends too early"


class Damaged(Exception):
    """It is no tar, or not a whole one: why."""


class Member(NamedTuple):
    """
    kind: "d" a folder, "l" a symbolic link, "h" a hard link, "?" what no data set needs, "-" a file.

    path, target: as the archive has them. stored: bytes that follow in the archive. size: of the file. modified: in seconds, or None.
    parts: of a sparse file: where each of its parts is, and its bytes; the rest of it is zeros.
    """

    kind: str
    path: bytes
    target: bytes
    stored: int
    size: int
    executable: bool
    modified: float | None
    parts: list[tuple[int, int]] | None


class Stream:
    """What was compressed, from its front."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")

    def parts(self, count: int) -> Iterator[memoryview]:
        """The next bytes, in parts. Raises Damaged where there are not so many."""
        while count > 0:
            if not self._piece:
                self._piece = memoryview(next(self._pieces, b""))
                if not self._piece:
                    raise Damaged(_ENDS_EARLY)
            part = self._piece[:count]
            self._piece = self._piece[count:]
            count -= len(part)
            yield part

    def read(self, count: int) -> bytes:
        if len(self._piece) >= count:
            found = bytes(self._piece[:count])
            self._piece = self._piece[count:]
            return found
        return b"".join(self.parts(count))

    def at_end(self) -> bool:
        if not self._piece:
            self._piece = memoryview(next(self._pieces, b""))
        return not self._piece

    def skip(self, count: int) -> None:
        for _ in self.parts(count):
            pass

    def drain(self) -> None:
        """Decompresses what is left, which has the checksum of all."""
        for _ in self._pieces:
            pass


def arriving(source: Source) -> Iterator[bytes]:
    """An archive from its front, as it arrives. Raises what the source raises."""
    at = 0
    while True:
        there = source.wait(at + _READ)
        if there <= at:
            return
        block = source.read(at, min(there, at + _READ))
        at += len(block)
        yield block


def stream_of(source: Source, blocks: Iterator[bytes]) -> Stream:
    """What is compressed in the blocks of a source."""
    start = source.read(0, min(source.wait(16), 16))
    return Stream(decoders.pieces(decoders.format_of(start), blocks))


def holds_tar(path: str) -> bool:
    """Whether a tar is in a file, compressed or not."""
    source = Source(path)
    try:
        return next(members(stream_of(source, arriving(source))), None) is not None
    except (Damaged, Undecodable):
        return False
    finally:
        source.close()


# --- members ----------------------------------------------------------------------------------------------------------


def members(stream: Stream) -> Iterator[Member]:
    """
    Each member; what is stored of it is to be taken from the stream before the next one is asked for. Raises Damaged.
    """
    everywhere: dict[bytes, bytes] = {}
    here: dict[bytes, bytes] = {}
    while not stream.at_end():
        header = stream.read(BLOCK)
        if header == _NO_BLOCK:
            return
        _check_sum(header)
        form = header[156:157]
        if form in b"gxXLK":
            extension = _extension(stream, _number(header[124:136]))
            if form == b"g":
                everywhere.update(_pax(extension))
            elif form in b"xX":
                here.update(_pax(extension))
            else:
                # Its long name has no place of its own among these keys.
                here.setdefault(b"path" if form == b"L" else b"linkpath", extension.split(b"\0", 1)[0])
        elif form == b"V":
            # The label of the volume.
            stream.skip(_padded(_number(header[124:136])))
        else:
            member = _member(stream, header, {**everywhere, **here})
            yield member
            stream.skip(-member.stored % BLOCK)
            here = {}


def _padded(size: int) -> int:
    return size + -size % BLOCK


def _number(field: bytes) -> int:
    """In octal digits, or in binary where the highest bit is set. Raises Damaged."""
    if field[0] & 0x80:
        if field[0] != 0x80:
            raise Damaged("a number in it is negative")
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0", 1)[0].strip()
    if digits.strip(b"01234567"):
        raise Damaged("a number in it is none")
    return int(digits or b"0", 8)


def _check_sum(header: bytes) -> None:
    """Raises Damaged where a header is none."""
    expected = _number(header[148:156])
    blank = header[:148] + b" " * 8 + header[156:]
    # Some summed signed bytes.
    if sum(blank) != expected and sum(struct.unpack("512b", blank)) != expected:
        raise Damaged("a header in it is damaged")


def _extension(stream: Stream, size: int) -> bytes:
    if size > _LONGEST_EXTENSION:
        raise Damaged("a header in it is too long")
    return stream.read(_padded(size))[:size]


def _pax(text: bytes) -> dict[bytes, bytes]:
    """Records of a length, a key and a value. What tells of the parts of a sparse file comes several times, in order."""
    found: dict[bytes, bytes] = {}
    parts: list[bytes] = []
    at = 0
    while at < len(text) and text[at] != 0:
        digits, blank, _ = text[at : at + 20].partition(b" ")
        if not blank or not digits.isdigit():
            raise Damaged("a header in it is damaged")
        record = text[at + len(digits) + 1 : at + int(digits)]
        key, equals, value = record.partition(b"=")
        if not equals or value[-1:] != b"\n":
            raise Damaged("a header in it is damaged")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            parts.append(value[:-1])
        found[key] = value[:-1]
        at += int(digits)
    if parts:
        found.setdefault(b"GNU.sparse.map", b",".join(parts))
    return found


_KINDS = {b"0": "-", b"\0": "-", b"7": "-", b"S": "-", b"1": "h", b"2": "l", b"5": "d"}


def _member(stream: Stream, header: bytes, more: dict[bytes, bytes]) -> Member:
    """more: what comes before its header."""
    kind = _KINDS.get(header[156:157], "?")
    path = more.get(b"GNU.sparse.name") or more.get(b"path") or _path(header)
    stored = _decimal(more[b"size"]) if b"size" in more else _number(header[124:136])
    if kind == "-" and path[-1:] == b"/" and stored == 0:
        # As it was before there was a kind of its own.
        kind = "d"
    if kind != "-":
        stored = 0
    size, parts = stored, None
    if kind == "-":
        if header[156:157] == b"S":
            size, parts = _gnu_sparse(stream, header)
        elif any(key.startswith(b"GNU.sparse.") for key in more):
            size, parts, stored = _pax_sparse(stream, more, stored)
        _check_parts(size, parts, stored)
    target = more.get(b"linkpath") or _text(header[157:257])
    return Member(kind, path, target, stored, size, bool(_number(header[100:108]) & 0o111), _modified(header, more), parts)


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _path(header: bytes) -> bytes:
    name = _text(header[:100])
    if header[257:263] != b"ustar\0":
        return name
    prefix = _text(header[345:500])
    return prefix + b"/" + name if prefix else name


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise Damaged("a number in it is none")
    return int(text)


def _modified(header: bytes, more: dict[bytes, bytes]) -> float | None:
    try:
        return float(more[b"mtime"]) if b"mtime" in more else _number(header[136:148])
    except (ValueError, Damaged):
        return None


# --- sparse files -----------------------------------------------------------------------------------------------------


def _gnu_sparse(stream: Stream, header: bytes) -> tuple[int, list[tuple[int, int]]]:
    """The size, and the parts: four in the header, and more in blocks that follow it."""
    parts = _gnu_parts(header[386:482])
    more = header[482]
    while more:
        block = stream.read(BLOCK)
        parts += _gnu_parts(block[:504])
        more = block[504]
        if len(parts) > _MOST_PARTS:
            raise Damaged("a file in it has too many parts")
    return _number(header[483:495]), parts


def _gnu_parts(fields: bytes) -> list[tuple[int, int]]:
    parts = (fields[at : at + 24] for at in range(0, len(fields), 24))
    return [(_number(part[:12]), _number(part[12:])) for part in parts if part[12:].strip(b"\0")]


def _pax_sparse(stream: Stream, more: dict[bytes, bytes], stored: int) -> tuple[int, list[tuple[int, int]], int]:
    """The size, the parts, and how many bytes are stored then: in version 1.0 the parts are told before those."""
    size = _decimal(more.get(b"GNU.sparse.realsize") or more.get(b"GNU.sparse.size") or b"")
    if more.get(b"GNU.sparse.major") == b"1":
        numbers, used = _numbers(stream)
        stored -= used
    else:
        numbers = [_decimal(each) for each in (more.get(b"GNU.sparse.map") or b"").split(b",") if each]
    return size, list(zip(numbers[::2], numbers[1::2])), stored


def _numbers(stream: Stream) -> tuple[list[int], int]:
    """Numbers in lines, the first of which says how many parts there are; and how many bytes they take, in whole blocks."""
    lines: list[bytes] = []
    rest = b""
    used = 0
    while not lines or len(lines) <= 2 * _decimal(lines[0]):
        if len(lines) > 2 * _MOST_PARTS or len(rest) > BLOCK:
            raise Damaged("a file in it has too many parts")
        *whole, rest = (rest + stream.read(BLOCK)).split(b"\n")
        used += BLOCK
        lines += whole
    return [_decimal(line) for line in lines[1 : 1 + 2 * _decimal(lines[0])]], used


def _check_parts(size: int, parts: list[tuple[int, int]] | None, stored: int) -> None:
    """Raises Damaged where the parts of a sparse file are not what is stored, in order and within its size."""
    if parts is None:
        return
    end = 0
    for start, count in parts:
        if start < end:
            raise Damaged("the parts of a file in it overlap")
        end = start + count
    if end > size or stored != sum(count for _, count in parts):
        raise Damaged("the parts of a file in it are not what it holds")
