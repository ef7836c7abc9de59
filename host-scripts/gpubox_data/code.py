"""
Puts one git repository at a commit, tag or branch into ROOT/code/FOLDER.

  ROOT        absolute, or "~/..."; ROOT/code exists (prepare.sh)
  URL         what git fetches from; without credentials in it (the person's agent or credential helper has those)
  REF         a commit (40 hex digits, or at least 7), a tag or a branch
  FOLDER      relative to ROOT/code
  UPDATE      optional: 1 looks up the tag or branch anew; otherwise it stays at the commit of the first run
  SHALLOW     optional: 1 (the default) fetches the commit alone, where the server allows it; 0 its whole history
  SUBMODULES  optional: 1 fetches its submodules as well, and theirs
  LFS         optional: 1 fetches the files that Git LFS holds; otherwise their pointers stay

stdout: the folder as an absolute path; stderr ends in "created|updated|unchanged: ...".

ROOT/code/.gpubox/<folder>/ holds the lock, the half-made clone, what git works in (git.py, checkout.py) and, while a checkout is moved,
from where to where (next, busy: work.py); FOLDER/.git/gpubox says what was put there. An existing checkout is only ever moved on when it
is where this command left it and has no local changes.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from . import say
from .checkout import Checkout
from .git import Git, GitError, has_program
from .parameters import absolute_root, checked_folder, has_control_character, move_away, text
from .places import Place, exists, flush, is_file, is_folder
from .say import Failure, quoted
from .work import Wanted, Work


class Done(NamedTuple):
    """What came of it. how: created, updated or unchanged."""

    how: str
    commit: str


def run() -> None:
    say.topic = f"code {text('FOLDER')}"
    root = absolute_root()
    if has_control_character(text("URL") + text("REF")):
        raise Failure(2, "url and ref may not hold control characters")
    place = Place(root, "code", checked_folder(root, "code"))
    wanted = _wanted()
    git = Git(f"{place.state}/git.log")
    if not git.succeeds("check-ref-format", f"refs/heads/{wanted.ref}"):
        raise Failure(2, f"ref: '{wanted.ref}' is not a commit, tag or branch")
    git.hold(place.lock())
    work = Work(place, wanted, git)
    try:
        done = _existing(work) if _is_there(place) else _create(work)
        work.end()
    except GitError:
        work.show_git()
        raise Failure(1, "git has failed (above)", "  once it is mended run again") from None
    finally:
        work.close()
    say.say(f"{done.how}: {place.target} is at {done.commit}")
    say.result(place.target)


def _wanted() -> Wanted:
    url = text("URL")
    if url == "" or url.startswith("-"):
        raise Failure(2, f"url: '{url}' is not a git url")
    if _has_credentials(url):
        raise Failure(
            2,
            "url: it has credentials in it, which would end up in logs and in .git/config",
            f"  write it without them, and let git ask a helper on {os.uname().nodename}:  git config --global credential.helper store",
        )
    if not all(text(name) in ("", "0", "1") for name in ("UPDATE", "SHALLOW", "SUBMODULES", "LFS")):
        raise Failure(2, "update, shallow, submodules and lfs may be 0 or 1")
    wanted = Wanted(
        url,
        text("REF"),
        update=text("UPDATE") == "1",
        shallow=text("SHALLOW") != "0",
        submodules=text("SUBMODULES") == "1",
        lfs=text("LFS") == "1",
    )
    for program in ("git", "git-lfs") if wanted.lfs else ("git",):
        if not has_program(program):
            raise Failure(1, f"{program} is not installed on this machine", f"  for instance:  sudo apt-get install {program}")
    return wanted


def _has_credentials(url: str) -> bool:
    return re.match(r"https?://[^/]*@|[a-z0-9+]+://[^/@]*:[^/@]*@", url) is not None


def _is_there(place: Place) -> bool:
    """Whether something is at the target but an empty folder, which a checkout may take the place of."""
    return exists(place.target) and not (is_folder(place.target) and not os.listdir(place.target))


def _in_the_way(place: Place, why: str) -> Failure:
    return Failure(
        3,
        f"{place.target} {why}; it is left as it is",
        f"  move it away and run again:  {move_away(place.target)}",
        "  or give this entry of code: another folder",
    )


# --- nothing is there -------------------------------------------------------------------------------------------------


def _create(work: Work) -> Done:
    from .extras import furnish
    from .server import Server

    server = Server(work)
    clone = work.new_clone(work.checkout(), work.wanted.url)
    found = server.look_up(clone.twin)
    commit = server.obtain(clone.twin, found)
    work.check_out(clone, commit, work.wanted.url)
    furnish(work, server, clone, commit)
    work.remember(clone, work.wanted.ref, found.name, commit, work.wanted.extras)
    flush(clone.tree)
    _put_into_place(work.place, clone.tree)
    flush(work.place.target)
    return Done("created", commit)


def _put_into_place(place: Place, made: str) -> None:
    parent = place.open_parent(make=True)
    assert parent is not None
    try:
        if is_folder(place.name, parent):
            try:
                os.rmdir(place.name, dir_fd=parent)
            except OSError:
                raise _in_the_way(place, "was filled in the meantime") from None
        if exists(place.name, parent):
            raise _in_the_way(place, "was made in the meantime")
        os.rename(made, place.name, dst_dir_fd=parent)
    finally:
        os.close(parent)


# --- something is there -----------------------------------------------------------------------------------------------


def _existing(work: Work) -> Done:
    place = work.place
    if not os.path.isdir(place.target):
        raise _in_the_way(place, "is not a folder")
    if place.is_linked(place.target):
        raise _in_the_way(place, "is a link, or behind one")
    checkout = work.checkout()
    if not os.path.exists(checkout.gitdir):
        raise _in_the_way(place, "is not a git repository")
    if not os.path.isdir(checkout.gitdir):
        raise _in_the_way(place, "has its git folder somewhere else, where gpubox does not follow")
    work.read(checkout)
    origin = checkout.settings.get("remote.origin.url", "")
    if plain_url(origin) != plain_url(work.wanted.url):
        known = "a url with credentials in it" if _has_credentials(origin) else origin or "no origin at all"
        raise _in_the_way(place, f"comes from {known} instead of {work.wanted.url}")
    if is_file(work.next):
        from .server import Server
        from .update import recover

        recover(work, Server(work), checkout)
    work.end()
    ours = checkout.mark.commit("commit")
    return _ours(work, checkout, ours) if ours else _foreign(work, checkout)


def plain_url(url: str) -> str:
    """The same for all ways to write it."""
    url = url.rstrip("/")
    return url[: -len(".git")] if url.endswith(".git") else url


def _foreign(work: Work, checkout: Checkout) -> Done:
    """A checkout that the person made."""
    if checkout.head == work.wanted.ref:
        return Done("unchanged", checkout.head)
    from .server import Server
    from .update import obtain

    server = Server(work)
    checkout.make_twin(work.wanted.url)
    found = server.look_up(checkout.twin)
    commit = found.commit
    if commit is None or commit != checkout.head:
        commit = obtain(work, server, checkout, found)
    if commit == checkout.head:
        return Done("unchanged", commit)
    work.begin()
    checkout.give()
    there = quoted(work.in_notebook())
    instead = f"instead of {work.wanted.ref} ({commit})"
    raise work.stop(
        3,
        f"{checkout.tree} was not made by gpubox, and is at {checkout.is_at} {instead}; it is left as it is",
        f"  bring it there yourself, in a terminal of the notebook:  git -C {there} checkout --detach {commit}",
        f"  or move it away:  {move_away(checkout.tree)}",
    )


def _ours(work: Work, checkout: Checkout, ours: str) -> Done:
    """A checkout that gpubox has put at the commit `ours`."""
    wanted = work.wanted
    name = checkout.mark.field("name")
    moved = f"note: it was put at {ours}, and you have moved it since; it is left there"
    # A commit has no name, and cannot have become another one.
    if checkout.mark.field("ref") == wanted.ref and not (wanted.update and name):
        return _same_ref(work, checkout, ours, name, moved)
    from .server import Server
    from .update import move_on, obtain

    server = Server(work)
    checkout.make_twin(wanted.url)
    found = server.look_up(checkout.twin)
    commit = found.commit or obtain(work, server, checkout, found)
    if checkout.head == commit and not work.lacks_extras(checkout):
        work.remember(checkout, wanted.ref, found.name, commit, wanted.extras)
        return Done("unchanged", commit)
    if checkout.head != ours and commit == ours:
        say.say(moved)
        return Done("unchanged", checkout.is_at)
    if checkout.head not in (ours, commit):
        there = quoted(work.in_notebook())
        raise work.stop(
            3,
            f"{checkout.tree} is at {checkout.is_at}, where you put it, and not at {ours}; it is not moved to {wanted.ref} ({commit})",
            f"  keep your commits by a name, in a terminal of the notebook:  git -C {there} branch mine",
            f"  and go there yourself:  git -C {there} checkout --detach {commit}",
        )
    commit = obtain(work, server, checkout, found)
    move_on(work, server, checkout, found.name, commit)
    return Done("updated", commit)


def _same_ref(work: Work, checkout: Checkout, ours: str, name: str, moved: str) -> Done:
    """Nothing else is wanted than what was put there."""
    if checkout.head != ours:
        say.say(moved)
        return Done("unchanged", checkout.is_at)
    if work.lacks_extras(checkout):
        from .server import Server
        from .update import move_on, seed_head

        checkout.make_twin(work.wanted.url)
        seed_head(work, checkout, ours)
        move_on(work, Server(work), checkout, name, ours)
        return Done("updated", ours)
    if name == f"refs/heads/{work.wanted.ref}":
        say.say(f"the branch {work.wanted.ref} stays at {ours}; `npm run update` moves it on")
    return Done("unchanged", ours)
