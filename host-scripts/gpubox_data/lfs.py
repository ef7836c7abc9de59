"""The files of a commit that Git LFS holds."""

from __future__ import annotations

import os
import re

from . import tree
from .checkout import Checkout
from .git import LFS_FILTER, GitError
from .move import place_files, put_index, stamp
from .places import exists, remove
from .server import Server
from .work import Work


def furnish_lfs(work: Work, server: Server, checkout: Checkout, commit: str) -> None:
    """Fetching takes long and leaves the files alone; putting them in place is short."""
    twin = checkout.twin
    twin.output("update-ref", "--no-deref", "HEAD", commit)
    objects = _objects(twin.output("lfs", "ls-files", "--long", commit))
    ours, theirs = f"{twin.path}/lfs/objects", f"{checkout.gitdir}/lfs/objects"
    if not checkout.is_clone:
        os.makedirs(ours, exist_ok=True)
        _borrow(checkout, objects, theirs, ours)
    try:
        server.online(twin, "lfs", "fetch", "origin", commit)
    except GitError:
        raise server.cannot_fetch(f"the LFS files of {work.wanted.url}") from None
    # So that the notebook's git sees the files unchanged; no hooks.
    work.configure(checkout, LFS_FILTER)
    try:
        if checkout.is_clone:
            twin.output("lfs", "checkout", tree=checkout.tree)
            return
        tree.make_folders(checkout.place.base, checkout.gitdir, "lfs/objects")
        _borrow(checkout, objects, ours, theirs)
        work.lock_index(checkout)
        _place(checkout, commit)
        work.unlock_index()
    except tree.InTheWay as found:
        raise work.in_the_way(checkout, commit, found.paths) from None
    except GitError:
        raise work.stuck(checkout, commit) from None


def _objects(listing: bytes) -> list[str]:
    """What LFS calls the files, which is the hash of their text."""
    names = {line.split(b" ")[0].decode("ascii", "replace") for line in listing.splitlines()}
    return sorted(each for each in names if re.fullmatch("[0-9a-f]{64}", each))


def _place(checkout: Checkout, commit: str) -> None:
    paths: set[bytes] = set(checkout.twin.output("lfs", "ls-files", "--name-only", commit).split(b"\n"))
    moves = tree.moves_again(checkout.twin.output("ls-tree", "-r", "-z", commit), paths)
    # Pointers are what they are by their very bytes: what is there needs no look.
    placing = place_files(checkout, commit, moves, tree.Look(), more={"GIT_LFS_SKIP_SMUDGE": "0"})
    stamp(checkout, placing)
    put_index(checkout)


def _borrow(checkout: Checkout, objects: list[str], source: str, target: str) -> None:
    """Files of LFS, whose text nothing but their checkout depends on, under a second name."""
    base = checkout.place.base
    ours = f"{checkout.work}/lfs-file"
    for each in objects:
        folder = f"{each[:2]}/{each[2:4]}"
        if exists(f"{target}/{folder}/{each}"):
            continue
        remove(ours)
        try:
            with tree.opened(base, f"{source}/{folder}") as at:
                found = tree.second_name(at, os.fsencode(each), os.fsencode(ours)) and exists(ours)
        except OSError:
            continue
        if found:
            tree.make_folders(base, target, folder)
            tree.put(base, ours, f"{target}/{folder}", each)
