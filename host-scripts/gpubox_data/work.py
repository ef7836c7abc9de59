"""A run: what is wanted, what of the checkout is held meanwhile, and how the run ends before its time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from . import tree
from .checkout import Checkout
from .git import Git, GitError
from .parameters import move_away
from .places import Place, discard, exists, remove
from .say import Failure, quoted, say, show_lines


class Wanted(NamedTuple):
    """The parameters of an entry."""

    url: str
    ref: str
    update: bool
    shallow: bool
    submodules: bool
    lfs: bool

    @property
    def extras(self) -> list[str]:
        """What the checkout is to have beside the commit itself."""
        every = (("history", not self.shallow), ("submodules", self.submodules), ("lfs", self.lfs))
        return [name for name, wanted in every if wanted]


class Work:
    """
    folder: of ours, for what git works in. busy: a file that says that a checkout is being changed; it outlives the run only where that is
    killed. next: one that says from where to where.
    """

    def __init__(self, place: Place, wanted: Wanted, git: Git) -> None:
        self.place = place
        self.wanted = wanted
        self.git = git
        self.folder = f"{place.state}/work"
        self.next = f"{place.state}/next"
        self.busy = f"{place.state}/busy"
        self._locked: Checkout | None = None
        self._clear()
        os.mkdir(self.folder)

    def checkout(self) -> Checkout:
        """The one at the target."""
        return Checkout(self.place, self.git, self.folder, tree=self.place.target, gitdir=f"{self.place.target}/.git")

    def new_clone(self, checkout: Checkout, url: str) -> Checkout:
        """The same repository, from this address, with nothing in it yet: where no notebook reaches."""
        number = 1
        while exists(f"{self.place.state}/clone.{number}"):
            number += 1
        clone = checkout.clone(f"{self.place.state}/clone.{number}")
        self.git.init(clone.tree, bare=False)
        clone.twin.output("remote", "add", "origin", url)
        return clone

    def check_out(self, clone: Checkout, commit: str, url: str) -> None:
        try:
            clone.twin.output("checkout", "--quiet", "--detach", commit, tree=clone.tree)
        except GitError:
            self.show_git()
            raise self.stop(1, f"cannot check out {commit} of {url} in {clone.tree}") from None

    def _clear(self) -> None:
        """What runs have left that were killed. A git that outlived one may still write into its clone."""
        for name in os.listdir(self.place.state):
            if name.startswith("clone.") or name == "work":
                _discard(f"{self.place.state}/{name}")

    def close(self) -> None:
        self.unlock_index()
        _discard(self.folder)

    def remember(self, checkout: Checkout, ref: str, name: str, commit: str, extras: list[str]) -> None:
        """Notes in a checkout what was put there."""
        furnished = "".join(f" {each}" for each in extras)
        fields = f"url={self.wanted.url}\nref={ref}\nname={name}\ncommit={commit}\nwith={furnished}\n"
        checkout.put_text(fields, "gpubox")

    def lacks_extras(self, checkout: Checkout) -> bool:
        """Whether a checkout lacks something of what is wanted."""
        return not set(self.wanted.extras) <= set(checkout.mark.field("with").split())

    def begin(self) -> None:
        with open(self.busy, "wb"):
            pass

    def end(self) -> None:
        self.unlock_index()
        remove(self.busy)

    def lock_index(self, checkout: Checkout) -> None:
        """Keeps the notebook's git from the checkout, as git does, and takes its index as it is then."""
        try:
            tree.lock_index(self.place.base, checkout.gitdir, checkout.reader.path)
        except tree.Locked as locked:
            where = f"{checkout.gitdir}/index.lock"
            raise self.stop(3, f"{checkout.tree} is left as it is: {locked}", f"  where it was stopped:  rm {quoted(where)}") from None
        self._locked = checkout

    def unlock_index(self) -> None:
        if self._locked is not None:
            tree.unlock_index(self.place.base, self._locked.gitdir)
        self._locked = None

    def read(self, checkout: Checkout) -> None:
        """Has the reader of a checkout show what its git folder holds now."""
        try:
            checkout.read()
        except tree.Unreadable as why:
            mine = quoted(checkout.tree)
            raise self.stop(
                3,
                f"git cannot read {checkout.tree}: {why}",
                f"  if it belongs to someone else:  sudo chown -R {os.getuid()}:{os.getgid()} {mine}",
                f"  otherwise move it away:  {move_away(self.place.target)}",
            ) from None

    def configure(self, checkout: Checkout, settings: Mapping[str, str]) -> None:
        """Writes into the checkout's own configuration, for the git in the notebook. Where we do it, that is a text."""
        copy = f"{self.folder}/config"
        try:
            taken = tree.take_file(self.place.base, checkout.gitdir, "config", copy)
        except OSError:
            taken = False
        if not taken:
            raise self.stop(3, f"{checkout.gitdir}/config is no file, where git makes one")
        try:
            self.git.set(copy, settings)
        except GitError:
            raise self.stop(3, f"git cannot write to {checkout.gitdir}/config") from None
        checkout.put(copy, "", "config")

    # --- ends -------------------------------------------------------------------------------------------------------

    def stop(self, status: int, *lines: str) -> Failure:
        """What ends the run, to be raised, where all that it began is whole."""
        self.end()
        return Failure(status, *lines)

    def show_git(self) -> None:
        """What the last git said."""
        show_lines(f"git: {line}" for line in self.git.said)

    def no_index(self, checkout: Checkout) -> Failure:
        there = quoted(self.in_notebook(checkout.path))
        return self.stop(
            3,
            f"git cannot read the index of {checkout.tree}",
            f'  have it made anew, in a terminal of the notebook:  cd {there} && rm "$(git rev-parse --git-path index)" && git reset',
        )

    def stuck(self, checkout: Checkout, commit: str) -> Failure:
        """A git has failed to bring a checkout to a commit."""
        self.show_git()
        return self.stop(
            3,
            f"{checkout.tree} stays where it is, as git does not go to {commit} (above)",
            f"  once it is mended run again, or have it anew:  {move_away(self.place.target)}",
        )

    def in_the_way(self, checkout: Checkout, commit: str, paths: list[str]) -> Failure:
        show_some(paths)
        return self.stop(
            3,
            f"these files in {checkout.tree} are in the way of commit {commit}, and are not overwritten",
            "  move them away, in a terminal of the notebook or here, and run again",
        )

    def in_notebook(self, path: str = "") -> str:
        """The checkout, or a folder in it, as a terminal of the notebook has it."""
        return f"/code/{self.place.folder}" + (f"/{path}" if path else "")


def _discard(folder: str) -> None:
    try:
        discard(folder)
    except OSError:
        # The next run tries again.
        pass


def show_some(lines: list[str]) -> None:
    show_lines(lines[:10])


def say_stays(checkout: Checkout, paths: list[str]) -> None:
    """What a move has left alone, as it was edited meanwhile."""
    if paths:
        show_some(paths)
        say(f"note: these files of {checkout.tree} are edited; they stay as they are")
