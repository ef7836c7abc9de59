"""
The rules of what may be unpacked, the same for every kind of archive, and why one is not.

Paths are bytes, as disks have them: what they are in the locale is nobody's concern. A link may only climb at the start of its target,
and no path may lead through a link, so that counting folders says where it ends.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Container, Iterator

from .say import megabytes, shown_path

# What a name may not hold.
_CONTROL = bytes(range(32)) + b"\x7f"
# No target of a link is longer.
LONGEST_TARGET = 4096
# What an entry takes beside its bytes: a file takes whole blocks, and a place of its own in the table of files.
ENTRY_BYTES = 4096


class Unusable(Exception):
    """
    The archive is at fault. Its text follows where the archive is from: "ORIGIN <text>; nothing of it was put into place".

    details: up to five further lines.
    """

    def __init__(self, why: str, *details: str) -> None:
        super().__init__(why)
        self.details = list(details[:5])


class NoRoom(Exception):
    """
    The disk has less room than it takes. `lines` says so of the folder that the data sets are in, and of where the archive is from.

    >>> raise NoRoom("unpacking 3 files needs 5.0 MB", 3_100_000)
    """

    def __init__(self, what: str, free: int, *more: str) -> None:
        super().__init__(what)
        self.what = what
        self.free = free
        self.more = more

    def lines(self, place: str, origin: str) -> list[str]:
        return [f"{self.what} in {place}, and {megabytes(self.free)} are free ({origin})", *self.more]


class NoInodes(NoRoom):
    """The disk takes no further files, whatever their size. what: how many it would take."""

    def lines(self, place: str, origin: str) -> list[str]:
        return [f"unpacking {origin} makes {self.what} files and folders, and {place} has room for {self.free}"]


def refused(path: bytes, why: str) -> Unusable:
    return Unusable(f"is refused: {shown_path(path)} {why}")


def unpackable(path: bytes, why: str) -> Unusable:
    """An entry that may be unpacked, and cannot be."""
    return Unusable("cannot be unpacked", f"{shown_path(path)}: {why}" if path else why)


# The disk or the machine is at fault, and not the archive.
_MACHINE = (errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def fault(error: OSError, path: bytes, staging: str) -> Exception:
    """What an error at writing an entry comes to."""
    if error.errno in _FULL:
        from .places import free_bytes

        return NoRoom(f"writing {shown_path(path)} ended with '{os.strerror(error.errno)}'", free_bytes(staging))
    if error.errno in _MACHINE:
        return OSError(error.errno, os.strerror(error.errno), path)
    return unpackable(path, error.strerror or str(error))


def plain(path: bytes) -> bytes:
    """A path without what leads nowhere: "//", "./", and a slash at its end."""
    return b"/".join(_parts(path))


def _parts(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in (b"", b".")]


def checked_path(path: bytes, is_folder: bool) -> bytes:
    """The plain path of an entry. Raises Unusable where it may not be unpacked there."""
    if has_control(path):
        raise control(path)
    if path[:1] == b"/" or b".." in path.split(b"/"):
        raise refused(path, "leads out of the folder")
    if b"//" in path or b"/." in path or path[:1] == b"." or path[-1:] in (b"/", b""):
        path, given = plain(path), path
        if path == b"" and not is_folder:
            raise refused(given, "leads out of the folder")
    return path


def has_control(name: bytes) -> bool:
    return len(name.translate(None, _CONTROL)) < len(name)


def control(path: bytes) -> Unusable:
    """Of a name that makes no line, or would do something to a terminal: shown with escapes."""
    return Unusable(f"is refused: {shown_path(path)!a} has control characters in its name, or leads where one has")


def encrypted(path: bytes) -> Unusable:
    return refused(path, "is encrypted, and there is no password to give")


def special(path: bytes) -> Unusable:
    return refused(path, "is neither a file nor a folder nor a link")


def check_link(path: bytes, target: bytes) -> None:
    """Raises Unusable where a symbolic link at this plain path leads out of the folder."""
    if has_control(target):
        raise control(path)
    if target == b"" or len(target) > LONGEST_TARGET:
        raise refused(path, "is a link whose target cannot be read")
    if _link_leaves(path, target):
        raise refused(path, f"is a link that leads out of the folder, to {shown_path(target)}")


def _link_leaves(path: bytes, target: bytes) -> bool:
    if target[:1] == b"/":
        return True
    parts = _parts(target)
    up = path.count(b"/")
    while parts and parts[0] == b"..":
        parts.pop(0)
        up -= 1
    return up < 0 or b".." in parts


def checked_hard_link(path: bytes, target: bytes, links: Container[bytes]) -> bytes:
    """The plain path of what a hard link is another name of. Raises Unusable where that is not of the archive's files."""
    if has_control(target):
        raise control(path)
    if target[:1] == b"/" or b".." in target.split(b"/"):
        raise refused(path, f"is a link that leads out of the folder, to {shown_path(target)}")
    file = plain(target)
    if file in links:
        raise refused(path, f"is another name of the link {shown_path(target)}, which would lead elsewhere from there")
    check_behind(path, file, links)
    return file


def check_behind(path: bytes, way: bytes, links: Container[bytes]) -> None:
    """Raises Unusable where a way that the entry at `path` takes leads through one of the links."""
    for above in folders_above(way):
        if above in links:
            raise refused(path, f"lies behind the link {shown_path(above)}")


def folders_above(path: bytes) -> Iterator[bytes]:
    """The folders that a plain path leads through, the highest first."""
    at = path.find(b"/")
    while at > 0:
        yield path[:at]
        at = path.find(b"/", at + 1)


def check_room(folder: str, files: int, size: int, entries: int) -> None:
    """Raises NoRoom where these do not fit on the disk that a folder is on."""
    from .places import free_bytes, free_inodes

    needed = size + entries * ENTRY_BYTES
    free = free_bytes(folder)
    if needed > free:
        raise NoRoom(f"unpacking {files} files needs {megabytes(needed)}", free)
    inodes = free_inodes(folder)
    if inodes is not None and entries > inodes:
        raise NoInodes(str(entries), inodes)
