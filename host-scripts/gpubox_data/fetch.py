"""Brings a data set's file, checks and unpacks it as it arrives, and puts the folder into its place."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from typing import TYPE_CHECKING, NoReturn

from .archive import NoRoom, Progress, Unusable, Workers, format_of, holds_tar, tree_of, unpack
from .files import BegunAnew, Files
from .identify import BEGINNING, Answer, Kind, identify, is_page
from .kept import copy_file, copy_kept_archive
from .ours import RESERVED
from .parameters import fits
from .place_set import put_into_place
from .places import discard, is_file, remove
from .say import Failure, Watch, megabytes, quoted, say
from .seen import remember, say_record, shown_url, url_name
from .source import Source

if TYPE_CHECKING:
    from .dataset import Set

_BLOCK = 1 << 20
# What fastai's list of checks has the MD5 of, in bytes.
_HEAD = 1 << 20


class Refused(Exception):
    """A url did not give the file; said already. The next one may."""


def fetch(wanted: Set) -> tuple[str, str]:
    """
    Has the data set in its place; whoever calls it has the lock. Gives "created" or, where only the download could tell that it was there
    already, "unchanged"; and the folder. Raises Failure.
    """
    wanted.choose_target()
    discard(f"{wanted.place.state}/unpacked")
    # Before the first thread: a process that is made beside one may wait for what the other had locked.
    with Workers() as workers:
        fetching = Fetching(wanted, workers)
        fetching.obtain()
    if not wanted.sha256:
        wanted.sha256 = fetching.sha256
        remember(wanted.record, wanted.sha256, fetching.size, wanted.urls)
        there = wanted.there_already()
        if there is not None:
            return "unchanged", there
    target = wanted.choose_target()
    put_into_place(wanted, fetching, target)
    return "created", target


class Hasher:
    """The SHA-256 of a file, computed as it arrives."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            view = memoryview(bytearray(_BLOCK))
            at = 0
            while (end := self._source.wait(at + _BLOCK)) > at:
                count = os.preadv(self._source.file, [view[: end - at]], at)
                if count == 0:
                    raise OSError(0, "it has become shorter while it was read", self._source.path)
                self._digest.update(view[:count])
                at += count
        except BaseException as error:  # For whoever waits.
            self._error = error

    def result(self) -> str:
        """Waits for the whole file. Raises Interrupted, or OSError where it cannot be read."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._digest.hexdigest()


class Fetching:
    """One run for one data set."""

    def __init__(self, wanted: Set, workers: Workers) -> None:
        self.wanted = wanted
        self.workers = workers
        self.place = wanted.place
        self.state = wanted.place.state
        self.staging = f"{self.state}/unpacked"
        # Of the file that was taken.
        self.url = wanted.urls[0]
        self.origin = shown_url(self.url)
        self.name = ""
        self.kind = Kind("plain")
        self.sha256 = ""
        self.size = 0
        self.files = 0
        self.tree = ""
        # Where it is in the state folder; None where it stays where it is, as the person's.
        self.file: str | None = None

    def obtain(self) -> None:
        """Unpacks the file and checks it, from what an earlier run has left or from one url after the other. Raises Failure."""
        for name in os.listdir(self.state):
            if name.startswith("rejected-"):
                remove(f"{self.state}/{name}")
        try:
            if self.wanted.sha256 and self._take_what_is_there():
                return
        except Refused:
            pass
        for url in self.wanted.urls:
            self.url = url
            self.origin = shown_url(url)
            try:
                self._take_from(url)
                return
            except Refused:
                continue
        sha256 = self.wanted.sha256
        name = quoted(self.wanted.given_name or self.name or url_name(self.url))
        raise Failure(
            1,
            f"no url gave the file{f' with sha256 {sha256}' if sha256 else ''}; {self.wanted.folder} was not touched",
            f"  see for yourself:  curl -Lo {name} {quoted(self.origin)} && sha256sum {name}",
        )

    # --- where the file comes from ----------------------------------------------------------------------------------

    def _take_what_is_there(self) -> bool:
        """The file of an earlier run, or the archive that was kept."""
        files = Files(self.state, self.wanted.sha256)
        answer = files.recall(self.url) or Answer()
        if not is_file(files.file):
            kept = copy_kept_archive(self.wanted, files.file)
            if kept is None:
                return False
            answer = Answer(name=kept)
            self.origin = f"{self.wanted.folder}.archive/{kept}"
            say(f"found {self.origin}")
        self.take_file(files.file, answer)
        return True

    def _take_from(self, url: str) -> None:
        if url[:5].lower() == "file:":
            from urllib.parse import unquote_to_bytes, urlsplit

            self._take_local(os.fsdecode(unquote_to_bytes(urlsplit(url).path)))
            return
        # Loaded here: a file of this machine takes no connections.
        from .fetch_web import take_from_web

        take_from_web(self)

    def _take_local(self, path: str) -> None:
        """A file of the person's, which is read where it is."""
        try:
            source = Source(path)
        except OSError as error:
            self.refuse(error.strerror or str(error))
        try:
            before = os.fstat(source.file)
            if not stat.S_ISREG(before.st_mode):
                self.refuse("it is not a file")
            if self.wanted.size is not None and source.size != self.wanted.size:
                self.refuse_size(before.st_size)
            self.take(source, Answer())
            self.file = None
            if self.kind.kind == "plain" or self.wanted.keep_archive:
                self.file = Files(self.state, self.sha256).file
                copy_file(path, self.file)
            # As well while it was copied.
            if _state_of(path) != _state(before):
                discard(self.staging)
                if self.file is not None:
                    remove(self.file)
                    self.file = None
                self.refuse("it was changed while it was read")
        finally:
            source.close()

    def take_file(self, path: str, answer: Answer) -> None:
        source = Source(path)
        try:
            self.take(source, answer)
        finally:
            source.close()

    def refuse(self, why: str) -> NoReturn:
        say(f"cannot download {self.origin}: {why}")
        raise Refused

    def refuse_size(self, size: int) -> NoReturn:
        say(f"{self.origin} is not the file that was asked for: it has {size} bytes, not the {self.wanted.size} that are expected")
        self._say_record()
        raise Refused

    def _say_record(self) -> None:
        if self.wanted.is_recorded:
            say_record(self.wanted.record)

    # --- what becomes of it -----------------------------------------------------------------------------------------

    def take(self, source: Source, answer: Answer) -> None:
        """
        Unpacks a file while its hash is computed, both as it arrives; all is well where both went well.

        A file that is not the one asked for is set aside: the person may want to look at it, and the next try starts afresh. Raises
        Refused, Failure where another url would not help, and what `source` raises.
        """
        beginning = source.read(0, source.wait(BEGINNING))
        # Where it is a compressed tar, that shows a little later.
        source.wait(_BLOCK)
        self.name = self._name(answer)
        found = format_of(source.path)
        self.kind = identify(self.name, found, lambda: holds_tar(source.path), self.wanted.folder)
        for line in self.kind.note:
            say(line)
        if not fits(self.name) and (self.kind.kind == "plain" or self.wanted.keep_archive):
            raise Failure(2, f"the last part of {self.origin} is too long for a name", "  give its entry of data one:  name: NAME")
        looks_like_page = is_page(self.name, answer.media_type, found, beginning)
        hasher = Hasher(source)
        progress = Progress()
        problem: Unusable | None = None
        with Watch("", lambda: _how_far(source, progress)):
            if not (looks_like_page and (self.kind.kind != "plain" or not self._is_known())):
                try:
                    self._unpack(source, progress)
                except Unusable as unusable:
                    problem = unusable
                    discard(self.staging)
            self.sha256 = hasher.result()
        self.size = source.wait_for_all()
        doubt = self._doubt(source, looks_like_page, answer)
        if doubt or self.sha256 != (self.wanted.sha256 or self.sha256):
            self._set_aside(source, doubt or ("it is an HTML page" if looks_like_page else ""))
        if problem is not None:
            say(f"{self.origin} {problem}; nothing of it was put into place")
            show_lines_of(problem.details)
            if self.wanted.sha256:
                # Another url would not help: it has the same file.
                raise Failure(1, f"  the file is kept:  {source.finish()}")
            self._set_aside(source, None)
        self.file = source.finish()

    def _name(self, answer: Answer) -> str:
        """Its name, which may be the last part of a url; that of the first one is known to be a name."""
        last = url_name(self.url)
        return self.wanted.given_name or answer.name or (last if last and last not in RESERVED else url_name(self.wanted.urls[0]))

    def _is_known(self) -> bool:
        return bool(self.wanted.sha256 or self.wanted.head_md5)

    def _doubt(self, source: Source, looks_like_page: bool, answer: Answer) -> str:
        """Why it cannot be what was asked for, as far as that shows without its hash; empty where it can."""
        wanted = self.wanted
        if looks_like_page and (self.kind.kind != "plain" or not self._is_known()):
            return f"it is an HTML page, not {self.name}"
        if wanted.size is not None and self.size != wanted.size:
            return f"it has {self.size} bytes, not the {wanted.size} that are expected"
        if wanted.sha256:
            return ""
        announced = source.announced_size() or answer.size
        if announced is not None and announced != self.size:
            return f"it has {self.size} bytes, not the {announced} that the server announced"
        if wanted.head_md5:
            head = hashlib.md5(source.read(0, min(_HEAD, self.size)), usedforsecurity=False).hexdigest()
            if head != wanted.head_md5:
                return f"the MD5 of its first MiB is {head}, not {wanted.head_md5} as expected"
        return ""

    def _unpack(self, source: Source, progress: Progress) -> None:
        if self.kind.kind == "plain":
            self.files = 1
        else:
            try:
                unpack(self.kind.kind, source, self.staging, self.workers, progress, say_size=_say_size)
                tree = tree_of(self.staging, self.kind.kind)
            except NoRoom as error:
                discard(self.staging)
                kept = (f"  the file is kept:  {source.finish()}",) if source.is_whole else ()
                raise Failure(1, *error.lines(f"{self.wanted.root}/data", self.origin), *kept) from error
            self.tree, self.files = tree
        if self.wanted.files is not None and self.files != self.wanted.files:
            raise Unusable(f"has {self.files} files, not the {self.wanted.files} that are expected")

    def _set_aside(self, source: Source, doubt: str | None) -> NoReturn:
        """`doubt`: why it is not the file; None where that has been said."""
        discard(self.staging)
        if doubt is not None:
            say(f"{self.origin} is not the file that was asked for{f': {doubt}' if doubt else ''}")
        size = megabytes(self.size)
        if source.is_continued:
            source.discard()
            say("  it was brought by several runs, and may be made up of several files; downloading all of it again")
            raise BegunAnew
        if self.wanted.sha256:
            say(f"  expected sha256 {self.wanted.sha256}")
        if source.path.startswith(f"{self.state}/"):
            rejected = f"{self.state}/rejected-{self.sha256[:8]}"
            os.replace(source.finish(), rejected)
            say(f"  received sha256 {self.sha256}, {size}, kept as {rejected}")
        else:
            say(f"  received sha256 {self.sha256}, {size}")
        self._say_record()
        raise Refused


def _state(found: os.stat_result) -> tuple[int, int, int]:
    """What is another where a file was written to."""
    return found.st_ino, found.st_size, found.st_mtime_ns


def _state_of(path: str) -> tuple[int, int, int] | None:
    try:
        return _state(os.stat(path))
    except OSError:
        return None


def show_lines_of(details: list[str]) -> None:
    for line in details:
        say(f"  {line}")


def _say_size(files: int, count: int) -> None:
    say(f"unpacking {files} files, {megabytes(count)}")


def _how_far(source: Source, progress: Progress) -> str:
    files = f", {progress.files} of {progress.total_files} files unpacked" if progress.total_files else ""
    if not source.is_whole:
        return source.report() + files
    if progress.total_bytes and progress.files < progress.total_files:
        return f"unpacked {megabytes(progress.bytes)} of {megabytes(progress.total_bytes)}{files}"
    if progress.files and not progress.total_files:
        return f"unpacked {megabytes(progress.bytes)}, {progress.files} files so far"
    return f"checking the hash of {megabytes(source.size or 0)}"
