"""
Unpacks a tar while it arrives, a member after the other, each checked before it is written. Links are made when all else is written.
"""
from __future__ import annotations

import os
from typing import Dict, Iterator, Optional, Set

from . import entries
from .decoders import Undecodable
from .entries import NoInodes, NoRoom, Unusable
from .places import free_bytes, free_inodes
from .say import megabytes
from .source import Source
from .staging import Folders, write_all
from .tars import Damaged, Member, Stream, arriving, members, stream_of
from .workers import Progress

# Of the disk, that is left free: an archive that grows without end ends here. A share of what is free, and bytes.
_RESERVE_SHARE = 50
_RESERVE_MOST = 256 << 20
# After so many bytes the room is looked at again: others write as well.
_LOOK = 64 << 20


def unpack_tar(source: Source, staging: str, progress: Progress) -> int:
    """See archive.py."""
    os.mkdir(staging)
    unpacking = _Unpacking(staging, progress)
    stream = stream_of(source, _counted(source, progress))
    try:
        for member in members(stream):
            unpacking.take(member, stream)
        stream.drain()
        return unpacking.finish()
    except (Damaged, Undecodable) as error:
        raise Unusable("is not a tar archive that can be read", unpacking.said_where(str(error))) from error
    finally:
        unpacking.close()


def _counted(source: Source, progress: Progress) -> Iterator[bytes]:
    for block in arriving(source):
        progress.read += len(block)
        yield block


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


class _Unpacking:
    """What was unpacked so far."""

    def __init__(self, staging: str, progress: Progress) -> None:
        self._staging = staging
        self._progress = progress
        self._room = _Room(staging)
        self._folders = Folders(staging)
        # Where each link leads; of entries with one path the last counts. And all there were, as nothing may be behind one.
        self._links: Dict[bytes, bytes] = {}
        self._all_links: Set[bytes] = set()
        self._files = 0
        self._last = b""

    def close(self) -> None:
        self._folders.close()

    def said_where(self, why: str) -> str:
        return f"after {self._last.decode('utf-8', 'surrogateescape')}: {why}" if self._last else why

    def take(self, member: Member, stream: Stream) -> None:
        if entries.has_control(member.target):
            raise entries.control(member.path)
        path = entries.checked_path(member.path, member.kind == "d")
        if member.kind == "?":
            raise entries.special(path)
        target = b""
        if member.kind == "l":
            entries.check_link(path, member.target)
        elif member.kind == "h":
            target = entries.checked_hard_link(path, member.target, self._all_links)
        if self._all_links:
            entries.check_behind(path, path, self._all_links)
        self._room.take(member)
        try:
            if member.kind == "d":
                self._folders.at(path)
            elif member.kind == "l":
                self._keep_link(path, member.target)
            elif member.kind == "h":
                self._link(path, target)
            else:
                self._write(path, member, stream)
        except OSError as error:
            raise entries.fault(error, path, self._staging) from error
        self._last = member.path

    def _write(self, path: bytes, member: Member, stream: Stream) -> None:
        file = self._create(path, member.executable)
        try:
            if member.parts is None:
                self._copy(file, member.size, stream)
            else:
                for start, count in member.parts:
                    os.lseek(file, start, os.SEEK_SET)
                    self._copy(file, count, stream)
                os.ftruncate(file, member.size)
            _set_time(file, member.modified)
        finally:
            os.close(file)
        self._progress.files += 1

    def _copy(self, file: int, count: int, stream: Stream) -> None:
        for part in stream.parts(count):
            write_all(file, part)
            self._progress.bytes += len(part)
            self._room.wrote(len(part))

    def _create(self, path: bytes, executable: bool) -> int:
        """A new file, in the place of one that came before it."""
        self._links.pop(path, None)
        try:
            file = self._folders.create(path, executable)
        except FileExistsError:
            self._remove(path)
            file = self._folders.create(path, executable)
        self._files += 1
        return file

    def _remove(self, path: bytes) -> None:
        folder, _, name = path.rpartition(b"/")
        os.unlink(name, dir_fd=self._folders.at(folder))
        self._files -= 1

    def _keep_link(self, path: bytes, target: bytes) -> None:
        try:
            self._remove(path)
        except FileNotFoundError:
            pass
        self._links[path] = target
        self._all_links.add(path)

    def _link(self, path: bytes, target: bytes) -> None:
        """Another name of a file that came before."""
        if path == target:
            return
        folder, _, name = target.rpartition(b"/")
        held = os.dup(self._folders.at(folder, make=False))
        try:
            os.stat(name, dir_fd=held, follow_symlinks=False)
            self._links.pop(path, None)
            try:
                self._remove(path)
            except FileNotFoundError:
                pass
            folder, _, new_name = path.rpartition(b"/")
            os.link(name, new_name, src_dir_fd=held, dst_dir_fd=self._folders.at(folder), follow_symlinks=False)
        finally:
            os.close(held)
        self._files += 1
        self._progress.files += 1

    def finish(self) -> int:
        """Makes the links, and gives the number of files."""
        for path, target in self._links.items():
            folder, _, name = path.rpartition(b"/")
            try:
                os.symlink(target, name, dir_fd=self._folders.at(folder))
            except OSError as error:
                raise entries.fault(error, path, self._staging) from error
            self._progress.files += 1
        files = self._files + len(self._links)
        if files == 0:
            raise Unusable("holds no files")
        return files


def _set_time(file: int, modified: Optional[float]) -> None:
    if modified is not None:
        try:
            os.utime(file, (modified, modified))
        except (OSError, OverflowError, ValueError):
            # Some archives have times that no disk has.
            pass
