"""Empties the folder of a data set, as far as its files are as they were put there."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from .ours import MARKER, REMOVING
from .parameters import person
from .places import FOLDER, is_file
from .say import say, say_kept

# No data set's folders are as deep. Each level takes a descriptor, and a notebook can make folders without an end.
DEEPEST = 300
# Of the person's files, how many are named.
SHOWN = 10


class Inside(NamedTuple):
    """Something in a folder that is gone through."""

    # Descriptor of the folder that it is in.
    at: int
    name: str
    # From the folder that was begun with: "./train/a".
    path: str
    found: os.stat_result

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.found.st_mode)

    @property
    def inode(self) -> tuple[int, int]:
        return self.found.st_dev, self.found.st_ino


def purge_data(parent: int, at: int, path: str) -> tuple[str, list[str]] | None:
    """
    Removes the files of a data set that have not changed since its marker was written, with the archive that was kept beside it.

    parent: descriptor of the folder that it is in. at: its own. path: what messages call it.
    None where nothing but the marker is left. Otherwise why the rest is kept, in words that follow its path, and some of it.
    """
    marker = MARKER if is_file(MARKER, at) else REMOVING
    # When it was written, not when it got its other name.
    since = os.stat(marker, dir_fd=at, follow_symlinks=False).st_mtime_ns
    unwritable, several = _look(at, since)
    if unwritable:
        return f"whole, as {person()} may not write to some of its folders", unwritable[:SHOWN]
    os.rename(marker, REMOVING, src_dir_fd=at, dst_dir_fd=at)
    _purge_archive(parent, path, since)
    count, kept = _remove_unchanged(at, since, several)
    if count:
        os.unlink(REMOVING, dir_fd=at)
        return f"with {count} files that you changed or added", kept
    if os.listdir(at) != [REMOVING]:
        return "as something in it cannot be removed", []
    return None


def _purge_archive(parent: int, path: str, since: int) -> None:
    """The download that was kept beside a data set: a file that has not changed since then, in nanoseconds."""
    name = f"{os.path.basename(path)}.archive"
    try:
        at = os.open(name, FOLDER, dir_fd=parent)
    except OSError:
        return
    try:
        for each in os.listdir(at):
            if is_file(each, at) and os.stat(each, dir_fd=at, follow_symlinks=False).st_ctime_ns <= since:
                os.unlink(each, dir_fd=at)
        os.rmdir(name, dir_fd=parent)
        say(f"removed: {path}.archive")
    except OSError:
        left = (f"../{name}{each.path[1:]}" for each in walk(at) if not each.is_folder)
        say_kept(f"{path}.archive", "with files that you changed or added", list(islice(left, SHOWN)))
    finally:
        os.close(at)


def _look(at: int, since: int) -> tuple[list[str], set[tuple[int, int]]]:
    """
    The folders that files cannot be removed from; and the unchanged files of several names, by device and inode: the loss of a name is
    a change to the others.
    """
    unwritable = [] if _may_empty(".", at) else ["."]
    several = set()
    for each in walk(at):
        if each.is_folder:
            if not _may_empty(each.name, each.at):
                unwritable.append(each.path)
        elif each.found.st_nlink > 1 and each.found.st_ctime_ns <= since:
            several.add(each.inode)
    return unwritable, several


def _may_empty(name: str, at: int) -> bool:
    return os.access(name, os.R_OK | os.W_OK | os.X_OK, dir_fd=at)


def _remove_unchanged(at: int, since: int, several: set[tuple[int, int]]) -> tuple[int, list[str]]:
    """
    Removes the files below a folder that have not changed since then, in nanoseconds, or are among those of several names, and the folders
    that are empty after that. How many files are left, and some of them.

    Only of files it is asked whether they changed: folders do by what is removed from them.
    """
    count = 0
    kept: list[str] = []
    for each in walk(at):
        if each.is_folder:
            _removed(os.rmdir, each)
        elif each.path != f"./{REMOVING}":
            unchanged = each.found.st_ctime_ns <= since or each.inode in several
            if not (unchanged and _removed(os.unlink, each)):
                count += 1
                kept += [each.path] if count <= SHOWN else []
    return count, kept


def _removed(remove: Callable[..., None], each: Inside) -> bool:
    try:
        remove(each.name, dir_fd=each.at)
    except OSError:
        return False
    return True


def walk(at: int, path: str = ".", depth: int = 0) -> Iterator[Inside]:
    """
    All that is below a folder, by its descriptor: what is in a folder comes before that itself. A link is not followed, and what is mounted
    there, or too deep, is not gone into.
    """
    for name in os.listdir(at):
        try:
            found = os.stat(name, dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(found.st_mode) and depth < DEEPEST:
            yield from _walk_into(at, name, f"{path}/{name}", depth + 1)
        yield Inside(at, name, f"{path}/{name}", found)


def _walk_into(at: int, name: str, path: str, depth: int) -> Iterator[Inside]:
    try:
        below = os.open(name, FOLDER, dir_fd=at)
    except OSError:
        return
    try:
        if os.fstat(below).st_dev == os.fstat(at).st_dev:
            yield from walk(below, path, depth)
    finally:
        os.close(below)
