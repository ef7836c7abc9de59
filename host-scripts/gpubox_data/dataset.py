"""
Puts one data set, checked against its SHA-256, into ROOT/data/FOLDER.

  ROOT          absolute, or "~/..."; ROOT/data exists (prepare.sh)
  URLS          http, https or file urls of the same file, one a line; tried in this order
  FOLDER        relative to ROOT/data
  SHA256        of the file. Where it is empty: what the first download had is recorded, shown and enforced from then on
  SIZE          optional: bytes of the file
  HEAD_MD5      optional: MD5 of the file's first MiB, as fastai's list of checks has it; counts where SHA256 is empty
  FILES         optional: how many files are in the folder when it has been unpacked
  NAME          optional: the file's name, where neither the server nor the url's last part tells it
  KEEP_ARCHIVE  optional: "1" leaves the archive as FOLDER.archive/NAME beside the folder, from where it is also unpacked again, without a
                download, should the folder be deleted
  CONNECTIONS   optional: of all data sets of ROOT that download at the same time, 16 by default
  RETRY_DELAY   optional: seconds before the first retry of a download, 2 by default; grows with each
  SPEED_LIMIT   optional: bytes a second below which, for SPEED_TIME seconds, a download is too slow; 1000 and 60 by default

The proxies of the environment count: http_proxy, https_proxy, all_proxy and no_proxy, in small letters or capitals.

zip, tar, tar.gz, tgz, tar.bz2, tar.xz and tar.zst are unpacked, by their names or, where those say nothing, by their bytes; anything else
becomes FOLDER/NAME. An archive with a single folder at its top loses it: dogscats.zip, which holds dogscats/train, becomes FOLDER/train.

stdout: the folder as an absolute path; stderr ends in "created|unchanged: ...".

FOLDER/.gpubox.json says which file was unpacked there; a folder is never written to again. Where FOLDER came from a file with another
hash, the new one lands beside it, in FOLDER-<first 8 digits of SHA256>. ROOT/data/.gpubox/<folder>/ holds the lock, the download, the
half-unpacked archive, and in "seen" the recorded hash.

This module finds out what is to be done, by what is there; fetch.py does it.
"""

from __future__ import annotations

import os

from . import say as speech
from .ours import LEFT_OVER, MARKER, RESERVED
from .parameters import absolute_root, checked_folder, fits, flag, has_control_character, move_away, number, text
from .places import Place, discard, exists, is_file, is_folder, read_mark, remove
from .say import Failure, quoted, result, say
from .seen import is_hex, recall, shown_url, url_name

# Loading these takes as long as all that a run does which has nothing to do.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


class Set:
    """
    A data set that is asked for, and where it is.

    sha256: of the configuration, or of the record; empty where neither has it. size: in bytes, where it is known.
    """

    def __init__(self) -> None:
        root = absolute_root()
        if has_control_character(text("SHA256") + text("NAME") + text("HEAD_MD5")):
            raise Failure(2, "sha256, head md5 and name may not hold control characters")
        self.place = Place(root, "data", checked_folder(root, "data"))
        self.root = root
        self.urls = _urls()
        self.sha256 = _digits("SHA256", "sha256", 64, "a SHA-256", "sha256sum FILE")
        self.head_md5 = _digits("HEAD_MD5", "head md5", 32, "an MD5", "head -c 1048576 FILE | md5sum")
        size = number("SIZE", "size", "bytes")
        self.size = None if size < 0 else size
        files = number("FILES", "files", "files")
        self.files = None if files < 0 else files
        self.connections = number("CONNECTIONS", "connections", "connections", 16)
        if self.connections == 0:
            raise Failure(2, "connections: it takes at least one")
        self.retry_delay = number("RETRY_DELAY", "retry delay", "seconds", 2)
        self.speed_limit = number("SPEED_LIMIT", "speed limit", "bytes a second", 1000)
        self.speed_time = number("SPEED_TIME", "speed time", "seconds", 60)
        if self.speed_time == 0:
            raise Failure(2, "speed time: it takes at least one second")
        self.keep_archive = flag("KEEP_ARCHIVE", "keep archive")
        if self.keep_archive and not fits(f"{self.place.name}.archive"):
            raise Failure(2, f"folder: '{self.place.name}.archive', where its archive is to be kept, is too long for a name")
        self.given_name = text("NAME")
        if self.given_name in RESERVED or "/" in self.given_name or not fits(self.given_name):
            raise Failure(2, f"name: '{self.given_name}' is not the name of a file")
        if not self.given_name and url_name(self.urls[0]) in ("", *RESERVED):
            raise Failure(
                2,
                f"url: {shown_url(self.urls[0])} does not end in the name of a file",
                "  give its entry of data one:  name: NAME",
            )
        self.record = f"{self.place.state}/seen"
        self.is_recorded = False

    def recall(self) -> None:
        """Takes the hash and the size from the record, where the configuration has none."""
        if self.sha256:
            return
        seen = recall(self.record, self.urls)
        if seen is not None:
            self.sha256 = seen[0]
            self.size = seen[1] if self.size is None else self.size
            self.is_recorded = True

    # --- what can be at the target ----------------------------------------------------------------------------------

    @property
    def folder(self) -> str:
        return self.place.target

    @property
    def beside(self) -> str:
        """The folder of another version."""
        return f"{self.place.target}-{self.sha256[:8]}"

    def there_already(self) -> str | None:
        """Where the file with this hash is unpacked already."""
        if not self.sha256:
            return None
        found = occupant(self.folder)
        if found == self.sha256:
            return self.folder
        return self.beside if found != FREE and occupant(self.beside) == self.sha256 else None

    def choose_target(self) -> str:
        """FOLDER, or the folder beside it for a new version of the file. Raises Failure where the person's files are there."""
        found = occupant(self.folder)
        if found == THEIRS:
            self.in_the_way(self.folder, "was not made by gpubox")
        # Only the hash tells whether it is another version.
        if found == FREE or not self.sha256:
            return self.folder
        say(f"{self.folder} holds another version of the file and is kept; the new one goes to {self.beside}")
        if occupant(self.beside) != FREE:
            self.in_the_way(self.beside, "is not the version it is named for")
        return self.beside

    def in_the_way(self, path: str, why: str) -> NoReturn:
        lines = [f"{path} {why}; it is left as it is"]
        mark = f"{path}/{MARKER}"
        # Not where the person would write through a link, or wait at a pipe.
        if self.sha256 and (is_file(mark) or not exists(mark)):
            adopt = f'printf \'{{"sha256": "%s"}}\' {self.sha256} >{quoted(mark)}'
            lines.append(f"  if it is this data set already:  {adopt}")
        lines.append(f"  otherwise move it away and run again:  {move_away(path)}")
        raise Failure(3, *lines, "  or give this entry of data: another folder")


FREE, THEIRS = "free", "theirs"


def occupant(path: str) -> str:
    """FREE, THEIRS, or the hash of the file that was unpacked there."""
    if not exists(path):
        return FREE
    mark = read_mark(f"{path}/{MARKER}")
    if mark is not None:
        return _hash_of_mark(mark) or THEIRS
    if exists(f"{path}/{MARKER}") or not is_folder(path):
        return THEIRS
    with os.scandir(path) as found:
        return FREE if next(found, None) is None else THEIRS


def _hash_of_mark(mark: str) -> str:
    """Of its own text, that is; nothing where it has none."""
    value = mark.partition('"sha256"')[2].lstrip().partition(":")[2].lstrip()
    sha256 = value[1:].partition('"')[0].lower() if value.startswith('"') else ""
    return sha256 if is_hex(sha256, 64) else ""


def _urls() -> list[str]:
    urls = [each.strip() for each in text("URLS").split("\n") if each.strip()]
    if not urls:
        raise Failure(2, "url: it is empty")
    for url in urls:
        scheme, separator, rest = url.partition("://")
        known = scheme.lower() in ("http", "https") or (scheme.lower() == "file" and rest.startswith("/"))
        # No name of a file has a NUL.
        known = known and not (scheme.lower() == "file" and "%00" in rest)
        if not separator or not known or len(rest) < 1 or any(each.isspace() or ord(each) < 32 or each in '"\\\x7f' for each in url):
            raise Failure(2, f"url: '{shown_url(url)}' is not an http, https or file url")
        if "@" in rest.partition("/")[0].partition("?")[0].partition("#")[0]:
            raise Failure(2, "url: it has credentials in it, which would end up in logs", "  write it without them")
    return urls


def _digits(name: str, shown: str, count: int, what: str, command: str) -> str:
    """So many hexadecimal digits, or nothing."""
    value = text(name)
    if value and not is_hex(value.lower(), count):
        raise Failure(
            2, f"{shown}: '{value}' is not the {count} hexadecimal digits of {what}", f"  what it is for a file you trust:  {command}"
        )
    return value.lower()


# --- the command ------------------------------------------------------------------------------------------------------


def run() -> None:
    speech.topic = f"data {text('FOLDER')}"
    wanted = Set()
    wanted.recall()
    # Without the lock: what is in place is complete, and is never changed.
    there = wanted.there_already()
    if there is None or exists(f"{wanted.place.state}/{LEFT_OVER}"):
        outcome, there = _with_the_lock(wanted)
    else:
        outcome = "unchanged"
    if outcome == "unchanged":
        _say_again(there)
    say(f"{outcome}: {there}")
    result(there)


def _with_the_lock(wanted: Set) -> tuple[str, str]:
    """ "created" or "unchanged", and where it is."""
    wanted.place.lock()
    # A server's answer has urls with all there is in them.
    os.chmod(wanted.place.state, 0o700)
    wanted.recall()
    there = wanted.there_already()
    if there is None:
        from .fetch import fetch

        outcome, there = fetch(wanted)
    else:
        outcome = "unchanged"
    clean_up(wanted.place.state)
    return outcome, there


def clean_up(state: str) -> None:
    """Removes all that is of use only until a set is in place, of earlier versions as well."""
    discard(f"{state}/unpacked")
    for name in sorted(os.listdir(state)):
        if name not in ("lock", "seen", LEFT_OVER) and not name.startswith("rejected-"):
            path = f"{state}/{name}"
            discard(path) if is_folder(path) else remove(path)
    remove(f"{state}/{LEFT_OVER}")


def _say_again(folder: str) -> None:
    """Says again what is to be known of the file in a folder, where it is the only one and is packed."""
    with os.scandir(folder) as found:
        names = [each.name for each in found if not each.name.startswith(".")][:2]
    if len(names) != 1 or not is_file(f"{folder}/{names[0]}"):
        return
    from .packed import say_what_is_kept

    say_what_is_kept(folder, names[0])
