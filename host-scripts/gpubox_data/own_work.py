"""What only a checkout has, and its server has not: what keeps it from being removed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from . import tree
from .checkout import Checkout
from .git import Git, GitError, has_program
from .gitmodules import is_safe, submodules_of
from .places import Place, discard, exists, is_folder
from .say import Failure


def why_kept(place: Place) -> tuple[str, list[str]] | None:
    """
    Why the checkout at place.target, which is gpubox's (.git/gpubox) and whose lock is held, cannot be removed without a loss.

    None where nothing would be lost. Otherwise what a message goes on with after the name of the folder, such as "with what only it has
    (above)", and lines to show before it, ten at most, which may be none.
    """
    if not has_program("git"):
        return "as git is not installed, which it takes to say what in it is yours", []
    git = Git(f"{place.state}/git.log")
    work = f"{place.state}/work"
    discard(work)
    try:
        checkout = Checkout(place, git, work, tree=place.target, gitdir=f"{place.target}/.git")
        try:
            checkout.read()
        except tree.Unreadable as why:
            return "as git cannot read it", [str(why)]
        except GitError:
            return "as git fails at it (above)", git.said[:10]
        git.complaints.clear()
        lines = list(_own_work(checkout, checkout.mark.commit("commit")))
    finally:
        discard(work)
    # What git complains of counts as well.
    lines.extend(git.complaints)
    return ("with what only it has (above)", lines[:10]) if lines else None


def _own_work(checkout: Checkout, put_at: str) -> Iterator[str]:
    """A line for each thing in a repository that was put at a commit, or in one below it, that its server does not have."""
    if checkout.head != put_at:
        yield f"you moved it away from {put_at}: {checkout.tree}"
    try:
        yield from _files(checkout)
        yield from _commits(checkout, put_at)
        for name in tree.names_in(checkout.place.base, f"{checkout.gitdir}/worktrees"):
            yield f"worktree {tree.shown(os.fsencode(name))}"
        if is_folder(f"{checkout.gitdir}/modules"):
            yield from _submodules(checkout, put_at)
    except GitError:
        yield "git fails"
    except Failure as failure:
        # Something is in the place of a folder or a file that cannot be looked into.
        yield from failure.lines


def _files(checkout: Checkout) -> Iterator[str]:
    look = checkout.look_at_index()
    yield from checkout.staged()
    yield from look.lines
    with tree.opened(checkout.place.base, checkout.tree) as at:
        yield from tree.untracked(at, look.entries)
    # Files that git was told not to look at.
    for line in tree.listed(checkout.reader.output("ls-files", "-v", "-z")):
        if re.match(b"[a-zS] ", line):
            yield tree.shown(line)


def _commits(checkout: Checkout, put_at: str) -> Iterator[str]:
    """Those that were not fetched: of branches, tags and stashes, and those that only git's log of past heads still names."""
    reader = checkout.reader
    own = ["HEAD"]
    fetched = [put_at] if put_at else []
    for line in reader.output("for-each-ref", "--format=%(objectname) %(refname)").decode("utf-8", "replace").splitlines():
        commit, _, name = line.partition(" ")
        (fetched if name.startswith(("refs/remotes/", "refs/gpubox-tags/")) else own).append(commit)
    for line in reader.output("log", "--walk-reflogs", "--format=%H %gs", "HEAD").decode("utf-8", "replace").splitlines():
        commit, _, what = line.partition(" ")
        if not what.startswith(("checkout: ", "clone: ")):
            own.append(commit)
    names = "".join(f"{each}\n" for each in own) + "".join(f"^{each}\n" for each in fetched)
    found = reader.output("log", "--stdin", "--ignore-missing", "--max-count", "10", "--format=commit %h %s", stdin=names.encode())
    yield from found.decode("utf-8", "replace").splitlines()


def _submodules(checkout: Checkout, commit: str) -> Iterator[str]:
    for each in submodules_of(checkout.reader, commit):
        submodule = checkout.submodule(each.path, each.name)
        if is_safe(checkout.gitdir, each.name) and exists(submodule.gitdir) and exists(f"{submodule.tree}/.git"):
            try:
                submodule.read()
                yield from _own_work(submodule, each.commit)
            except tree.Unreadable as why:
                yield f"git cannot read {submodule.tree}: {why}"
