"""The connections that all data sets of a root may hold at a time: each is a file that is locked while it is open."""

from __future__ import annotations

import os
import time

from .places import try_lock
from .say import say

# Connections of one data set: a server that gives each so much is asked for no more at once.
MOST_OF_ONE = 8


class Slots:
    """
    states: the folder of the locks, ROOT/data/.gpubox. limit: of all connections together. Not for several threads at once.
    """

    def __init__(self, states: str, limit: int) -> None:
        self._states = states
        self._limit = limit
        self._held: list[int] = []

    def take_first(self) -> None:
        """Waits until there is room for a connection."""
        waited = 0
        while not self._take():
            if waited % 10 == 0:
                say(f"waiting for other data sets to download (connections: {self._limit})")
            time.sleep(1)
            waited += 1

    def take_more(self, count: int) -> int:
        """Up to so many further ones, as far as there is room; gives how many."""
        taken = 0
        while taken < count and len(self._held) < MOST_OF_ONE and self._take():
            taken += 1
        return taken

    def give_back(self, keep: int = 0) -> None:
        while len(self._held) > keep:
            os.close(self._held.pop())

    def _take(self) -> bool:
        for number in range(1, self._limit + 1):
            slot = self._lock(number)
            if slot is not None:
                self._held.append(slot)
                return True
        return False

    def _lock(self, number: int) -> int | None:
        # No folder of a data set has such a name there: see Place.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        slot = os.open(f"{self._states}/%slot-{number}", flags, 0o644)
        if try_lock(slot):
            return slot
        os.close(slot)
        return None
