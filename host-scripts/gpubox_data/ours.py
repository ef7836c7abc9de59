"""What below ROOT/code and ROOT/data gpubox put there."""

from __future__ import annotations

import os

from .places import Place, is_file, is_folder, read_mark

# Loading these takes as long as all that a run does which has nothing to do.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Says of a data set which one it is.
MARKER = ".gpubox.json"
# Names that no file of a data set may have.
RESERVED = (".", "..", MARKER)
# What it is called while the data set is being removed, so that what is left of that after a kill is not taken for a data set.
REMOVING = ".gpubox-removing.json"
# Of what a run for a data set leaves that was stopped, this is removed last, and tells that there was one.
LEFT_OVER = "unpacked.files"


def is_ours(place: Place, path: str) -> bool:
    """Whether gpubox put a folder there: nothing of what is a link, or behind one."""
    if not is_folder(path) or place.is_linked(path):
        return False
    if place.kind == "code":
        return is_folder(f"{path}/.git") and os.path.isfile(f"{path}/.git/gpubox")
    return is_file(f"{path}/{MARKER}") or is_file(f"{path}/{REMOVING}")


def each_of_ours(place: Place) -> Iterator[str]:
    """The folders of an entry that are gpubox's: its target, and of data the versions beside it, as absolute paths."""
    if is_ours(place, place.target):
        yield place.target
    if place.kind == "code":
        return
    for path in _versions(place):
        # Another entry may have a name of this form.
        if is_ours(place, path) and f'"sha256":"{path[-8:]}' in _marks(path).replace(" ", ""):
            yield path


def _versions(place: Place) -> list[str]:
    """What has the name of the target with the beginning of a hash."""
    above = os.path.dirname(place.target)
    try:
        names = os.listdir(above)
    except OSError:
        return []
    beginning = f"{place.name}-"
    return sorted(f"{above}/{name}" for name in names if name.startswith(beginning) and _is_short_hash(name[len(beginning) :]))


def _is_short_hash(text: str) -> bool:
    return len(text) == 8 and all(each in "0123456789abcdef" for each in text)


def _marks(path: str) -> str:
    return "".join(read_mark(f"{path}/{name}") or "" for name in (MARKER, REMOVING))
