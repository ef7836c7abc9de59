"""The rules of what may be unpacked, the same for every kind of archive, and why an archive is not."""
from __future__ import annotations

from typing import List

from .say import megabytes


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

    >>> raise NoRoom("unpacking 3 files needs 5.0 MB", free=3_100_000)
    """

    def __init__(self, what: str, free: int, *more: str) -> None:
        super().__init__(what)
        self.what = what
        self.free = free
        self.more = more

    def lines(self, place: str, origin: str) -> List[str]:
        return [f"{self.what} in {place}, and {megabytes(self.free)} are free ({origin})", *self.more]


class NoInodes(NoRoom):
    """The disk takes no further files, whatever their size."""

    def lines(self, place: str, origin: str) -> List[str]:
        return [f"unpacking {origin} makes {self.what} files and folders, and {place} has room for {self.free}"]
