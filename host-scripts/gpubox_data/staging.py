"""The folder that an archive is unpacked in, and what of it becomes the data set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from .entries import check_link, control, has_control
from .places import FOLDER, discard

# Descriptors of folders that are held at a time. macOS gives a process 256.
_HELD = 48
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Folders:
    """
    The folders below one, made as they are needed. They are opened a name at a time, never through a link, and those used last stay
    open: what becomes of the way to one is no concern of what is written in it.
    """

    def __init__(self, top: str) -> None:
        self._open: dict[bytes, int] = {b"": os.open(top, FOLDER)}

    def at(self, path: bytes, make: bool = True) -> int:
        """The descriptor of a folder, which is good until the next one is asked for. Raises OSError where it can be none."""
        held = self._open.get(path)
        if held is not None:
            return held
        above, _, name = path.rpartition(b"/")
        parent = self.at(above, make)
        if make:
            try:
                os.mkdir(name, dir_fd=parent)
            except FileExistsError:
                pass
        folder = os.open(name, FOLDER, dir_fd=parent)
        if len(self._open) >= _HELD:
            self._close_oldest()
        self._open[path] = folder
        return folder

    def _close_oldest(self) -> None:
        oldest = next(path for path in self._open if path)
        os.close(self._open.pop(oldest))

    def create(self, path: bytes, executable: bool) -> int:
        """The descriptor of a new file. Raises FileExistsError where something is there."""
        folder, _, name = path.rpartition(b"/")
        return os.open(name, _NEW, 0o755 if executable else 0o644, dir_fd=self.at(folder))

    def close(self) -> None:
        for folder in self._open.values():
            os.close(folder)
        self._open.clear()


def write_all(file: int, content: memoryview) -> None:
    while content:
        content = content[os.write(file, content) :]


class Tree(NamedTuple):
    """What becomes the data set: a folder, and the number of files in it, links included."""

    path: str
    files: int


def tree_of(staging: str, kind: str) -> Tree:
    """
    The only folder at the top, or all of it; all of it also where `kind` is "plain". What macOS and Windows leave beside it is no part of
    a data set. A .gpubox.json that the archive brought is removed.

    Raises Unusable where a link in it leads out of it: one that stayed inside the archive may not stay inside its single folder.
    """
    tree = staging if kind == "plain" else single_folder(staging)
    discard(f"{tree}/.gpubox.json")
    files = 0
    for path, is_link in _files_below(os.fsencode(tree)):
        files += 1
        if is_link:
            if has_control(path):
                raise control(path)
            check_link(path, os.readlink(os.fsencode(tree) + b"/" + path))
    return Tree(tree, files)


def single_folder(staging: str) -> str:
    """The only folder at the top, or all of it."""
    with os.scandir(staging) as found:
        top = [each for each in found if not _is_litter(each.name)]
    if len(top) == 1 and top[0].is_dir(follow_symlinks=False):
        return top[0].path
    return staging


def _is_litter(name: str) -> bool:
    """Whether macOS or Windows leaves a file or folder of this name beside others."""
    return name in ("__MACOSX", ".DS_Store", "Thumbs.db", "thumbs.db", "Desktop.ini", "desktop.ini") or name.startswith("._")


def _files_below(folder: bytes) -> Iterator[tuple[bytes, bool]]:
    """All that is no folder, by its path from there, and whether it is a link."""
    waiting = [b""]
    while waiting:
        below = waiting.pop()
        with os.scandir(folder + b"/" + below) as found:
            for each in found:
                path = below + each.name
                if each.is_dir(follow_symlinks=False):
                    waiting.append(path + b"/")
                else:
                    yield path, each.is_symlink()
