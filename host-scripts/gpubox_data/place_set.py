"""The last step of a data set: from the state folder into its place."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from .kept import copy_file, keep_archive
from .ours import LEFT_OVER, MARKER
from .places import flush, remove, take_place
from .say import Watch
from .seen import shown_url

if TYPE_CHECKING:
    from .dataset import Set
    from .fetch import Fetching


def put_into_place(wanted: Set, fetched: Fetching, target: str) -> None:
    """Has the folder at its place, whole, also after a power cut; or nothing. Raises Failure."""
    with open(f"{wanted.place.state}/{LEFT_OVER}", "w", encoding="ascii") as file:
        file.write(f"{fetched.files}\n")
    tree = fetched.tree if fetched.kind.kind != "plain" else _folder_of_file(fetched)
    parent = wanted.place.open_parent(make=True)
    assert parent is not None
    try:
        name = os.path.basename(target)
        if fetched.file is not None:
            if wanted.keep_archive and fetched.kind.kind != "plain":
                keep_archive(parent, target, fetched.file, fetched.name, fetched.origin)
            # Before the marker is written: what changes after it counts as the person's, and to lose its second name is a change to a file.
            remove(fetched.file)
        _mark(tree, fetched, wanted.sha256)
        with Watch("writing to the disk"):
            flush(tree)
        why = take_place(tree, parent, name)
        if why is not None:
            wanted.in_the_way(target, why)
    finally:
        os.close(parent)


def _folder_of_file(fetched: Fetching) -> str:
    assert fetched.file is not None
    os.mkdir(fetched.staging)
    path = f"{fetched.staging}/{fetched.name}"
    try:
        os.link(fetched.file, path)
    except OSError:
        copy_file(fetched.file, path)
    return fetched.staging


def _mark(tree: str, fetched: Fetching, sha256: str) -> None:
    said = {"url": shown_url(fetched.url), "sha256": sha256, "files": fetched.files}
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(f"{tree}/{MARKER}", flags, 0o644), "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(json.dumps(said, ensure_ascii=False) + "\n")
