"""What submodules a commit has, and what its .gitmodules says of them: the server's word, or the notebook's."""

from __future__ import annotations

import os
from typing import NamedTuple

from . import tree
from .git import GitError, Repository, settings_of
from .parameters import has_control_character


class Submodule(NamedTuple):
    """name: "" where .gitmodules has none. url and update: as it has them, "" where it has none."""

    commit: str
    path: str
    name: str
    url: str
    update: str


def submodules_of(repository: Repository, commit: str) -> list[Submodule]:
    """Raises GitError where the commit cannot be read."""
    index = f"{repository.path}/listed"
    # An index takes no path that leads elsewhere.
    repository.output("read-tree", commit, index=index)
    entries = tree.entries_of(repository.output("ls-files", "-s", "-t", "-z", index=index))
    os.unlink(index)
    modules = [each for each in entries if each.mode == "160000"]
    if not modules:
        return []
    try:
        settings = settings_of(repository.output("config", "--blob", f"{commit}:.gitmodules", "--list", "-z"))
    except GitError:
        settings = {}
    names = {value: key[len("submodule.") : -len(".path")] for key, value in settings.items() if _is_path(key)}
    found = []
    for each in modules:
        path = os.fsdecode(each.path)
        name = "" if has_control_character(path) else names.get(path, "")
        url, update = (settings.get(f"submodule.{name}.{key}", "") for key in ("url", "update"))
        found.append(Submodule(each.oid, path, name, url, update))
    return found


def _is_path(key: str) -> bool:
    return key.startswith("submodule.") and key.endswith(".path") and len(key) > len("submodule..path")


def absolute_url(base: str, url: str) -> str | None:
    """An address of .gitmodules, which may be beside that of its repository, `base`. None where git would take it for none."""
    above, separator = "", ""
    if url.startswith(("./", "../")):
        above, separator = base[:-1] if base.endswith("/") else base, "/"
    while url.startswith(("./", "../")):
        step, _, url = url.partition("/")
        if step == "..":
            parent = _above(above)
            if parent is None:
                return None
            above, separator = parent
    address = above + separator + url
    return None if address == "" or address.startswith("-") or has_control_character(url) else address


def _above(address: str) -> tuple[str, str] | None:
    """The address one up, and what comes between it and what is below. None where there is nothing above."""
    _, found, rest = address.partition("://")
    if found:
        return (address.rpartition("/")[0], "/") if "/" in rest else None
    if "/" in address:
        return address.rpartition("/")[0], "/"
    if ":" in address:
        return address.rpartition(":")[0], ":"
    return None


def is_safe(gitdir: str, name: str) -> bool:
    """Whether a submodule can have its repository at this name below .git/modules, and not inside another's."""
    parts = name.split("/")
    if name.startswith("-") or has_control_character(name) or not all(part not in ("", ".", "..") for part in parts):
        return False
    return not any(os.path.exists(f"{gitdir}/modules/{'/'.join(parts[:end])}/HEAD") for end in range(1, len(parts)))
