"""What a checkout is to have beside its commit: its history, its submodules, the files that LFS holds."""

from __future__ import annotations

from .checkout import Checkout
from .git import GitError
from .say import say
from .server import Server
from .work import Work


def furnish(work: Work, server: Server, checkout: Checkout, commit: str) -> None:
    """Brings a checkout that is at a commit what is wanted."""
    wanted = work.wanted
    if not wanted.shallow and checkout.twin.is_shallow():
        say("fetching the whole history")
        try:
            server.deepen(checkout.twin, commit)
        except GitError:
            raise server.cannot_fetch(wanted.url) from None
        checkout.give()
    if wanted.submodules:
        from .submodules import Submodules

        say("fetching its submodules")
        Submodules(work, server).furnish(checkout, commit, wanted.url)
    if wanted.lfs:
        from .lfs import furnish_lfs

        say("fetching its LFS files")
        furnish_lfs(work, server, checkout, commit)
