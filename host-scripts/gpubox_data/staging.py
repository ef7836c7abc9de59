"""The folder that an archive is unpacked in, and what of it becomes the data set."""
from __future__ import annotations

from typing import NamedTuple


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
    return Tree(staging, 0)
