"""
The archive that is kept beside a data set, in FOLDER.archive. Its name and its bytes are there for a notebook to change, while it is
read as well; so what is hashed, looked into and unpacked is a copy that no notebook sees.
"""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING

from .parameters import move_away
from .places import FOLDER, exists, free_bytes, open_file, remove
from .say import Failure, say

if TYPE_CHECKING:
    from .dataset import Set

_BLOCK = 1 << 20
# Holes take hours to read, and no room: of a file that is one of ours at least a twentieth is on the disk.
_MOST_HOLES = 20


def copy_kept_archive(wanted: Set, to: str) -> str | None:
    """Copies the archive that has the hash that is asked for, and gives its name; None where there is none."""
    parent = wanted.place.open_parent(make=False)
    if parent is None:
        return None
    try:
        at = os.open(f"{wanted.place.name}.archive", FOLDER, dir_fd=parent)
    except OSError:
        return None
    finally:
        os.close(parent)
    try:
        for name in sorted(os.listdir(at)):
            if _copy(at, name, to, wanted):
                return name
        return None
    finally:
        os.close(at)


def _copy(at: int, name: str, to: str, wanted: Set) -> bool:
    """Whether it could be copied, and has the hash."""
    opened = open_file(name, at)
    if opened is None:
        return False
    file, found = opened
    fresh = f"{to}.new"
    try:
        if not _can_be_archive(found, wanted.size) or found.st_size > free_bytes(wanted.place.state):
            return False
        # What is read is no more than it had: it may be made longer meanwhile.
        if _hash_of_copy(file, fresh, found.st_size) != wanted.sha256:
            return False
        os.replace(fresh, to)
        return True
    except OSError:
        return False
    finally:
        os.close(file)
        remove(fresh)


def _can_be_archive(found: os.stat_result, size: int | None) -> bool:
    if size is not None:
        return found.st_size == size
    return found.st_size <= found.st_blocks * 512 * _MOST_HOLES + _BLOCK


def _hash_of_copy(file: int, to: str, size: int) -> str:
    digest = hashlib.sha256()
    with open(to, "wb", buffering=0) as copied:
        left = size
        while left > 0 and (block := os.read(file, min(left, _BLOCK))):
            digest.update(block)
            copied.write(block)
            left -= len(block)
    return digest.hexdigest()


def copy_file(path: str, to: str) -> None:
    """A copy of the person's file. Raises Failure."""
    import shutil

    fresh = f"{to}.new"
    try:
        shutil.copyfile(path, fresh)
        os.replace(fresh, to)
    except OSError as error:
        remove(fresh)
        room = errno.ENOSPC, errno.EDQUOT
        more = f"; {free_bytes(os.path.dirname(to))} bytes are free" if error.errno in room else ""
        raise Failure(1, f"cannot copy {path} to {os.path.dirname(to)}: {error.strerror}{more}") from error


def keep_archive(parent: int, target: str, file: str, name: str, origin: str) -> None:
    """
    Moves the archive to where it is kept, beside the data set, before that is put into place: a run that was stopped in between finds it.

    parent: descriptor of the folder that the target is in.
    """
    kept = f"{target}.archive/{name}"
    if origin == kept:
        return
    folder = f"{os.path.basename(target)}.archive"
    try:
        os.mkdir(folder, dir_fd=parent)
    except FileExistsError:
        pass
    try:
        at = os.open(folder, FOLDER, dir_fd=parent)
    except OSError as error:
        raise Failure(
            3,
            f"{target}.archive is a link, or no folder that can be gone to; it is left as it is",
            f"  move it away and run again:  {move_away(f'{target}.archive')}",
        ) from error
    try:
        if exists(name, at):
            say(f"{kept} is there already and is left as it is")
            return
        os.chmod(file, 0o644)
        os.rename(file, name, dst_dir_fd=at)
        say(f"the archive is kept: {kept}")
    finally:
        os.close(at)
