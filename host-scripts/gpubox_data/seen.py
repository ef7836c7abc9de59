"""The hash that a data set was first downloaded with, for those whose configuration has none."""

from __future__ import annotations

import os

from .places import flush, read_mark
from .say import Failure, quoted, say


def is_hex(value: str, digits: int) -> bool:
    """Whether it is so many hexadecimal digits, in small letters."""
    return len(value) == digits and all(each in "0123456789abcdef" for each in value)


def shown_url(url: str) -> str:
    """What may be shown of a url: a signature is in its query."""
    for separator in "?#":
        url = url.partition(separator)[0]
    return url


def url_name(url: str) -> str:
    """The last part of a url's path."""
    return shown_url(url).rpartition("/")[2]


def identity(url: str) -> str:
    """A url as the record has it: with the hash of its query, which tells files apart and may hold a signature."""
    if "?" in url:
        import hashlib

        return f"{shown_url(url)}?{hashlib.sha256(url.encode('utf-8', 'surrogateescape')).hexdigest()}"
    return url.partition("#")[0]


def recall(record: str, urls: list[str]) -> tuple[str, int | None] | None:
    """
    The hash, and the size in bytes, of the file that was first downloaded from one of these urls. A file that is asked for under other
    urls alone is another file.
    """
    text = read_mark(record)
    if text is None:
        return None
    sha256, size, same = "", "", False
    ours = {identity(url) for url in urls}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == "sha256":
            sha256 = value.strip()
        elif key == "size":
            size = value.strip()
        elif key == "url":
            same = same or value.strip() in ours
    if sha256 and not is_hex(sha256, 64):
        raise Failure(
            2,
            f"sha256 in {record}: '{sha256}' is not the 64 hexadecimal digits of a SHA-256",
            "  what it is for a file you trust:  sha256sum FILE",
        )
    if size and not (size.isascii() and size.isdigit()):
        raise Failure(2, f"size in {record}: '{size}' is not a number of bytes")
    return (sha256, int(size) if size else None) if same and sha256 else None


def remember(record: str, sha256: str, size: int, urls: list[str]) -> None:
    lines = [
        "# The file this data set was first downloaded as. Others are refused until this record is removed.",
        f"sha256 {sha256}",
        f"size {size}",
        *(f"url {identity(url)}" for url in urls),
    ]
    fresh = f"{record}.new"
    with open(fresh, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write("\n".join(lines) + "\n")
    flush(fresh)
    os.replace(fresh, record)
    say(f"the configuration has no hash for it; recorded in {record}, and enforced from now on. To have it in the configuration:")
    say(f"  sha256: {sha256}")


def say_record(record: str) -> None:
    """What to do where the recorded file and the one that was downloaded differ."""
    say(f"  that is what the first download had, by the record in {record}")
    say(f"  if the new file is wanted:  rm {quoted(record)}  and run again; it will land beside the old one")
