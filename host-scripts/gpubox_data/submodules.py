"""The submodules of a checkout, and theirs: fetched for the first time, and moved on."""

from __future__ import annotations

import os

from . import tree
from .checkout import Checkout
from .git import GitError, Repository
from .gitmodules import Submodule, absolute_url, is_safe, submodules_of
from .lfs import furnish_lfs
from .move import move
from .places import exists, flush, remove
from .server import Server
from .work import Work, say_stays


def submodules_in(work: Work, checkout: Checkout, repository: Repository, commit: str) -> list[Submodule]:
    """Of a commit of a checkout, in a repository that stands for it."""
    try:
        return submodules_of(repository, commit)
    except GitError:
        raise work.stop(3, f"git cannot read what submodules {checkout.tree} has") from None


class Submodules:
    """Of an entry."""

    def __init__(self, work: Work, server: Server) -> None:
        self._work = work
        self._server = server
        self._what = f"the submodules of {work.wanted.url}"

    def furnish(self, checkout: Checkout, commit: str, url: str) -> None:
        """Brings a repository that comes from this address and is at a commit what that has of submodules."""
        for each in submodules_in(self._work, checkout, checkout.twin, commit):
            if each.update == "none":
                continue
            what = f"cannot fetch the submodule {each.path} of {url}"
            if not is_safe(checkout.gitdir, each.name):
                raise self._work.stop(1, f"{what}: .gitmodules has no name for it, or an unsafe one")
            address = absolute_url(url, each.url)
            if address is None:
                raise self._work.stop(1, f"{what}: .gitmodules has no address for it that git would take")
            settings = {f"submodule.{each.name}.url": address, f"submodule.{each.name}.active": "true"}
            self._work.configure(checkout, settings)
            submodule = checkout.submodule(each.path, each.name)
            if exists(submodule.gitdir):
                self._move_on(submodule, each.commit, address)
            else:
                tree.make_folders(checkout.place.base, checkout.gitdir, os.path.dirname(f"modules/{each.name}"))
                self._create(submodule, each.commit, address)

    def _fetch(self, repository: Repository, commit: str, address: str) -> None:
        try:
            if not repository.is_whole(commit):
                self._server.fetch_commit(repository, commit, from_server=True)
            if not repository.has(commit):
                raise self._work.stop(1, f"cannot fetch {self._what}: {address} has no commit {commit}")
            self._server.deepen(repository, commit, from_server=True)
        except GitError:
            raise self._server.cannot_fetch(self._what) from None

    def _further(self, submodule: Checkout, commit: str, address: str) -> None:
        """What is in it, once it is at its commit."""
        self.furnish(submodule, commit, address)
        if self._work.wanted.lfs:
            furnish_lfs(self._work, self._server, submodule, commit)

    def _create(self, submodule: Checkout, commit: str, address: str) -> None:
        """Made where no notebook reaches, and put in place."""
        base = submodule.place.base
        clone = self._work.new_clone(submodule, address)
        self._fetch(clone.twin, commit, address)
        self._work.check_out(clone, commit, address)
        self._further(clone, commit, address)
        clone.git.set(f"{clone.gitdir}/config", {"core.worktree": _up_from(submodule.name) + submodule.path})
        flush(clone.tree)
        tree.put(base, clone.gitdir, os.path.dirname(submodule.gitdir), os.path.basename(submodule.gitdir))
        _link(submodule, clone.tree)
        above, name = os.path.split(submodule.tree)
        try:
            with tree.opened(base, above) as at:
                if exists(name, at):
                    os.rmdir(name, dir_fd=at)
        except OSError:
            raise self._work.stop(3, f"{submodule.tree} is to be a submodule, and holds files; move them away and run again") from None
        tree.put(base, clone.tree, above, name)

    def _move_on(self, submodule: Checkout, commit: str, address: str) -> None:
        self._work.read(submodule)
        submodule.make_twin(address)
        submodule.seed(submodule.head, commit)
        self._fetch(submodule.twin, commit, address)
        submodule.give()
        head = submodule.head
        if not submodule.is_populated() or head is None or not submodule.twin.has(head):
            self._work.lock_index(submodule)
            remove(f"{submodule.reader.path}/index")
            above, name = os.path.split(submodule.tree)
            tree.make_folders(submodule.place.base, above, name)
            _link(submodule, submodule.tree)
            self._move(submodule, None, commit)
        elif head != commit:
            self._work.lock_index(submodule)
            self._move(submodule, head, commit)
        self._work.unlock_index()
        self._further(submodule, commit, address)

    def _move(self, submodule: Checkout, old: str | None, new: str) -> None:
        try:
            look = submodule.look_at_index()
        except GitError:
            raise self._work.no_index(submodule) from None
        try:
            say_stays(submodule, move(submodule, old, new, look))
        except tree.InTheWay as found:
            raise self._work.in_the_way(submodule, new, found.paths) from None
        except GitError:
            raise self._work.stuck(submodule, new) from None


def _link(submodule: Checkout, folder: str) -> None:
    """Has a folder, which becomes or is that of the submodule, say where its repository is."""
    text = f"{submodule.work}/link"
    with open(text, "wb") as file:
        file.write(os.fsencode(f"gitdir: {_up_from(submodule.path)}{submodule.name}\n"))
    tree.put(submodule.place.base, text, folder, ".git")


def _up_from(path: str) -> str:
    """As many "../" as lead up from a relative path."""
    return "../" * len(path.split("/"))
