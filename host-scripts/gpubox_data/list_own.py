"""Lists what gpubox has put below ROOT for entries of `code` and `data`, in the configuration or not any more.

  ROOT  of the stack: absolute, or "~/..."

stdout: a line for each folder that is gpubox's, and for each in which a download or a clone is half made: kind (code or data), the entry's
folder, kilobytes on the disk, path; tabs between them.
Exit: 0 done, 2 bad parameter.
"""

from __future__ import annotations

import os

from . import say
from .ours import each_of_ours
from .parameters import absolute_root, has_control_character, stays_below
from .places import Place, is_folder


def run() -> None:
    say.topic = "list"
    root = absolute_root()
    for kind in ("code", "data"):
        # Whatever it works on has a folder of its own there.
        for state in _names(f"{root}/{kind}/.gpubox"):
            folder = state.replace("%2F", "/").replace("%25", "%")
            # Whoever could write there could think of any name.
            if stays_below(folder) and not has_control_character(folder):
                _list_entry(Place(root, kind, folder))


def _list_entry(place: Place) -> None:
    # Not by another way of writing its name.
    if not is_folder(place.state):
        return
    for path in each_of_ours(place):
        _show(place, path)
    if any(name != "lock" and not name.endswith(".log") for name in _names(place.state)):
        _show(place, place.state)


def _show(place: Place, path: str) -> None:
    say.result(f"{place.kind}\t{place.folder}\t{disk_usage(path)}\t{path}")


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def disk_usage(path: str) -> int:
    """What a folder takes on the disk, with all in it that may be looked at, in kilobytes; a file of several names once."""
    blocks = os.lstat(path).st_blocks
    counted: set[tuple[int, int]] = set()
    waiting = [path]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif found.st_nlink > 1:
                        if (found.st_dev, found.st_ino) in counted:
                            continue
                        counted.add((found.st_dev, found.st_ino))
                    blocks += found.st_blocks
        except OSError:
            # Gone meanwhile, or nobody's to look at.
            continue
    return -(-blocks // 2)
