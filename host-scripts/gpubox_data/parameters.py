"""The parameters of a command, out of the environment. Whatever is wrong with one ends it with status 2, before anything is done."""

from __future__ import annotations

import os

from .say import Failure, quoted, shown_path

# Of a file, in bytes.
LONGEST_NAME = 255


def text(name: str) -> str:
    return os.environ.get(name, "")


def number(name: str, shown: str, what: str, default: int = -1) -> int:
    """A whole number of `what`; the default where it is not set. `shown` is what messages call it."""
    value = text(name)
    if value == "":
        return default
    if not (value.isascii() and value.isdigit()) or (value[0] == "0" and value != "0"):
        raise Failure(2, f"{shown}: '{value}' is not a number of {what}")
    return int(value)


def flag(name: str, shown: str, default: bool = False) -> bool:
    value = text(name)
    if value not in ("", "0", "1"):
        raise Failure(2, f"{shown}: '{value}' is neither 0 nor 1")
    return default if value == "" else value == "1"


def has_control_character(value: str) -> bool:
    return any(ord(each) < 32 or ord(each) == 127 for each in value)


def person() -> str:
    """Who this runs as, also where the machine knows no name for them."""
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return f"user {os.getuid()}"


def absolute_root() -> str:
    """ROOT of the stack, as an absolute path: it may begin with "~", the home folder of whoever this runs as."""
    root = text("ROOT")
    if root == "~" or root.startswith("~/"):
        home = text("HOME")
        if not home:
            raise Failure(
                2,
                f"root: '{root}' begins at your home folder, and {person()} has none here (HOME is not set): give it as an absolute path",
            )
        return home + root[1:]
    if not root.startswith("/"):
        raise Failure(2, f"root: '{root}' is neither absolute nor below ~/")
    return root


def stays_below(path: str) -> bool:
    """Whether a relative path leads to a folder of the person's below where it begins."""
    return all(part not in ("", ".", "..", ".gpubox") and not part.startswith("-") for part in path.split("/"))


def checked_folder(root: str, kind: str) -> str:
    """FOLDER: a relative path that stays below ROOT/KIND, which is there."""
    folder = text("FOLDER")
    if has_control_character(folder):
        raise Failure(2, "folder: it may not hold control characters")
    if not stays_below(folder):
        raise Failure(2, f"folder: '{folder}' is not a folder below {kind}/")
    if not os.path.isdir(f"{root}/{kind}"):
        raise Failure(1, f"{root}/{kind} is not there (a disk that is not mounted?)")
    return folder


def move_away(path: str) -> str:
    """The command that moves something of the person's out of the way."""
    return f"mv {quoted(shown_path(path))} {quoted(shown_path(path) + '.mine')}"


def fits(name: str) -> bool:
    """Whether a disk takes a name as long as this."""
    return len(os.fsencode(name)) <= LONGEST_NAME
