"""Which parts of a download are there: kept on the disk, so that no byte is asked for twice, however a run ended."""

from __future__ import annotations

import bisect
import os

from .places import read_mark


class Arrived:
    """
    Ranges of bytes, each from a start to before an end, in order and apart from one another. A file lists them as they come, a line each.

    Not for several threads at once: whoever shares one has a lock.
    """

    def __init__(self, path: str) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        # Bytes in all.
        self.count = 0
        self._journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)

    @staticmethod
    def read(path: str, limit: int) -> Arrived:
        """What an earlier run noted of a file that has `limit` bytes by now. A last line that is cut off does not count."""
        text = read_mark(path, largest=1 << 26)
        arrived = Arrived(path)
        ranges = _ranges(text, limit) if text is not None else [(0, limit)]
        os.ftruncate(arrived._journal, 0)
        for start, end in ranges:
            arrived.add(start, end)
        arrived._note(arrived.all())
        return arrived

    def note(self, start: int, end: int) -> None:
        """Writes a range down; called when some of it has come together."""
        self._note([(start, end)])

    def _note(self, ranges: list[tuple[int, int]]) -> None:
        os.write(self._journal, "".join(f"{start} {end}\n" for start, end in ranges).encode())

    def all(self) -> list[tuple[int, int]]:
        return list(zip(self._starts, self._ends))

    def clear(self) -> None:
        self._starts.clear()
        self._ends.clear()
        self.count = 0
        os.ftruncate(self._journal, 0)

    def add(self, start: int, end: int) -> None:
        """Bytes that have been written to the file."""
        first = bisect.bisect_left(self._ends, start)
        last = bisect.bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
            self.count -= sum(self._ends[each] - self._starts[each] for each in range(first, last))
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        self.count += end - start

    @property
    def front(self) -> int:
        """How many bytes are there from the front."""
        return self._ends[0] if self._starts and self._starts[0] == 0 else 0

    def has(self, start: int, end: int) -> bool:
        at = bisect.bisect_right(self._starts, start) - 1
        return start >= end or (at >= 0 and self._ends[at] >= end)

    def close(self) -> None:
        os.close(self._journal)


def _ranges(text: str, limit: int) -> list[tuple[int, int]]:
    found = []
    for line in text.split("\n")[:-1]:
        start, _, end = line.partition(" ")
        if start.isdigit() and end.isdigit() and int(start) < int(end) <= limit:
            found.append((int(start), int(end)))
    return found


def first_gap(taken: list[tuple[int, int]], start: int, end: int) -> tuple[int, int] | None:
    """The first range between `start` and `end` that none of these, in any order, is in."""
    stop = end
    for each_start, each_end in sorted(taken):
        if each_end <= start:
            continue
        if each_start > start:
            stop = min(each_start, end)
            break
        start = each_end
    return (start, stop) if start < stop else None
