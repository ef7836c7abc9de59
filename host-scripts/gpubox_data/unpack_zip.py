"""
Unpacks a zip while it arrives: its entries in the order of their bytes, each as soon as those are there, by several processes.

The directory is checked as a whole before anything is written (zips.py), and every entry's bytes are once more. Links are made when all
else is written.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import Callable

from . import decoders, entries
from .decoders import DEFLATED, STORED, Undecodable
from .entries import Unusable
from .source import Source
from .staging import Folders, write_all
from .workers import Desk, Fault, Message, Progress, Workers
from .zips import Directory, Entry, entry_of, records_in, unreadable

# What a worker is given at a time: so many bytes of the archive, and so many entries.
_BATCH_BYTES = 1 << 20
_BATCH_ENTRIES = 128
# Larger entries are written in blocks; in bytes, packed or not.
_LARGE = 1 << 20
_BLOCK = 1 << 18
# Of the bytes of a large entry that are awaited, and told, at a time.
_STEP = 4 << 20
# Before the bytes of an entry: its signature, and the lengths of its name and extra field, which follow.
_HEADER = struct.Struct("<4s22xHH")


def unpack_zip(source: Source, staging: str, workers: Workers, progress: Progress, say_size: Callable[[int, int], None]) -> int:
    """See archive.py."""
    directory = Directory(source)
    if directory.files == 0:
        raise Unusable("holds no files")
    entries.check_room(os.path.dirname(staging), directory.files, directory.size, directory.entries)
    progress.total_files, progress.total_bytes = directory.files, directory.size
    say_size(directory.files, directory.size)
    os.mkdir(staging)
    workers.progress = progress
    try:
        workers.ask_all("open", source.path, staging, directory.shift)
        links = _hand_out(source, directory, workers)
        workers.finish()
        _make_links(staging, links, progress)
    except Fault as fault:
        workers.abandon()
        raise _told(fault, staging) from None
    except BaseException:
        workers.abandon()
        raise
    workers.ask_all("close")
    return directory.files


def _told(fault: Fault, staging: str) -> Exception:
    if fault.number:
        return entries.fault(OSError(fault.number, os.strerror(fault.number)), fault.path, staging)
    return entries.unpackable(fault.path, fault.why)


# --- what is where in the archive -------------------------------------------------------------------------------------


def _names_of(entry: Entry, data: memoryview, at: int) -> int:
    """How many bytes of names are in the header of an entry, which is at this place of the data."""
    if 0 <= at <= len(data) - _HEADER.size:
        signature, name, extra = _HEADER.unpack_from(data, at)
        if signature == b"PK\3\4":
            return int(name) + int(extra)
    raise Fault(entry.path, 0, "its header is not where the directory says")


def _bytes_of(entry: Entry, data: memoryview, at: int) -> memoryview:
    """The packed bytes of the entry whose header is at this place of the data."""
    at += _HEADER.size + _names_of(entry, data, at)
    if at + entry.packed > len(data):
        raise Fault(entry.path, 0, "its bytes are not where its header says")
    return data[at : at + entry.packed]


def _content(entry: Entry, packed: memoryview) -> memoryview:
    """What a small entry holds, checked."""
    content = packed
    if entry.method == DEFLATED:
        try:
            content = memoryview(zlib.decompressobj(-15).decompress(packed, entry.size + 1))
        except zlib.error as error:
            raise Fault(entry.path, 0, str(error)) from error
    elif entry.method != STORED:
        content = memoryview(b"".join(_pieces(entry, iter([bytes(packed)]))))
    _check(entry, len(content), zlib.crc32(content))
    return content


def _pieces(entry: Entry, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """What an entry holds, as long as it is not more than the directory says."""
    size = 0
    try:
        for piece in decoders.zip_pieces(entry.method, blocks, entry.size):
            size += len(piece)
            if size > entry.size:
                raise Fault(entry.path, 0, "it is larger than the directory says")
            yield piece
    except Undecodable as error:
        raise Fault(entry.path, 0, str(error)) from error


def _check(entry: Entry, size: int, checksum: int) -> None:
    if size != entry.size:
        raise Fault(entry.path, 0, "its size is not what the directory says")
    if checksum != entry.checksum:
        raise Fault(entry.path, 0, "its checksum is wrong")


# --- in the parent ----------------------------------------------------------------------------------------------------


def _hand_out(source: Source, directory: Directory, workers: Workers) -> dict[bytes, bytes]:
    """Gives the workers all that is no link; returns where each link leads."""
    links: dict[bytes, bytes] = {}
    batch: list[bytes] = []
    first = last = 0

    def send() -> None:
        if batch:
            _wait(source, last)
            workers.ask("batch", first, last, b"".join(batch))
            workers.progress.read = last
            batch.clear()

    for record, start, end in directory.in_order():
        entry = entry_of(record)
        if entry.kind == "l":
            links[entries.plain(entry.path)] = _target(source, entry, start, end)
        elif max(entry.packed, entry.size) > _LARGE:
            send()
            _hand_out_large(source, workers, record, start, end)
        else:
            if end - first > _BATCH_BYTES or len(batch) == _BATCH_ENTRIES:
                send()
            if not batch:
                first = start
            last = end
            batch.append(record)
    send()
    return links


def _wait(source: Source, end: int) -> int:
    there = source.wait(end)
    if there < end:
        raise unreadable("it ends too early")
    return there


def _hand_out_large(source: Source, workers: Workers, record: bytes, start: int, end: int) -> None:
    """An entry that is written while it arrives."""
    worker = workers.ask("large", start, end, record)
    while start < end:
        start = min(start + _STEP, end)
        _wait(source, start)
        workers.add(worker, "more", start)
        workers.progress.read = start


def _target(source: Source, entry: Entry, start: int, end: int) -> bytes:
    """Where a symbolic link leads, checked."""
    path = entries.plain(entry.path)
    if entry.size > entries.LONGEST_TARGET or entry.packed > _LARGE:
        raise entries.refused(path, "is a link whose target cannot be read")
    _wait(source, end)
    target = bytes(_content(entry, _bytes_of(entry, memoryview(source.read(start, end)), 0)))
    entries.check_link(path, target)
    return target


def _make_links(staging: str, links: dict[bytes, bytes], progress: Progress) -> None:
    folders = Folders(staging)
    try:
        for path, target in links.items():
            folder, _, name = path.rpartition(b"/")
            try:
                os.symlink(target, name, dir_fd=folders.at(folder))
            except OSError as error:
                raise entries.fault(error, path, staging) from error
            progress.files += 1
    finally:
        folders.close()


# --- in a worker ------------------------------------------------------------------------------------------------------


class Writer:
    """Writes entries of the archive that is open. What it returns of a job is how many files it wrote, and their bytes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._archive = -1
        self._shift = 0
        self._folders: Folders

    def work(self, message: Message) -> tuple[int, int]:
        what, *rest = message
        if what == "batch":
            return self._write_batch(*rest)
        if what == "large":
            return self._write_large(*rest)
        if self._archive >= 0:
            os.close(self._archive)
            self._folders.close()
            self._archive = -1
        if what == "open":
            path, staging, self._shift = rest
            self._archive = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._folders = Folders(staging)
        return 0, 0

    def _write_batch(self, start: int, end: int, records: bytes) -> tuple[int, int]:
        """Small entries, whose bytes are between these places of the archive."""
        data = memoryview(os.pread(self._archive, end - start, start))
        first = start - self._shift
        files = size = 0
        for record in records_in(records):
            entry = entry_of(record)
            if self._is_file(entry):
                content = _content(entry, _bytes_of(entry, data, entry.offset - first))
                file = self._create(entry)
                try:
                    write_all(file, content)
                except OSError as error:
                    raise Fault(entry.path, error.errno or 0, str(error)) from error
                finally:
                    os.close(file)
                files += 1
                size += entry.size
        return files, size

    def _write_large(self, start: int, end: int, record: bytes) -> tuple[int, int]:
        """An entry between these places of the archive, not all of which may be there yet."""
        entry = entry_of(record)
        file = self._create(entry)
        size = told = checksum = 0
        try:
            for piece in _pieces(entry, self._blocks(entry, start, end)):
                self._desk.look()
                write_all(file, memoryview(piece))
                checksum = zlib.crc32(piece, checksum)
                size += len(piece)
                if size - told > _STEP:
                    self._desk.answer("part", 0, size - told)
                    told = size
        except OSError as error:
            raise Fault(entry.path, error.errno or 0, str(error)) from error
        finally:
            os.close(file)
        _check(entry, size, checksum)
        return 1, size - told

    def _blocks(self, entry: Entry, start: int, end: int) -> Iterator[bytes]:
        """The packed bytes of a large entry, as they arrive."""
        there = 0
        at = start
        until = min(start + _HEADER.size, end)
        header = True
        while at < until:
            step = min(at + _BLOCK, until)
            while there < step:
                _, there = self._desk.next()
            block = os.pread(self._archive, step - at, at)
            at += len(block)
            if header:
                at += _names_of(entry, memoryview(block), 0)
                until = at + entry.packed
                header = False
            else:
                yield block
            if until > end or not block:
                raise Fault(entry.path, 0, "its bytes are not where its header says")

    def _is_file(self, entry: Entry) -> bool:
        """Makes what is no file."""
        if entry.kind == "-":
            return True
        path = _checked_path(entry)
        try:
            self._folders.at(path)
        except OSError as error:
            raise Fault(path, error.errno or 0, str(error)) from error
        return False

    def _create(self, entry: Entry) -> int:
        path = _checked_path(entry)
        try:
            return self._folders.create(path, entry.executable)
        except OSError as error:
            raise Fault(path, error.errno or 0, str(error)) from error


def _checked_path(entry: Entry) -> bytes:
    """The directory was checked before, as it was then: whatever is in the archive by now, no path leads out of the folder."""
    try:
        return entries.checked_path(entry.path, entry.kind == "d")
    except Unusable as error:
        raise Fault(b"", 0, str(error)) from error
