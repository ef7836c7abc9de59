"""What a download leaves in the state folder of a data set, for the next run to go on with."""

from __future__ import annotations

import hashlib
import json
import os

from .identify import Answer
from .places import remove


class BegunAnew(Exception):
    """What an earlier run had left was of another file, and is gone."""


class Files:
    """The files of a download in a state folder."""

    def __init__(self, state: str, sha256: str) -> None:
        key = f"{state}/{sha256 or 'unseen'}"
        self._has_hash = bool(sha256)
        self.part = f"{key}.part"
        self.have = f"{key}.have"
        self.answer = f"{key}.answer"
        self.file = f"{key}.file"
        # Of an earlier version, which had other programs do it.
        self.foreign = (f"{key}.parts", f"{key}.parts.aria2", f"{key}.log")

    def recall(self, url: str) -> Answer | None:
        """
        What the server said to an earlier run of the file at this url. Where no hash would show what a power cut has left of it: since
        this machine was started.
        """
        try:
            with open(self.answer, encoding="utf-8") as file:
                said: dict[str, object] = json.load(file)
            if said["url"] != _hash(url) or (not self._has_hash and said["boot"] != _boot()):
                return None
            size = said["size"]
            known = size if isinstance(size, int) else None
            return Answer(known, str(said["version"]), str(said["type"]), str(said["name"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def note(self, url: str, answer: Answer) -> None:
        said = {
            "url": _hash(url),
            "boot": _boot(),
            "size": answer.size,
            "version": answer.version,
            "type": answer.media_type,
            "name": answer.name,
        }
        fresh = f"{self.answer}.new"
        try:
            with open(fresh, "w", encoding="utf-8") as file:
                json.dump(said, file)
            os.replace(fresh, self.answer)
        except OSError:
            # On a disk that is full it is known for this run alone.
            remove(fresh)

    def remove_part(self) -> None:
        remove(self.part, self.have)


def _boot() -> str:
    """Which start of this machine this is; the same for all where it does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _hash(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()
