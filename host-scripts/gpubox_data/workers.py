"""Processes that write files, started before the first thread, and their common work."""
from __future__ import annotations

from typing import Optional


class Progress:
    """
    How far an unpacking is, for whoever looks on from another thread.

    files, bytes: written so far. total_files, total_bytes: 0 as long as they are not known. read: bytes of the archive that have been
    used up, from its front.
    """

    def __init__(self) -> None:
        self.files = 0
        self.bytes = 0
        self.total_files = 0
        self.total_bytes = 0
        self.read = 0


class Workers:
    """`with Workers() as workers:` has processes ready, as many as this one may use cores (16 at most). They end with it, however it ends."""

    def __init__(self, count: Optional[int] = None) -> None:
        self.count = count

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends them, and waits for that."""
