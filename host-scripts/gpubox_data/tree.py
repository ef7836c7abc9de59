"""
What is done in the folders of a checkout, where code in a notebook can put anything in the place of anything, at any moment.

Git does not do that: it goes by paths. Here a folder is opened one name at a time, never through a link, and what is done in it goes
by its descriptor; a file counts where its descriptor says that it is one. What git is to look at, or has made, is in folders of ours.

Paths in a work tree are bytes, as git gives them; folders of ours and ways to a folder below ROOT/code are texts.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from .places import FOLDER, discard, open_plain, remove
from .say import Failure

# No file of a repository that is copied is as large, in bytes: a notebook could fill the disk with one.
LARGEST = 1 << 30
BLOCK = 1 << 20
# What is taken from a .git: no hooks, no attributes, and its configuration as a text.
TAKEN = (b"HEAD", b"packed-refs", b"shallow", b"index", b"gpubox", b"refs", b"logs")
OUR_LOCK = b"gpubox\n"
# Nothing is there, or a part of the way is no folder (any more).
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

Stat = tuple[int, ...]
Stats = dict[bytes, Stat]


class Unreadable(Exception):
    """A .git is not as git makes it, and is not taken; the text says what is wrong with it."""


class Locked(Exception):
    """The index of a checkout cannot be locked; the text says why."""


class InTheWay(Exception):
    """Files of the person's are where a move is to put others; nothing was moved."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__(*paths)
        self.paths = paths


def shown(path: bytes) -> str:
    """A path on one line of a terminal."""
    return "".join(each if each.isprintable() else "?" for each in path.decode(errors="replace"))[:200]


# --- folders and files ------------------------------------------------------------------------------------------------


@contextmanager
def opened(base: str, path: str) -> Iterator[int]:
    """A descriptor of a folder at or below ROOT/code, which is `base`. Raises OSError where a part of the way is a link or no folder."""
    at = _open(base, path)
    try:
        yield at
    finally:
        os.close(at)


def _open(base: str, path: str) -> int:
    parts = _below(base, path)
    at = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            at = _into(at, os.fsencode(part))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    return at


def _below(base: str, path: str) -> list[str]:
    if path == base:
        return []
    parts = path[len(base) + 1 :].split("/")
    if not path.startswith(f"{base}/") or not all(part not in ("", ".", "..") for part in parts):
        raise OSError(errno.EINVAL, "no folder below it", path)
    return parts


def _into(at: int, name: bytes, make: bool = False) -> int:
    """Goes on from a folder, which is closed, to one in it."""
    try:
        if make:
            try:
                os.mkdir(name, dir_fd=at)
            except FileExistsError:
                pass
        return os.open(name, FOLDER, dir_fd=at)
    finally:
        os.close(at)


class Tree:
    """The folders of a work tree, of which the last one is kept open."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._name: bytes | None = None
        self._last = root

    def folder(self, name: bytes, make: bool = False) -> int:
        if name == b"":
            return self._root
        if name != self._name:
            at = os.dup(self._root)
            for part in name.split(b"/"):
                at = _into(at, part, make)
            self.forget()
            self._name, self._last = name, at
        return self._last

    def forget(self) -> None:
        """Closes the last folder, which may not be the one of its name any more."""
        if self._last != self._root:
            os.close(self._last)
        self._name, self._last = None, self._root

    def parent(self, path: bytes, make: bool = False) -> tuple[int, bytes]:
        above, _, name = path.rpartition(b"/")
        return self.folder(above, make), name

    def look(self, path: bytes) -> os.stat_result | None:
        """What a path is; None where there is nothing, or a part of it is no folder."""
        try:
            at, name = self.parent(path)
            return os.stat(name, dir_fd=at, follow_symlinks=False)
        except OSError as error:
            if error.errno in GONE:
                return None
            raise


@contextmanager
def work_tree(base: str, path: str) -> Iterator[Tree]:
    with opened(base, path) as root:
        tree = Tree(root)
        try:
            yield tree
        finally:
            tree.forget()


def _blocks(file: int) -> Iterator[bytes]:
    return iter(lambda: os.read(file, BLOCK), b"")


def _copy(file: int, found: os.stat_result, to: bytes) -> None:
    if found.st_size > LARGEST:
        raise OSError(errno.EFBIG, "larger than any of git's")
    with open(to, "wb") as copied:
        left = found.st_size
        for block in _blocks(file):
            copied.write(block[:left])
            left -= len(block)
            if left <= 0:
                break
    os.utime(to, ns=(found.st_mtime_ns, found.st_mtime_ns))
    os.chmod(to, stat.S_IMODE(found.st_mode) | stat.S_IRUSR | stat.S_IWUSR)


def blob(size: int, content: Iterator[bytes]) -> str:
    """What git calls a content."""
    import hashlib

    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    for block in content:
        digest.update(block)
    return digest.hexdigest()


def _content(at: int, name: bytes, found: os.stat_result) -> str | None:
    """What git would call a file or a link as it is, without any filter."""
    if stat.S_ISLNK(found.st_mode):
        target = os.readlink(name, dir_fd=at)
        return blob(len(target), iter([target]))
    plain = open_plain(name, at)
    if plain is None:
        return None
    file, now = plain
    try:
        named = blob(now.st_size, _blocks(file))
        return named if _is_still(signature(found), os.fstat(file)) else None
    finally:
        os.close(file)


def _is_still(before: Stat | None, found: os.stat_result) -> bool:
    """Whether a file is the one that it was; a second name changes its first time."""
    return before is not None and before[1:] == signature(found)[1:]


def signature(found: os.stat_result) -> Stat:
    """By which a file is known again: what git's index has of it."""
    return (
        found.st_ctime_ns,
        found.st_mtime_ns,
        found.st_dev,
        found.st_ino,
        found.st_uid,
        found.st_gid,
        found.st_size,
    )


def _is_type(mode: str, found: os.stat_result) -> bool:
    return stat.S_ISLNK(found.st_mode) if mode == "120000" else stat.S_ISREG(found.st_mode)


def _is_executable(mode: str, found: os.stat_result) -> bool:
    return mode == "120000" or (mode == "100755") == bool(found.st_mode & stat.S_IXUSR)


# --- writing where a notebook can write as well -----------------------------------------------------------------------


@contextmanager
def entered(base: str, path: str) -> Iterator[int]:
    """The same as `opened`, for what is to be written there: ends the command in words where it cannot be."""
    try:
        at = _open(base, path)
    except OSError as error:
        raise Failure(3, f"{path} is gone, or behind a link; what was to be written there was not") from error
    try:
        yield at
    finally:
        os.close(at)


def put(base: str, file: str, folder: str, name: str) -> None:
    """Gives a file or folder of ours its place in a folder below ROOT/code."""
    with entered(base, folder) as at:
        os.rename(file, name, dst_dir_fd=at)


def make_folders(base: str, folder: str, path: str) -> None:
    """Makes those of a path in a folder that are not there yet."""
    with entered(base, folder) as at:
        inside = os.dup(at)
        try:
            for part in path.split("/"):
                inside = _into(inside, os.fsencode(part), make=True)
        except OSError as error:
            raise Failure(3, f"{folder}/{path} is behind a link, or no folder; what was to be written there was not") from error
        os.close(inside)


def take_away(base: str, folder: str, name: str, to: str) -> None:
    """Removes what has a name in a folder, if anything: under a name of ours, so that it is in nobody's way."""
    with entered(base, folder) as at:
        try:
            os.rename(name, to, src_dir_fd=at)
        except FileNotFoundError:
            return
    discard(to)


# --- what a .git holds ------------------------------------------------------------------------------------------------


def snapshot(base: str, gitdir: str, reader: str) -> None:
    """
    Fills a repository of ours with what a .git holds; its objects under second names, so that nothing leads back to it.

    Raises Unreadable.
    """
    try:
        with opened(base, gitdir) as at:
            if os.fstat(at).st_uid != os.getuid():
                raise PermissionError
            _fill(at, os.fsencode(reader))
    except OSError as error:
        raise Unreadable("its .git is a link, or not a folder of yours") from error


def _fill(at: int, reader: bytes) -> None:
    strange: list[str] = []
    try:
        for name in TAKEN:
            _take(at, name, os.path.join(reader, name), name, strange)
        _take(at, b"config", os.path.join(reader, b"theirs"), b"config", strange)
        try:
            objects = os.open(b"objects", FOLDER, dir_fd=at)
        except OSError as error:
            raise Unreadable("its .git/objects is a link, or no folder") from error
        try:
            _share(objects, b"objects", reader, strange)
        finally:
            os.close(objects)
    except OSError as error:
        raise Unreadable(f"its .git cannot be copied: {shown(os.fsencode(error.filename or b''))}: {error.strerror}") from error
    if strange:
        raise Unreadable("its .git has links where git makes none: " + " ".join(strange[:3]))
    for name in (b"alternates", b"http-alternates"):
        if os.path.exists(os.path.join(reader, b"objects/info", name)):
            raise Unreadable("it borrows objects of another repository (.git/objects/info/alternates)")


def _take(at: int, name: bytes, to: bytes, path: bytes, strange: list[str]) -> None:
    """Copies a file, or a folder with all in it; notes what is neither, by its path in the .git."""
    try:
        found = os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        os.mkdir(to)
        inside = os.open(name, FOLDER, dir_fd=at)
        try:
            for each in map(os.fsencode, os.listdir(inside)):
                _take(inside, each, os.path.join(to, each), os.path.join(path, each), strange)
        finally:
            os.close(inside)
        return
    plain = open_plain(name, at) if stat.S_ISREG(found.st_mode) else None
    if plain is None:
        strange.append(shown(path))
        return
    file, found = plain
    try:
        _copy(file, found, to)
    finally:
        os.close(file)


def _share(at: int, path: bytes, to: bytes, strange: list[str]) -> None:
    """Gives all files of a folder a second name. What is in them git finds out by their hashes, where that matters."""
    made = os.path.join(to, path)
    os.makedirs(made, exist_ok=True)
    for each in os.listdir(at):
        name = os.fsencode(each)
        found = os.stat(name, dir_fd=at, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            inside = os.open(name, FOLDER, dir_fd=at)
            try:
                _share(inside, os.path.join(path, name), to, strange)
            finally:
                os.close(inside)
        elif not stat.S_ISREG(found.st_mode) or not second_name(at, name, os.path.join(made, name)):
            strange.append(shown(os.path.join(path, name)))


def second_name(at: int, name: bytes, to: bytes) -> bool:
    """Whether a plain file is now under another name of ours as well."""
    try:
        os.link(name, to, src_dir_fd=at, follow_symlinks=False)
        if stat.S_ISREG(os.lstat(to).st_mode):
            return True
        os.unlink(to)
        return False
    except FileNotFoundError:
        # The notebook's git has tidied up.
        return True
    except OSError as error:
        # Another disk, or a file of another user's.
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
    plain = open_plain(name, at)
    if plain is None:
        return False
    file, found = plain
    try:
        _copy(file, found, to)
    finally:
        os.close(file)
    return True


def take_file(base: str, folder: str, name: str, to: str) -> bool:
    """Whether a file below ROOT/code now has a copy of ours; False where it is none, or is not there."""
    strange: list[str] = []
    remove(to)
    with opened(base, folder) as at:
        _take(at, os.fsencode(name), os.fsencode(to), os.fsencode(name), strange)
    return not strange and os.path.isfile(to)


def lock_index(base: str, gitdir: str, reader: str) -> None:
    """
    Locks an index as git does, or has it locked since a run that was killed, and takes what it is by then into a reader.

    Raises Locked.
    """
    try:
        with opened(base, gitdir) as at:
            _lock(at)
            try:
                _take_index(at, reader)
            except (OSError, Locked):
                os.unlink("index.lock", dir_fd=at)
                raise
    except OSError as error:
        raise Locked(f"{shown(os.fsencode(error.filename or b''))}: {error.strerror}") from error


def _lock(at: int) -> None:
    try:
        file = os.open("index.lock", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=at)
        try:
            os.write(file, OUR_LOCK)
        finally:
            os.close(file)
    except FileExistsError:
        plain = open_plain(b"index.lock", at)
        if plain is None:
            raise Locked("git is at work there, or was stopped at it") from None
        try:
            if os.read(plain[0], len(OUR_LOCK) + 1) != OUR_LOCK:
                raise Locked("git is at work there, or was stopped at it") from None
        finally:
            os.close(plain[0])


def _take_index(at: int, reader: str) -> None:
    strange: list[str] = []
    remove(f"{reader}/index")
    _take(at, b"index", os.fsencode(f"{reader}/index"), b"index", strange)
    if strange:
        raise Locked("its .git/index is no file, where git makes one")


def unlock_index(base: str, gitdir: str) -> None:
    try:
        with opened(base, gitdir) as at:
            os.unlink("index.lock", dir_fd=at)
    except OSError:
        # Whoever took it away is done with it.
        pass


# --- compare ----------------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """Of an index: a line of git ls-files -s -t."""

    tag: str
    mode: str
    oid: str
    stage: str
    path: bytes


def listed(text: bytes) -> list[bytes]:
    """What git prints with -z."""
    return [each for each in text.split(b"\0") if each]


def entries_of(text: bytes) -> list[Entry]:
    entries = []
    for line in listed(text):
        about, _, path = line.partition(b"\t")
        tag, mode, oid, stage = about.decode().split(" ")
        entries.append(Entry(tag, mode, oid, stage, path))
    return entries


class Look:
    """
    What a comparison of a work tree with an index has found.

    lines: in git's short format, of what is not there, or something else. same: what is the very bytes of its entry. other: what is not,
    and has a second name in a folder of ours, for git to say whether filters make it the same.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.lines: list[str] = []
        self.same: Stats = {}
        self.other: Stats = {}
        self._modified: set[bytes] = set()

    def note_modified(self, paths: list[bytes]) -> None:
        """Those of the others that git calls modified."""
        self._modified.update(paths)
        self.lines.extend(f" M {shown(path)}" for path in paths)

    def unchanged(self) -> Stats:
        """What is as its index has it, filters considered."""
        return {**self.same, **{path: each for path, each in self.other.items() if path not in self._modified}}


def compare(files: Tree, entries: list[Entry], second_names: str) -> Look:
    """Compares a work tree with the entries of an index; `second_names` is an empty folder of ours."""
    look = Look()
    look.entries = entries
    for entry in entries:
        if entry.tag == "S" or entry.mode == "160000":
            continue
        try:
            line = _compare(files, entry, os.fsencode(second_names), look)
        except OSError as error:
            if error.errno not in GONE:
                raise OSError(error.errno, error.strerror, entry.path) from error
            line = " D "
        if line:
            look.lines.append(line + shown(entry.path))
    return look


def _compare(files: Tree, entry: Entry, second_names: bytes, look: Look) -> str:
    """How git's line for it begins; nothing where there is none, or not yet."""
    found = files.look(entry.path)
    if entry.stage != "0":
        return "UU "
    if found is None or stat.S_ISDIR(found.st_mode):
        return " D "
    if not _is_type(entry.mode, found):
        return " T "
    if _content(*files.parent(entry.path), found) == entry.oid and _is_executable(entry.mode, found):
        look.same[entry.path] = signature(found)
        return ""
    if entry.mode == "120000":
        return " M "
    to = os.path.join(second_names, entry.path)
    os.makedirs(os.path.dirname(to), exist_ok=True)
    if not second_name(*files.parent(entry.path), to):
        return " T "
    look.other[entry.path] = signature(os.stat(to, follow_symlinks=False))
    return ""


# --- place ------------------------------------------------------------------------------------------------------------


class Move:
    """What becomes of a path: a line of git diff-tree --raw."""

    def __init__(self, about: bytes, path: bytes) -> None:
        old_mode, mode, self.old, _, _ = about.decode()[1:].split(" ")
        self.path = path
        self.was_there = old_mode not in ("000000", "160000")
        self.is_file = mode not in ("000000", "160000")
        self.was_module = old_mode == "160000"
        self.is_module = mode == "160000"


def moves_of(text: bytes) -> list[Move]:
    lines = listed(text)
    return [Move(about, path) for about, path in zip(lines[::2], lines[1::2])]


def moves_again(text: bytes, paths: set[bytes]) -> list[Move]:
    """Those by which files of a commit (git ls-tree -r -z) are put anew."""
    moves = []
    for line in listed(text):
        about, _, path = line.partition(b"\t")
        mode, _, oid = about.split(b" ")
        if path in paths:
            moves.append(Move(b":%s %s %s %s M" % (mode, mode, oid, oid), path))
    return moves


class Placing:
    """
    Carries out moves in a work tree, with the files that git has made in a folder of ours, each by a rename.

    What was edited since the look stays. `done` is the look at what an earlier run was bringing, if one was stopped at it.
    stays: the paths that were left alone. stats: the signatures of what is in its place.
    """

    def __init__(self, files: Tree, new: str, look: Look, done: Look | None) -> None:
        self.stays: list[str] = []
        self.stats = dict(look.same)
        self._files = files
        self._new = os.fsencode(new)
        self._known = look.unchanged()
        self._there = done.unchanged() if done else {}

    def run(self, moves: list[Move]) -> None:
        for move in moves:
            self.stats.pop(move.path, None)
        # What goes makes room for what comes.
        for move in moves:
            if not move.is_file:
                self._remove(move)
        for move in moves:
            try:
                if move.is_module:
                    self._files.folder(move.path, make=True)
                elif move.is_file:
                    self._put(move)
            except OSError as error:
                # Somebody has put something there since we looked.
                if error.errno not in (errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EEXIST, errno.ENOTEMPTY):
                    raise OSError(error.errno, error.strerror, move.path) from error
                self.stays.append(shown(move.path))

    def _remove(self, move: Move) -> None:
        if move.was_there:
            found = self._files.look(move.path)
            if found is not None and self._is_known(move, found):
                at, name = self._files.parent(move.path)
                os.unlink(name, dir_fd=at)
            elif found is not None and not stat.S_ISDIR(found.st_mode):
                self.stays.append(shown(move.path))
        if move.was_there or move.was_module:
            self._remove_empty(move.path if move.was_module else os.path.dirname(move.path))

    def _remove_empty(self, folder: bytes) -> None:
        """A folder, and those that it is in, as far as nothing is left in them."""
        while folder:
            try:
                at, name = self._files.parent(folder)
                os.rmdir(name, dir_fd=at)
            except OSError:
                return
            self._files.forget()
            folder = os.path.dirname(folder)

    def _put(self, move: Move) -> None:
        """Puts a file in its place, or leaves what is there where that is nothing that it may replace."""
        at, name = self._files.parent(move.path, make=True)
        made = os.path.join(self._new, move.path)
        found = self._files.look(move.path)
        if found is not None:
            if _is_still(self._there.get(move.path), found) or _is_same(at, name, found, made):
                self.stats[move.path] = signature(found)
                return
            if not self._is_known(move, found):
                self.stays.append(shown(move.path))
                return
        os.rename(made, name, dst_dir_fd=at)
        self.stats[move.path] = signature(os.stat(name, dir_fd=at, follow_symlinks=False))

    def _is_known(self, move: Move, found: os.stat_result) -> bool:
        """Whether what is at a path is what git is to replace there."""
        if not move.was_there or stat.S_ISDIR(found.st_mode):
            return False
        if _is_still(self._known.get(move.path), found):
            return True
        return _content(*self._files.parent(move.path), found) == move.old


def _is_same(at: int, name: bytes, found: os.stat_result, made: bytes) -> bool:
    """Whether a file is the one that would be put there."""
    ours = os.lstat(made)
    kind = 0o170000 | stat.S_IXUSR
    if ours.st_mode & kind != found.st_mode & kind or ours.st_size != found.st_size:
        return False
    folder = os.open(os.path.dirname(made), FOLDER)
    try:
        return _content(at, name, found) == _content(folder, os.path.basename(made), ours)
    finally:
        os.close(folder)


def refuse_what_is_in_the_way(files: Tree, moves: list[Move], new: str) -> None:
    """Of the files that git has made in the folder `new`. Raises InTheWay."""
    going = {move.path for move in moves if move.was_there or move.was_module}
    found = sorted({each for move in moves if move.is_file for each in _in_the_way(files, move, os.fsencode(new), going)})
    if found:
        raise InTheWay([shown(each) for each in found])


def _in_the_way(files: Tree, move: Move, new: bytes, going: set[bytes]) -> Iterator[bytes]:
    above = os.path.dirname(move.path)
    while above:
        found = files.look(above)
        if found is not None and not stat.S_ISDIR(found.st_mode) and above not in going:
            yield above
        above = os.path.dirname(above)
    found = files.look(move.path)
    if found is None or move.was_there:
        return
    at, name = files.parent(move.path)
    if stat.S_ISDIR(found.st_mode):
        yield from (each for each in _files_below(at, name, move.path) if each not in going)
    elif not _is_same(at, name, found, os.path.join(new, move.path)):
        yield move.path


def _files_below(at: int, name: bytes, path: bytes) -> Iterator[bytes]:
    """All that is in a folder but folders."""
    inside = os.open(name, FOLDER, dir_fd=at)
    try:
        for each in os.listdir(inside):
            part = os.fsencode(each)
            found = os.stat(part, dir_fd=inside, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                yield from _files_below(inside, part, os.path.join(path, part))
            else:
                yield os.path.join(path, part)
    finally:
        os.close(inside)


def stamp(index: str, stats: Stats) -> None:
    """Has an index file (version 2 or 3) say of files that they are as it has them, by their signatures."""
    with open(index, "rb") as file:
        data = stamped(file.read(), stats)
    with open(index, "wb") as file:
        file.write(data)


def stamped(index: bytes, stats: Stats) -> bytes:
    """The bytes of an index with these signatures in it."""
    import hashlib

    data = bytearray(index)
    if data[:4] != b"DIRC" or int.from_bytes(data[4:8], "big") not in (2, 3):
        raise ValueError("an index that is of neither version 2 nor 3")
    at = 12
    for _ in range(int.from_bytes(data[8:12], "big")):
        flags = int.from_bytes(data[at + 60 : at + 62], "big")
        begin = at + (64 if flags & 0x4000 else 62)
        ending = data.index(b"\0", begin)
        found = stats.get(bytes(data[begin:ending]))
        if found:
            changed, modified, device, inode, user, group, size = found
            for place_of, value in (
                (0, changed // 10**9),
                (4, changed % 10**9),
                (8, modified // 10**9),
                (12, modified % 10**9),
                (16, device),
                (20, inode),
                (28, user),
                (32, group),
                (36, size),
            ):
                data[at + place_of : at + place_of + 4] = (value & 0xFFFFFFFF).to_bytes(4, "big")
        # Entries are padded with one to eight NULs.
        at += (ending - at + 8) // 8 * 8
    data[-20:] = hashlib.sha1(data[:-20], usedforsecurity=False).digest()
    return bytes(data)


# --- what git does not know of ----------------------------------------------------------------------------------------


def untracked(at: int, entries: list[Entry]) -> list[str]:
    """A line in git's short format for each file of a work tree that is in none of the entries of its index."""
    tracked = {entry.path for entry in entries if entry.mode != "160000"}
    modules = {entry.path for entry in entries if entry.mode == "160000"}
    return list(_untracked(at, b"", tracked, modules))


def _untracked(at: int, path: bytes, tracked: set[bytes], modules: set[bytes]) -> Iterator[str]:
    for each in sorted(os.listdir(at)):
        name = os.fsencode(each)
        here = os.path.join(path, name)
        if here == b".git" or here in tracked:
            continue
        found = os.stat(name, dir_fd=at, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            yield "?? " + shown(here)
            continue
        inside = os.open(name, FOLDER, dir_fd=at)
        try:
            if ".git" not in os.listdir(inside):
                yield from _untracked(inside, here, tracked, modules)
            elif here not in modules:
                yield f"?? {shown(here)}/"
        finally:
            os.close(inside)


def names_in(base: str, folder: str) -> list[str]:
    """What is in a folder below ROOT/code, in order; nothing where that is a link, or is not there."""
    try:
        with opened(base, folder) as at:
            return sorted(os.listdir(at))
    except OSError:
        return []
