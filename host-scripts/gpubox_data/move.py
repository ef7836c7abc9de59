"""
A move of a checkout from one commit to another, which is a list of paths: git makes the new files in a folder of ours, each gets its place
by a rename, and the checkout's own git is told of it.

The index of the checkout is locked meanwhile (Work.lock_index).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from . import tree
from .checkout import Checkout
from .places import discard

# What git calls a commit's folder in which there is nothing.
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def move(checkout: Checkout, old: str | None, new: str, look: tree.Look, *, done: tree.Look | None = None) -> list[str]:
    """
    Moves a checkout whose reader has its index, and whose twin has both commits; `old` is None where it is at none. What was edited since
    the look stays: those paths are returned. With `done`, which compared it with the new commit, what is in the way stays as well.

    Raises tree.InTheWay where nothing was moved as something of the person's is in the way, and GitError.
    """
    checkout.give()
    changes = checkout.twin.output("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old or EMPTY_TREE, new)
    placing = place_files(checkout, new, tree.moves_of(changes), look, done=done)
    checkout.twin.output("read-tree", "--reset", new, index=_index(checkout), tree=_new(checkout))
    stamp(checkout, placing)
    _settle(checkout, old, new)
    return placing.stays


def place_files(
    checkout: Checkout,
    commit: str,
    moves: list[tree.Move],
    look: tree.Look,
    *,
    done: tree.Look | None = None,
    more: Mapping[str, str] | None = None,
) -> tree.Placing:
    """Those of a commit; `more` goes into the environment of the git that makes them. Raises tree.InTheWay and GitError."""
    new = _new(checkout)
    index = f"{checkout.folder}/index"
    discard(new)
    os.mkdir(new)
    checkout.twin.output("read-tree", commit, index=index)
    arriving = b"".join(each.path + b"\0" for each in moves if each.is_file)
    checkout.twin.output("checkout-index", "-z", "--stdin", index=index, tree=new, stdin=arriving, more=more)
    with tree.work_tree(checkout.place.base, checkout.tree) as files:
        if done is None:
            tree.refuse_what_is_in_the_way(files, moves, new)
        placing = tree.Placing(files, new, look, done)
        placing.run(moves)
    return placing


def stamp(checkout: Checkout, placing: tree.Placing) -> None:
    """Has the index know the files that are in their places. Raises GitError."""
    index = _index(checkout)
    checkout.twin.output("update-index", "--index-version", "2", index=index, tree=_new(checkout))
    tree.stamp(index, placing.stats)


def put_index(checkout: Checkout) -> None:
    checkout.put(_index(checkout), "", "index")


def _settle(checkout: Checkout, old: str | None, new: str) -> None:
    """The checkout's own git is to know of it."""
    put_index(checkout)
    checkout.put_text(f"{new}\n", "HEAD")
    log = f"{checkout.reader.path}/logs/HEAD"
    if old is None or not os.path.exists(log) or os.path.getsize(log) == 0:
        return
    import time

    with open(log, "rb") as file:
        lines = os.fsdecode(file.read())
    line = f"{old} {new} gpubox <gpubox@localhost> {int(time.time())} +0000\tcheckout: moving from {old} to {new}\n"
    checkout.put_text(lines + line, "HEAD", "logs")


def _index(checkout: Checkout) -> str:
    return f"{checkout.reader.path}/index"


def _new(checkout: Checkout) -> str:
    """Where git makes the files that are to come."""
    return f"{checkout.folder}/new"
