"""
Unpacks a tar while it arrives, a member after the other, each checked before it is written. Symbolic links are made when all else is
written.

What is read and decompressed is written by a thread meanwhile: either takes about as long.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from queue import Queue
from typing import Any, Callable

from . import entries
from .decoders import Undecodable
from .entries import NoInodes, NoRoom, Unusable
from .places import free_bytes, free_inodes
from .say import megabytes, shown_path
from .source import Source
from .staging import Folders, write_all
from .tars import Damaged, Member, Stream, arriving, members, stream_of
from .workers import Progress

# Of the disk, that is left free: an archive that grows without end ends here. A share of what is free, and bytes.
_RESERVE_SHARE = 50
_RESERVE_MOST = 256 << 20
# After so many bytes the room is looked at again: others write as well.
_LOOK = 64 << 20


# What the thread is given at a time: so many bytes, and so many pieces of work.
_BATCH_BYTES = 1 << 20
_BATCH_JOBS = 512


def unpack_tar(source: Source, staging: str, progress: Progress) -> int:
    """See archive.py."""
    os.mkdir(staging)
    room = _Room(staging)
    last = b""
    with _Writer(staging, progress) as writer:
        try:
            stream = stream_of(source, _counted(source, progress))
            for member in members(stream):
                _take(member, stream, room, writer)
                last = member.path
            stream.drain()
        except (Damaged, Undecodable) as error:
            where = f"after {shown_path(last)}: " if last else ""
            raise Unusable("is not a tar archive that can be read", f"{where}{error}") from error
        return writer.finish()


def _counted(source: Source, progress: Progress) -> Iterator[bytes]:
    for block in arriving(source):
        progress.read += len(block)
        yield block


def _take(member: Member, stream: Stream, room: _Room, writer: _Writer) -> None:
    """Has a member written, once it was checked."""
    path = entries.checked_path(member.path, member.kind == "d")
    if member.kind == "?":
        raise entries.special(path)
    if writer.links:
        entries.check_behind(path, path, writer.links)
    room.take(member)
    if member.kind == "d":
        writer.make_folder(path)
    elif member.kind == "l":
        entries.check_link(path, member.target)
        writer.make_link(path, member.target)
    elif member.kind == "h":
        writer.make_name(path, entries.checked_hard_link(path, member.target, writer.links))
    else:
        writer.create(path, member.executable)
        for start, count in [(0, member.size)] if member.parts is None else member.parts:
            if start:
                writer.move_on(start)
            for part in stream.parts(count):
                writer.write(part)
                room.wrote(len(part))
        if member.parts is not None:
            writer.end_at(member.size)
        writer.close_file(member.modified)


class _Room:
    """The room on the disk, for an archive of which nobody knows what it will hold."""

    def __init__(self, staging: str) -> None:
        self._staging = staging
        self._free = free_bytes(staging)
        self._inodes = free_inodes(staging)
        self._reserve = min(self._free // _RESERVE_SHARE, _RESERVE_MOST)
        self._entries = 0
        self._files = 0
        self._size = 0
        self._unseen = 0

    def take(self, member: Member) -> None:
        """Raises NoRoom where a member does not fit beside those before it."""
        self._entries += 1
        self._files += member.kind != "d"
        self._size += member.size
        if self._needed() > self._free - self._reserve:
            raise self._lacking(self._free)
        if self._inodes is not None and self._entries > self._inodes:
            raise NoInodes(f"{self._entries} or more", self._inodes)

    def wrote(self, count: int) -> None:
        """Raises NoRoom where others leave none."""
        self._unseen += count
        if self._unseen > _LOOK:
            self._unseen = 0
            free = free_bytes(self._staging)
            if free < self._reserve:
                raise self._lacking(free)

    def _needed(self) -> int:
        return self._size + self._entries * entries.ENTRY_BYTES

    def _lacking(self, free: int) -> NoRoom:
        return NoRoom(
            f"unpacking {self._files} files needs {megabytes(self._needed())}",
            free,
            "  that is as far as it was read; there may be more in it",
        )


class _Writer:
    """
    Writes what it is given in a thread of its own, in order. An error there is raised by what is asked next.

    links: the paths of all symbolic links so far, those that something else has replaced included: nothing may be behind one.
    """

    def __init__(self, staging: str, progress: Progress) -> None:
        self.links: set[bytes] = set()
        self._disk = _Disk(staging, progress)
        self._batch: list[_Job] = []
        self._size = 0
        self._batches: Queue[list[_Job]] = Queue(2)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Writer:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        # Nothing more is done after an error.
        self._error = self._error or error
        self._end()
        self._disk.close()

    def finish(self) -> int:
        """Waits until all is written, makes the links, and gives the number of files."""
        self._hand_over()
        self._end()
        if self._error:
            raise self._error
        files = self._disk.finish()
        if files == 0:
            raise Unusable("holds no files")
        return files

    def _end(self) -> None:
        if self._thread.is_alive():
            self._batches.put([])
            self._thread.join()

    def make_folder(self, path: bytes) -> None:
        self._do(self._disk.make_folder, path)

    def make_link(self, path: bytes, target: bytes) -> None:
        self.links.add(path)
        self._do(self._disk.keep_link, path, target)

    def make_name(self, path: bytes, target: bytes) -> None:
        self._do(self._disk.make_name, path, target)

    def create(self, path: bytes, executable: bool) -> None:
        self._do(self._disk.create, path, executable)

    def move_on(self, start: int) -> None:
        self._do(self._disk.move_on, start)

    def write(self, part: memoryview) -> None:
        self._do(self._disk.write, part)
        self._size += len(part)

    def end_at(self, size: int) -> None:
        self._do(self._disk.end_at, size)

    def close_file(self, modified: float | None) -> None:
        self._do(self._disk.close_file, modified)

    def _do(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._size >= _BATCH_BYTES or len(self._batch) >= _BATCH_JOBS:
            self._hand_over()
        self._batch.append((function, arguments))

    def _hand_over(self) -> None:
        if self._error:
            raise self._error
        if self._batch:
            self._batches.put(self._batch)
        self._batch = []
        self._size = 0

    def _run(self) -> None:
        while True:
            batch = self._batches.get()
            if not batch:
                return
            try:
                for function, arguments in batch:
                    if self._error:
                        break
                    function(*arguments)
            except BaseException as error:
                self._error = error


_Job = tuple[Callable[..., None], tuple[Any, ...]]


class _Disk:
    """What is in the staging folder, and the file that is being written."""

    def __init__(self, staging: str, progress: Progress) -> None:
        self._staging = staging
        self._progress = progress
        self._folders = Folders(staging)
        # Where each link leads; of entries with one path the last counts.
        self._links: dict[bytes, bytes] = {}
        self._files = 0
        self._path = b""
        self._file = -1

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._folders.close()

    def make_folder(self, path: bytes) -> None:
        try:
            self._folders.at(path)
        except OSError as error:
            raise self._fault(error, path) from error

    def create(self, path: bytes, executable: bool) -> None:
        """A new file, in the place of one that came before it."""
        self._links.pop(path, None)
        try:
            try:
                self._file = self._folders.create(path, executable)
            except FileExistsError:
                self._remove(path)
                self._file = self._folders.create(path, executable)
        except OSError as error:
            raise self._fault(error, path) from error
        self._path = path
        self._files += 1

    def move_on(self, start: int) -> None:
        os.lseek(self._file, start, os.SEEK_SET)

    def write(self, part: memoryview) -> None:
        try:
            write_all(self._file, part)
        except OSError as error:
            raise self._fault(error, self._path) from error
        self._progress.bytes += len(part)

    def end_at(self, size: int) -> None:
        try:
            os.ftruncate(self._file, size)
        except OSError as error:
            raise self._fault(error, self._path) from error

    def close_file(self, modified: float | None) -> None:
        _set_time(self._file, modified)
        file, self._file = self._file, -1
        os.close(file)
        self._progress.files = self._files

    def keep_link(self, path: bytes, target: bytes) -> None:
        """A symbolic link, which is made at the end."""
        try:
            self._remove(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._fault(error, path) from error
        self._links[path] = target

    def make_name(self, path: bytes, target: bytes) -> None:
        """Another name of a file that came before."""
        if path == target:
            return
        self._links.pop(path, None)
        try:
            self._link(path, target)
        except OSError as error:
            raise self._fault(error, path) from error
        self._files += 1
        self._progress.files = self._files

    def _link(self, path: bytes, target: bytes) -> None:
        folder, _, name = target.rpartition(b"/")
        held = os.dup(self._folders.at(folder, make=False))
        try:
            os.stat(name, dir_fd=held, follow_symlinks=False)
            try:
                self._remove(path)
            except FileNotFoundError:
                pass
            folder, _, new = path.rpartition(b"/")
            os.link(name, new, src_dir_fd=held, dst_dir_fd=self._folders.at(folder), follow_symlinks=False)
        finally:
            os.close(held)

    def _remove(self, path: bytes) -> None:
        folder, _, name = path.rpartition(b"/")
        os.unlink(name, dir_fd=self._folders.at(folder))
        self._files -= 1

    def finish(self) -> int:
        """Makes the links, and gives the number of files."""
        for path, target in self._links.items():
            folder, _, name = path.rpartition(b"/")
            try:
                os.symlink(target, name, dir_fd=self._folders.at(folder))
            except OSError as error:
                raise self._fault(error, path) from error
            self._files += 1
        self._progress.files = self._files
        return self._files

    def _fault(self, error: OSError, path: bytes) -> Exception:
        return entries.fault(error, path, self._staging)


def _set_time(file: int, modified: float | None) -> None:
    if modified is not None:
        try:
            os.utime(file, (modified, modified))
        except (OSError, OverflowError, ValueError):
            # Some archives have times that no disk has.
            pass
