"""Says again, of a data set that is there, what its only file is."""

from __future__ import annotations

import os
import tempfile

from .archive import format_of, holds_tar
from .identify import kept_note
from .places import open_file
from .say import say

_BEGINNING = 1 << 20


def say_what_is_kept(folder: str, name: str) -> None:
    """
    Says of a plain file that is in place how it is packed, if it is. By a copy of how it begins: what is there by now may be anything,
    without an end perhaps.
    """
    opened = open_file(f"{folder}/{name}")
    if opened is None:
        return
    with os.fdopen(opened[0], "rb") as file:
        beginning = file.read(_BEGINNING)
    with tempfile.NamedTemporaryFile() as copy:
        copy.write(beginning)
        copy.flush()
        found = format_of(copy.name)
        for line in kept_note(name, found, lambda: holds_tar(copy.name), folder) if found else ():
            say(line)
