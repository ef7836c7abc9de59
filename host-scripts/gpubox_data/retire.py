"""What becomes of the files of an entry of `code` or `data` that has left the configuration, or whose stack is torn down.

  ROOT    of the stack: absolute, or "~/..."
  KIND    code or data
  FOLDER  relative to ROOT/KIND
  PURGE   optional: 1 removes what gpubox put there, and nothing of the person's; otherwise all of it stays

stdout: without PURGE the folders that are gpubox's, one a line.
stderr: a line for each thing, "left: ...", "kept: ..." or "removed: ...".
Exit: 0, even where something was kept, so that nothing of it keeps a stack from being torn down; 2 bad parameter.

data: FOLDER, and the versions beside it (FOLDER-<8 digits of their hash>), where .gpubox.json says that they are ours, with the archives
kept in FOLDER.archive. Files that changed or came after that was written are the person's.
code: FOLDER, where .git/gpubox says that it is ours, as long as it holds nothing that the repository's server does not have.
"""

from __future__ import annotations

import os

from . import say
from .ours import each_of_ours, is_ours
from .parameters import absolute_root, checked_folder, person, text
from .places import FOLDER, Place, discard, intruder_command
from .say import Failure


def run() -> None:
    kind = text("KIND")
    say.topic = f"{kind} {text('FOLDER')}"
    root = absolute_root()
    if kind not in ("code", "data"):
        raise Failure(2, f"kind: '{kind}' is neither code nor data")
    purge = text("PURGE")
    if purge not in ("", "0", "1"):
        raise Failure(2, f"purge: '{purge}' is neither 1 nor empty")
    if not os.path.isdir(f"{root}/{kind}"):
        say.say(f"nothing is left of it: {root}/{kind} is not there")
        return
    place = Place(root, kind, checked_folder(root, kind))
    if purge == "1":
        _purge(place)
        return
    for path in each_of_ours(place):
        say.say(f"left: {path} (`npm run purge` removes it)")
        say.result(path)


def _purge(place: Place) -> None:
    if place.is_linked(place.target):
        say.say(f"kept: {place.target} is a link, or behind one")
        return
    found = place.intruder()
    if found is not None:
        say.say(f"kept: {place.target}, as {found} was not put there by gpubox (a link, or another user's)")
        say.say(f"  look at it, and mend it:  {intruder_command(found)}")
        return
    if not _may_lock(place):
        say.say(f"kept: {place.target}, as {person()} may not write to {place.state}")
        return
    place.lock()
    parent = place.open_parent(make=False)
    if parent is not None:
        for path in list(each_of_ours(place)):
            _purge_folder(place, parent, path)
    if os.path.exists(place.target) and not is_ours(place, place.target):
        say.say(f"left: {place.target}, of which nothing was put there by gpubox")
    if any(each_of_ours(place)):
        return
    # Half-made downloads and clones. Whoever waits for the lock meanwhile ends with an error, as the folder is gone.
    discard(place.state)
    _remove_parents(place)


def _may_lock(place: Place) -> bool:
    try:
        os.makedirs(place.state, exist_ok=True)
    except OSError:
        return False
    lock = f"{place.state}/lock"
    return os.access(place.state, os.W_OK) and (not os.path.exists(lock) or os.access(lock, os.W_OK))


def _purge_folder(place: Place, parent: int, path: str) -> None:
    """Removes one of the entry's folders, as far as it is gpubox's; `parent` is a descriptor of the folder that it is in."""
    at = None
    try:
        at = os.open(os.path.basename(path), FOLDER, dir_fd=parent)
        with say.Watch(f"removing {path}"):
            kept = _empty(place, parent, at, path)
            if kept is None and not _take_away(place, parent, at, path):
                kept = "as another folder took its place", []
    except OSError as error:
        kept = f"as it cannot be removed: {error.strerror}", []
    finally:
        if at is not None:
            os.close(at)
    if kept is None:
        say.say(f"removed: {path}")
    else:
        say.say_kept(path, *kept)


def _empty(place: Place, parent: int, at: int, path: str) -> tuple[str, list[str]] | None:
    """Removes from a folder what may go without a look at the rest; why it is kept, in words that follow its path, and lines to show."""
    if place.kind == "code":
        from .own_work import why_kept

        return why_kept(place)
    from .purge_data import purge_data

    return purge_data(parent, at, path)


def _take_away(place: Place, parent: int, at: int, path: str) -> bool:
    """
    Removes the folder that `at` is open at. Away from its name at once: what a kill leaves of it is in nobody's way. False where another
    folder has its name by now.
    """
    name = os.path.basename(path)
    removed = f"{place.state}/removed"
    discard(removed)
    os.rename(name, removed, src_dir_fd=parent)
    if not os.path.samestat(os.lstat(removed), os.fstat(at)):
        os.rename(removed, name, dst_dir_fd=parent)
        return False
    discard(removed)
    return True


def _remove_parents(place: Place) -> None:
    """The folders that a nested one was put into, as far as nothing else is in them."""
    above = os.path.dirname(place.folder)
    while above:
        folder = Place(place.root, place.kind, above)
        at = folder.open_parent(make=False)
        if at is None:
            return
        try:
            os.rmdir(folder.name, dir_fd=at)
        except OSError:
            return
        finally:
            os.close(at)
        above = os.path.dirname(above)
