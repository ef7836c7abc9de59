"""A file that is there, or still arriving: what unpacks it and what hashes it read it from the front as it comes."""

from __future__ import annotations

import os


class Interrupted(Exception):
    """The rest of the file does not come; whoever fetches it says why."""


class Source:
    """
    A file on this machine that is whole. Its fetching kind, which has parts that are not there yet, is in download.py.

    path: its name. size: of the whole, in bytes; None as long as nobody has said it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        # Without waiting: nobody may ever write to a pipe.
        self.file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self.size: int | None = os.fstat(self.file).st_size

    @property
    def is_whole(self) -> bool:
        """Whether all of it is there."""
        return True

    # Whether some of it is from an earlier run.
    is_continued = False

    def wait(self, end: int) -> int:
        """
        Waits until all bytes before `end` are there, or as many as there will be, and gives how many are there from the front.

        Raises Interrupted where they do not come.
        """
        return min(end, self.size or 0)

    def wait_for_all(self) -> int:
        """Waits for the whole file, and gives its size in bytes. Raises Interrupted."""
        return self.size or 0

    def want(self, start: int, end: int) -> bool:
        """
        Has these bytes brought before all others, and waits for them. False where they come in their turn only: then `wait` is what is
        left to do. Raises Interrupted.
        """
        return True

    def read(self, start: int, end: int) -> bytes:
        """Bytes that are there."""
        parts = []
        while start < end:
            part = os.pread(self.file, min(end - start, 1 << 20), start)
            if not part:
                break
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def announced_size(self) -> int | None:
        """Bytes that the server said it has; None where nobody said it."""
        return None

    def report(self) -> str:
        """How far it is, as long as it is not whole."""
        return ""

    def finish(self) -> str:
        """Gives the whole file a name to stay, and tells it."""
        return self.path

    def discard(self) -> None:
        """Forgets what has arrived."""

    def close(self) -> None:
        os.close(self.file)
