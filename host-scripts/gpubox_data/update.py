"""A checkout that is there: moved on to another commit, and brought to an end where a run was killed at that."""

from __future__ import annotations

import os
from collections.abc import Iterator

from . import tree
from .checkout import Checkout, Mark
from .extras import furnish
from .git import GitError, Repository
from .gitmodules import Submodule, is_safe
from .move import move
from .places import exists, flush, read_mark, remove
from .say import quoted, say
from .server import Found, Server
from .submodules import submodules_in
from .work import Work, say_stays, show_some


def seed_head(work: Work, checkout: Checkout, commit: str | None) -> None:
    """Has in the twin what the checkout has of the commit that it is at, which is needed to leave it, and of another."""
    checkout.seed(checkout.head, commit)
    if not checkout.head or not checkout.twin.has(checkout.head):
        raise work.stuck(checkout, commit or work.wanted.ref)


def obtain(work: Work, server: Server, checkout: Checkout, found: Found) -> str:
    """Has in the twin all that is needed to go from the commit that the checkout is at to another, which is returned."""
    seed_head(work, checkout, found.commit)
    return server.obtain(checkout.twin, found)


def move_on(work: Work, server: Server, checkout: Checkout, name: str, commit: str) -> None:
    """Brings the checkout to a commit, which its twin has, with all that is wanted. `name` is that of the tag or branch, or ""."""
    work.begin()
    work.lock_index(checkout)
    if checkout.head == commit:
        # What is brought beside a commit goes around what is edited.
        _note_next(work, checkout, name, commit)
    else:
        look = _look_without_changes(work, checkout, commit)
        _note_next(work, checkout, name, commit)
        say(f"from {checkout.head} to {work.wanted.ref} ({commit})")
        try:
            stays = move(checkout, checkout.head, commit, look)
        except tree.InTheWay as found:
            remove(work.next)
            raise work.in_the_way(checkout, commit, found.paths) from None
        except GitError:
            remove(work.next)
            raise work.stuck(checkout, commit) from None
        say_stays(checkout, stays)
    work.unlock_index()
    furnish(work, server, checkout, commit)
    flush(checkout.tree)
    work.remember(checkout, work.wanted.ref, name, commit, work.wanted.extras)
    remove(work.next)


def _note_next(work: Work, checkout: Checkout, name: str, commit: str) -> None:
    made = f"{work.folder}/next"
    with open(made, "wb") as file:
        file.write(os.fsencode(f"old={checkout.head}\nnew={commit}\nref={work.wanted.ref}\nname={name}\n"))
    os.replace(made, work.next)


def _look_without_changes(work: Work, checkout: Checkout, commit: str) -> tree.Look:
    """Looks at the checkout; ends the run where git would have to overwrite something of the person's to move it on."""
    wanted = work.wanted
    look, changes = _changes(work, checkout)
    if wanted.submodules and checkout.head is not None:
        changes.extend(_submodule_changes(work, checkout, checkout.head, work.lacks_extras(checkout)))
    if not changes:
        return look
    show_some(changes)
    extras = f" with {' '.join(wanted.extras)}" if wanted.extras else ""
    say(f"{checkout.tree} has local changes (above), so it stays at {checkout.head} instead of {wanted.ref} ({commit}{extras})")
    say("  put them aside in a terminal of the notebook, and run again:")
    there = quoted(work.in_notebook())
    if wanted.submodules:
        say(f"    git -C {there} diff --submodule=log")
        say(f"    git -C {there} submodule foreach --recursive git stash")
    raise work.stop(3, f"    git -C {there} stash", f"  they come back with:  git -C {there} stash pop")


def _changes(work: Work, checkout: Checkout) -> tuple[tree.Look, list[str]]:
    try:
        look = checkout.look_at_index()
        return look, [*checkout.staged(), *look.lines]
    except GitError:
        raise work.no_index(checkout) from None


def _submodule_changes(work: Work, checkout: Checkout, commit: str, lacking: bool) -> Iterator[str]:
    """
    Where a run did not get all submodules (`lacking`), those that it did not get are at another commit, which is no change of the
    person's.
    """
    for each, submodule in _submodules_there(work, checkout, checkout.reader, commit):
        git = f"{submodule.tree}/.git"
        if os.path.islink(git):
            raise work.stop(3, f"{git} is a link, where git makes none; remove it and run again")
        if not submodule.is_populated():
            continue
        work.read(submodule)
        if submodule.head != each.commit and not lacking:
            yield f" M {submodule.path}"
        for line in _changes(work, submodule)[1]:
            yield f"{line[:3]}{submodule.path}/{line[3:]}"
        if submodule.head is not None:
            yield from _submodule_changes(work, submodule, submodule.head, lacking)


def _submodules_there(work: Work, checkout: Checkout, repository: Repository, commit: str) -> Iterator[tuple[Submodule, Checkout]]:
    """Those of a commit that the checkout has a repository of."""
    for each in submodules_in(work, checkout, repository, commit):
        if is_safe(checkout.gitdir, each.name):
            submodule = checkout.submodule(each.path, each.name)
            if exists(submodule.gitdir):
                yield each, submodule


# --- after a run that was killed --------------------------------------------------------------------------------------


def recover(work: Work, server: Server, checkout: Checkout) -> None:
    """
    Where an earlier run was killed, or did not get all that was wanted: brings the checkout to its commit, and leaves it to this run to
    furnish it.
    """
    following = Mark(read_mark(work.next) or "")
    old, new = following.commit("old"), following.commit("new")
    if exists(work.busy) and checkout.head in (old, new):
        say(f"an earlier run was stopped on the way from {old} to {new}; going on")
        checkout.make_twin(work.wanted.url)
        checkout.seed(old, new)
        for commit in (old, new):
            if not checkout.twin.has(commit):
                try:
                    server.fetch(checkout.twin, commit)
                except GitError:
                    raise server.cannot_fetch(work.wanted.url) from None
        _finish(work, checkout, old, new)
        _finish_submodules(work, checkout, checkout.twin, new)
    work.remember(checkout, following.field("ref"), following.field("name"), new, [])
    remove(work.next)
    work.end()
    work.read(checkout)


def _finish(work: Work, checkout: Checkout, old: str, new: str) -> None:
    """A run that was killed leaves files of the old commit and of the new one. What is neither is the person's, and stays."""
    work.lock_index(checkout)
    try:
        look, done = (_look_as_at(checkout, commit, name) for commit, name in ((old, "look"), (new, "done")))
        stays = move(checkout, old, new, look, done=done)
    except GitError:
        raise work.stuck(checkout, new) from None
    work.unlock_index()
    say_stays(checkout, stays)


def _look_as_at(checkout: Checkout, commit: str, name: str) -> tree.Look:
    """Compares its files with a commit, in a folder of ours of this name."""
    index = f"{checkout.folder}/index.{name}"
    checkout.twin.output("read-tree", commit, index=index)
    return checkout.look(checkout.twin, index, name)


def _finish_submodules(work: Work, checkout: Checkout, repository: Repository, commit: str) -> None:
    """The same. One that was never checked out, as its clone was cut short or its commit did not come, has nothing in it yet."""
    for each, submodule in _submodules_there(work, checkout, repository, commit):
        work.read(submodule)
        if not submodule.reader.has(each.commit):
            if not exists(f"{submodule.reader.path}/index"):
                _begin_anew(work, submodule, each.name)
        elif submodule.is_populated():
            head = submodule.head or "a commit of its own"
            submodule.make_twin()
            submodule.seed(head, each.commit)
            for commit_needed in (head, each.commit):
                if not submodule.twin.has(commit_needed):
                    raise work.stuck(submodule, commit_needed)
            _finish(work, submodule, head, each.commit)
            _finish_submodules(work, submodule, submodule.reader, each.commit)


def _begin_anew(work: Work, submodule: Checkout, name: str) -> None:
    """Has it fetched as one that is not there yet."""
    base, gone = work.place.base, f"{work.folder}/gone"
    tree.take_away(base, os.path.dirname(submodule.gitdir), os.path.basename(submodule.gitdir), gone)
    try:
        with tree.opened(base, submodule.tree) as at:
            is_linked = f"/modules/{name}" in (read_mark(".git", at) or "")
    except OSError:
        return
    if is_linked:
        tree.take_away(base, submodule.tree, ".git", gone)
