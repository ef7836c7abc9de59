"""Puts what is in a folder of S3 into ROOT/data/FOLDER, with the credentials that the machine has.

  ROOT     absolute, or "~/..."; ROOT/data exists (prepare.sh)
  URL      s3://BUCKET or s3://BUCKET/FOLDER
  FOLDER   relative to ROOT/data

stdout: the folder as an absolute path; stderr ends in "created|unchanged: ...".
Exit: 0 done, 1 failed, 2 bad parameter, 3 the person's files are in the way.

FOLDER/.gpubox.json says where it came from; a folder is never written to again, so what the person changed there stays.
ROOT/data/.gpubox/<folder>/ holds the lock and what is half there; a run that was cut short goes on where it ended.
"""

from __future__ import annotations

import os

from . import say
from .ours import MARKER
from .parameters import absolute_root, checked_folder, move_away, text
from .places import Place, exists, flush, is_folder, read_mark, refuse_intruder, remove, take_place
from .say import Failure

# Loading these takes as long as all that a run does which has nothing to do.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_ALLOWED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/:=+@-")
# Of what aws says, how much is shown, in bytes.
_SHOWN = 65_536


def run() -> None:
    say.topic = f"data {text('FOLDER')}"
    root = absolute_root()
    folder = checked_folder(root, "data")
    url = _checked_url()
    place = Place(root, "data", folder)
    aws = _find_aws()
    lock = place.lock()
    if exists(place.target):
        if _came_from(place.target) == url:
            _end(place, "unchanged")
            return
        if not is_folder(place.target) or os.listdir(place.target):
            _in_the_way(place, f"is there and does not come from {url}")
    part = _part_of(place, url)
    _sync(place, aws, url, part, lock)
    _put_into_place(place, url, part)
    _end(place, "created")


def _checked_url() -> str:
    url = text("URL")
    if not _ALLOWED.issuperset(url):
        raise Failure(2, f"url: '{url}' has characters that it may not have")
    if not url.startswith("s3://") or url == "s3://":
        raise Failure(2, f"url: '{url}' is not an s3 url")
    return url[:-1] if url.endswith("/") else url


def _find_aws() -> str:
    import shutil

    found = shutil.which("aws")
    if found is None:
        raise Failure(
            1,
            "needs aws, the AWS command line",
            "  it is in AWS's Deep Learning images; elsewhere:  sudo apt-get install awscli",
        )
    return found


def _came_from(target: str) -> str | None:
    """The url that its marker names."""
    mark = read_mark(f"{target}/{MARKER}") or ""
    value = mark.partition('"s3":')[2].lstrip(" ")
    return value[1:].partition('"')[0] if value.startswith('"') else None


def _part_of(place: Place, url: str) -> str:
    """Where the files of a url arrive: one url's are never mixed with another's."""
    import zlib

    part = f"{place.state}/s3-{zlib.crc32(url.encode())}"
    os.makedirs(part, exist_ok=True)
    # S3 holds no links, and aws would write through one.
    for folder, folders, files in os.walk(part):
        for name in folders + files:
            path = f"{folder}/{name}"
            if os.path.islink(path) or not (os.path.isdir(path) or os.path.isfile(path)):
                refuse_intruder(path)
    return part


def _sync(place: Place, aws: str, url: str, part: str, lock: int) -> None:
    import subprocess

    log = f"{place.state}/aws.log"
    file = os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        # It has the lock as well: should it outlive this run, the next one waits for it.
        ended = subprocess.run(
            [aws, "s3", "sync", url, part, "--only-show-errors"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            pass_fds=[lock],
        )
        said = os.pread(file, _SHOWN, max(0, os.fstat(file).st_size - _SHOWN))
    finally:
        os.close(file)
    remove(log)
    if said:
        say.show_lines(said.decode("utf-8", "surrogateescape").rstrip("\n").split("\n"))
    if ended.returncode != 0:
        raise Failure(
            1,
            f"{url} cannot be read",
            f"  what there is:  aws s3 ls {url}/",
            "  on a machine of gpubox's own its role may read what the entries of data: name",
        )
    if not os.listdir(part):
        raise Failure(1, f"there is nothing at {url}: it must be a folder, with files below it")


def _put_into_place(place: Place, url: str, part: str) -> None:
    marker = os.open(f"{part}/{MARKER}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with open(marker, "w", encoding="ascii") as file:
        file.write(f'{{"s3": "{url}"}}\n')
    flush(part)
    parent = place.open_parent(make=True)
    assert parent is not None
    why = take_place(part, parent, place.name)
    os.close(parent)
    if why is not None:
        _in_the_way(place, why)


def _in_the_way(place: Place, why: str) -> NoReturn:
    raise Failure(
        3,
        f"{place.target} {why}; it is left as it is",
        f"  move it away and run again:  {move_away(place.target)}",
        "  or give this entry of data: another folder",
    )


def _end(place: Place, what: str) -> None:
    say.say(f"{what}: {place.target}")
    say.result(place.target)
