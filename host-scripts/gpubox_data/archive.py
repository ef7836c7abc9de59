"""
Unpacks an archive beside where it will be, while it is still arriving.

`Workers` are to be made after the lock has been taken, which they then hold as long as they live, and before the first thread starts.
"""

from __future__ import annotations

from typing import Callable

from .entries import NoRoom, Unusable
from .source import Source
from .staging import Tree, tree_of
from .workers import Progress, Workers

__all__ = ["NoRoom", "Progress", "Tree", "Unusable", "Workers", "format_of", "holds_tar", "tree_of", "unpack"]

# What the first bytes of a file say of it, beside a tar's, which are further back.
_MAGIC = (
    (b"PK\3\4", "zip"),
    (b"PK\5\6", "zip"),  # Where it is empty.
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\7", "rar"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)


def format_of(path: str) -> str:
    """What the first bytes of a file say: "zip", "tar", "7z", "rar", "gzip", "bzip2", "xz", "zstd", or nothing."""
    with open(path, "rb") as file:
        start = file.read(512)
    for magic, name in _MAGIC:
        if start.startswith(magic):
            return name
    # And the size of a block.
    if start[:3] == b"BZh" and start[3:4].isdigit():
        return "bzip2"
    return "tar" if start[257:262] == b"ustar" else ""


def holds_tar(path: str) -> bool:
    """Whether a tar is in it, compressed or not."""
    from .tars import holds_tar as look

    return look(path)


def unpack(
    kind: str,
    source: Source,
    staging: str,
    workers: Workers,
    progress: Progress,
    *,
    say_size: Callable[[int, int], None],
) -> int:
    """
    Fills the folder `staging`, which is made here, from an archive of this kind, "zip" or "tar", and gives the number of files in it.

    say_size: told the number of files, and of their bytes, before the first is written; of a tar nobody knows them before its end, and it
    is not called.

    Raises Unusable where the archive is at fault, NoRoom where the disk is, Failure where something else of this machine is, and what
    `source` raises. What is in `staging` then is to be discarded; the workers are ready for another archive.
    """
    if kind == "zip":
        from .unpack_zip import unpack_zip

        return unpack_zip(source, staging, workers, progress, say_size)
    from .unpack_tar import unpack_tar

    return unpack_tar(source, staging, progress)
