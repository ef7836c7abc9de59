"""What gpubox does in the folders of a checkout, where code in a notebook can put anything in the place of anything, at any moment.

Git does not do that: it goes by paths. Here a folder is opened one name at a time, never through a link, and what is done in it goes
by its descriptor; a file counts where its descriptor says that it is one. What git is to look at, or has made, is in folders of ours.

Run as `python3 -I -c TEXT CODE VERB ARGUMENT...`, where CODE is the folder `code` of a root; the functions named as the verbs say what
each takes and prints. Paths in lists end in a NUL, as git's do. Exit: 0 done, 1 could not, 3 the person's files are in the way; what
that is about is on stdout.
"""
from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import sys
from typing import Dict, Iterator, List, NoReturn, Optional, Tuple

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without waiting: a pipe in the place of a file would never be opened.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# No file of a repository that is copied is as large, in bytes: a notebook could fill the disk with one.
LARGEST = 1 << 30
BLOCK = 1 << 20
# What is taken from a .git: no hooks, no attributes, and its configuration as a text.
TAKEN = (b"HEAD", b"packed-refs", b"shallow", b"index", b"gpubox", b"refs", b"logs")
OUR_LOCK = b"gpubox\n"

Stat = List[int]
Stats = Dict[str, Stat]


def end(status: int, text: str) -> NoReturn:
    print(text)
    sys.exit(status)


def shown(path: bytes) -> str:
    """A path on one line of a terminal."""
    return "".join(each if each.isprintable() else "?" for each in path.decode(errors="replace"))[:200]


# --- folders and files ------------------------------------------------------------------------------------------------


def open_folder(path: bytes, make: bool = False) -> int:
    """Opens a folder below CODE. Raises OSError where a part of it is a link or no folder."""
    below = os.path.relpath(path, CODE)
    at = os.open(CODE, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in [] if below == b"." else below.split(b"/"):
        at = into(at, part, make)
    return at


def into(at: int, name: bytes, make: bool = False) -> int:
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
        self.root = root
        self.name: Optional[bytes] = None
        self.last = root

    def folder(self, name: bytes, make: bool = False) -> int:
        if name == b"":
            return self.root
        if name != self.name:
            at = os.dup(self.root)
            for part in name.split(b"/"):
                at = into(at, part, make)
            if self.last != self.root:
                os.close(self.last)
            self.name, self.last = name, at
        return self.last

    def parent(self, path: bytes, make: bool = False) -> Tuple[int, bytes]:
        above, _, name = path.rpartition(b"/")
        return self.folder(above, make), name

    def look(self, path: bytes) -> Optional[os.stat_result]:
        """What a path is; None where there is nothing, or a part of it is no folder."""
        try:
            at, name = self.parent(path)
            return os.stat(name, dir_fd=at, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return None
            raise


def open_file(at: int, name: bytes) -> Optional[Tuple[int, os.stat_result]]:
    """A plain file, open for reading; None where that is something else."""
    try:
        file = os.open(name, FILE, dir_fd=at)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EMLINK):
            return None
        raise
    found = os.fstat(file)
    if stat.S_ISREG(found.st_mode):
        return file, found
    os.close(file)
    return None


def blocks(file: int) -> Iterator[bytes]:
    return iter(lambda: os.read(file, BLOCK), b"")


def copy(file: int, found: os.stat_result, to: bytes) -> None:
    if found.st_size > LARGEST:
        raise OSError(errno.EFBIG, "larger than any of git's")
    with open(to, "wb") as copied:
        left = found.st_size
        for block in blocks(file):
            copied.write(block[:left])
            left -= len(block)
            if left <= 0:
                break
    os.utime(to, ns=(found.st_mtime_ns, found.st_mtime_ns))
    os.chmod(to, stat.S_IMODE(found.st_mode) | stat.S_IRUSR | stat.S_IWUSR)


def blob(size: int, content: Iterator[bytes]) -> str:
    """What git calls a content."""
    digest = hashlib.sha1(b"blob %d\0" % size)
    for block in content:
        digest.update(block)
    return digest.hexdigest()


def content(at: int, name: bytes, found: os.stat_result) -> Optional[str]:
    """What git would call a file or a link as it is, without any filter."""
    if stat.S_ISLNK(found.st_mode):
        target = os.readlink(name, dir_fd=at)
        return blob(len(target), iter([target]))
    opened = open_file(at, name)
    if opened is None:
        return None
    file, now = opened
    try:
        named = blob(now.st_size, blocks(file))
        return named if is_still(signature(found), os.fstat(file)) else None
    finally:
        os.close(file)


def is_still(before: Optional[Stat], found: os.stat_result) -> bool:
    """Whether a file is the one that it was; a second name changes its first time."""
    return before is not None and before[1:] == signature(found)[1:]


def signature(found: os.stat_result) -> Stat:
    """By which a file is known again: what git's index has of it."""
    return [
        found.st_ctime_ns,
        found.st_mtime_ns,
        found.st_dev,
        found.st_ino,
        found.st_uid,
        found.st_gid,
        found.st_size,
    ]


def is_type(mode: str, found: os.stat_result) -> bool:
    return stat.S_ISLNK(found.st_mode) if mode == "120000" else stat.S_ISREG(found.st_mode)


def is_executable(mode: str, found: os.stat_result) -> bool:
    return mode == "120000" or (mode == "100755") == bool(found.st_mode & stat.S_IXUSR)


# --- snapshot ---------------------------------------------------------------------------------------------------------


def snapshot(gitdir: bytes, reader: bytes) -> None:
    """Fills a repository of ours with what a .git holds; its objects under second names, so that nothing leads back to it."""
    strange: List[str] = []
    try:
        at = open_folder(gitdir)
    except OSError:
        end(1, "its .git is a link, or not a folder of yours")
    if os.fstat(at).st_uid != os.getuid():
        end(1, "its .git is a link, or not a folder of yours")
    try:
        for name in TAKEN:
            take(at, name, reader, name, strange)
        take(at, b"config", reader, b"theirs", strange)
        try:
            objects = os.open(b"objects", FOLDER, dir_fd=at)
        except OSError:
            end(1, "its .git/objects is a link, or no folder")
        share(objects, b"objects", reader, strange)
    except OSError as error:
        end(1, f"its .git cannot be copied: {shown(os.fsencode(error.filename or b''))}: {error.strerror}")
    if strange:
        end(1, "its .git has links where git makes none: " + " ".join(strange[:3]))
    for name in (b"alternates", b"http-alternates"):
        if os.path.exists(os.path.join(reader, b"objects/info", name)):
            end(1, "it borrows objects of another repository (.git/objects/info/alternates)")


def take(at: int, name: bytes, to: bytes, path: bytes, strange: List[str]) -> None:
    """Copies a file, or a folder with all in it; notes what is neither."""
    try:
        found = os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return
    copied = os.path.join(to, path)
    if stat.S_ISDIR(found.st_mode):
        os.makedirs(copied, exist_ok=True)
        inside = os.open(name, FOLDER, dir_fd=at)
        try:
            for each in os.listdir(inside):
                take(inside, os.fsencode(each), to, os.path.join(path, os.fsencode(each)), strange)
        finally:
            os.close(inside)
        return
    opened = open_file(at, name) if stat.S_ISREG(found.st_mode) else None
    if opened is None:
        strange.append(shown(path))
        return
    file, found = opened
    try:
        copy(file, found, copied)
    finally:
        os.close(file)


def share(at: int, path: bytes, to: bytes, strange: List[str]) -> None:
    """Gives all files of a folder a second name. What is in them git finds out by their hashes, where that matters."""
    made = os.path.join(to, path)
    os.makedirs(made, exist_ok=True)
    for each in os.listdir(at):
        name = os.fsencode(each)
        found = os.stat(name, dir_fd=at, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            inside = os.open(name, FOLDER, dir_fd=at)
            try:
                share(inside, os.path.join(path, name), to, strange)
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
    opened = open_file(at, name)
    if opened is None:
        return False
    file, found = opened
    try:
        copy(file, found, to)
    finally:
        os.close(file)
    return True


# --- compare ----------------------------------------------------------------------------------------------------------


def compare(tree: bytes, look: bytes) -> None:
    """
    Compares a work tree with an index, of which stdin has the entries (git ls-files -s -t -z).

    In LOOK: `same`, what is the very bytes of its entry; `files/`, what is not, under second names, for git to say whether filters
    make it the same; `other`, their signatures. Prints a line in git's short format for what is not there, or something else.
    """
    same: Stats = {}
    other: Stats = {}
    files = Tree(open_folder(tree))
    for entry in entries():
        tag, mode, oid, stage, path = entry
        if tag == "S" or mode == "160000":
            continue
        found = files.look(path)
        if stage != "0":
            print("UU " + shown(path))
        elif found is None or stat.S_ISDIR(found.st_mode):
            print(" D " + shown(path))
        elif not is_type(mode, found):
            print(" T " + shown(path))
        elif content(*files.parent(path), found) == oid and is_executable(mode, found):
            same[os.fsdecode(path)] = signature(found)
        elif mode == "120000":
            print(" M " + shown(path))
        else:
            to = os.path.join(look, b"files", path)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            at, name = files.parent(path)
            if second_name(at, name, to):
                other[os.fsdecode(path)] = signature(os.stat(to, follow_symlinks=False))
            else:
                print(" T " + shown(path))
    write(look, b"same", same)
    write(look, b"other", other)


def entries() -> Iterator[Tuple[str, str, str, str, bytes]]:
    for line in listed():
        about, _, path = line.partition(b"\t")
        tag, mode, oid, stage = about.decode().split(" ")
        yield tag, mode, oid, stage, path


def listed() -> List[bytes]:
    return [each for each in sys.stdin.buffer.read().split(b"\0") if each]


def write(folder: bytes, name: bytes, stats: Stats) -> None:
    with open(os.path.join(folder, name), "w", encoding="ascii") as file:
        json.dump(stats, file)


def read(folder: bytes, name: bytes) -> Stats:
    try:
        with open(os.path.join(folder, name), encoding="ascii") as file:
            stats: Stats = json.load(file)
            return stats
    except FileNotFoundError:
        return {}


def names(path: bytes) -> List[str]:
    try:
        with open(path, "rb") as file:
            return [os.fsdecode(each) for each in file.read().split(b"\0") if each]
    except FileNotFoundError:
        return []


def unchanged(look: bytes) -> Stats:
    """What `compare` found to be as its index has it, filters considered: git's word for the latter is in `modified`."""
    modified = set(names(os.path.join(look, b"modified")))
    filtered = {path: each for path, each in read(look, b"other").items() if path not in modified}
    return {**read(look, b"same"), **filtered}


# --- place ------------------------------------------------------------------------------------------------------------


class Move:
    """What becomes of a path: a line of git diff-tree --raw."""

    def __init__(self, about: bytes, path: bytes) -> None:
        old_mode, self.mode, self.old, self.new, _ = about.decode()[1:].split(" ")
        self.path = path
        self.key = os.fsdecode(path)
        self.was_there = old_mode not in ("000000", "160000")
        self.is_file = self.mode not in ("000000", "160000")
        self.was_module = old_mode == "160000"
        self.is_module = self.mode == "160000"


def moves() -> List[Move]:
    lines = listed()
    return [Move(about, path) for about, path in zip(lines[::2], lines[1::2])]


def arriving() -> None:
    """Prints the files that moves (stdin) bring."""
    for move in moves():
        if move.is_file:
            sys.stdout.buffer.write(move.path + b"\0")


def again(named: bytes) -> None:
    """Prints the moves by which files of a commit (stdin: git ls-tree -r -z) whose names are in a list, a line each, are put anew."""
    with open(named, "rb") as file:
        wanted = set(file.read().split(b"\n"))
    for line in listed():
        about, _, path = line.partition(b"\t")
        mode, _, oid = about.split(b" ")
        if path in wanted:
            sys.stdout.buffer.write(b":%s %s %s %s M\0%s\0" % (mode, mode, oid, oid, path))


def place(tree: bytes, new: bytes, look: bytes, done: bytes = b"") -> None:
    """
    Carries out moves (stdin) in a work tree, with the files that git has made in the folder NEW, each by a rename.

    What is in the way of a new file is told before anything is done (exit 3), and what was edited since LOOK stays. With DONE, the
    look at what an earlier run was bringing, what is in the way stays as well. Prints what stays. In LOOK: `stats`, the signatures
    of what is in its place.
    """
    files = Tree(open_folder(tree))
    known = unchanged(look)
    there = unchanged(done) if done else {}
    stats = read(look, b"same")
    todo = moves()
    for move in todo:
        stats.pop(move.key, None)
    if not done:
        refuse_what_is_in_the_way(files, todo, new)
    # What goes makes room for what comes.
    for move in todo:
        if move.is_file:
            continue
        if move.was_there and (found := files.look(move.path)) is not None:
            if is_known(files, move, found, known):
                at, name = files.parent(move.path)
                os.unlink(name, dir_fd=at)
            elif not stat.S_ISDIR(found.st_mode):
                print(shown(move.path))
        if move.was_there or move.was_module:
            remove_empty(files, move.path, move.was_module)
    for move in todo:
        try:
            if move.is_module:
                files.folder(move.path, make=True)
            elif move.is_file:
                put(files, move, new, known, there, stats)
        except OSError as error:
            # Somebody has put something there since we looked.
            if error.errno not in (errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EEXIST, errno.ENOTEMPTY):
                raise
            print(shown(move.path))
    write(look, b"stats", stats)


def put(files: Tree, move: Move, new: bytes, known: Stats, there: Stats, stats: Stats) -> None:
    """Puts a file in its place, or leaves what is there where that is nothing that it may replace."""
    at, name = files.parent(move.path, make=True)
    made = os.path.join(new, move.path)
    found = files.look(move.path)
    if found is not None:
        if is_still(there.get(move.key), found) or is_same(at, name, found, made):
            stats[move.key] = signature(found)
            return
        if not is_known(files, move, found, known):
            print(shown(move.path))
            return
    os.rename(made, name, dst_dir_fd=at)
    stats[move.key] = signature(os.stat(name, dir_fd=at, follow_symlinks=False))


def is_known(files: Tree, move: Move, found: os.stat_result, known: Stats) -> bool:
    """Whether what is at a path is what git is to replace there."""
    if not move.was_there or stat.S_ISDIR(found.st_mode):
        return False
    return is_still(known.get(move.key), found) or content(*files.parent(move.path), found) == move.old


def is_same(at: int, name: bytes, found: os.stat_result, made: bytes) -> bool:
    """Whether a file is the one that would be put there."""
    ours = os.lstat(made)
    kind = 0o170000 | stat.S_IXUSR
    if ours.st_mode & kind != found.st_mode & kind or ours.st_size != found.st_size:
        return False
    folder = os.open(os.path.dirname(made), FOLDER)
    try:
        return content(at, name, found) == content(folder, os.path.basename(made), ours)
    finally:
        os.close(folder)


def remove_empty(files: Tree, path: bytes, itself: bool) -> None:
    """Removes the folders that a path was in, or was, as far as nothing is left in them."""
    above = path if itself else os.path.dirname(path)
    while above:
        try:
            at, name = files.parent(above)
            os.rmdir(name, dir_fd=at)
        except OSError:
            return
        files.name = None
        above = os.path.dirname(above)


def refuse_what_is_in_the_way(files: Tree, todo: List[Move], new: bytes) -> None:
    going = {move.path for move in todo if move.was_there or move.was_module}
    found = sorted({each for move in todo if move.is_file for each in in_the_way(files, move, new, going)})
    if found:
        end(3, "\n".join(shown(each) for each in found))


def in_the_way(files: Tree, move: Move, new: bytes, going: set) -> Iterator[bytes]:
    above = move.path
    while above := os.path.dirname(above):
        found = files.look(above)
        if found is not None and not stat.S_ISDIR(found.st_mode) and above not in going:
            yield above
    found = files.look(move.path)
    if found is None or move.was_there:
        return
    at, name = files.parent(move.path)
    if stat.S_ISDIR(found.st_mode):
        yield from (each for each in below(at, name, move.path) if each not in going)
    elif not is_same(at, name, found, os.path.join(new, move.path)):
        yield move.path


def below(at: int, name: bytes, path: bytes) -> Iterator[bytes]:
    """All that is in a folder but folders."""
    inside = os.open(name, FOLDER, dir_fd=at)
    try:
        for each in os.listdir(inside):
            part = os.fsencode(each)
            found = os.stat(part, dir_fd=inside, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                yield from below(inside, part, os.path.join(path, part))
            else:
                yield os.path.join(path, part)
    finally:
        os.close(inside)


# --- the rest ---------------------------------------------------------------------------------------------------------


def stamp(index: bytes, look: bytes) -> None:
    """Has an index (version 2 or 3) say of files that they are as it has them, by the signatures that `place` wrote."""
    stats = read(look, b"stats")
    with open(index, "rb") as file:
        data = bytearray(file.read())
    if data[:4] != b"DIRC" or int.from_bytes(data[4:8], "big") not in (2, 3):
        end(1, "an index that gpubox does not know")
    at = 12
    for _ in range(int.from_bytes(data[8:12], "big")):
        flags = int.from_bytes(data[at + 60 : at + 62], "big")
        begin = at + (64 if flags & 0x4000 else 62)
        ending = data.index(b"\0", begin)
        found = stats.get(os.fsdecode(bytes(data[begin:ending])))
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
    data[-20:] = hashlib.sha1(data[:-20]).digest()
    with open(index, "wb") as file:
        file.write(data)


def lock(gitdir: bytes, reader: bytes) -> None:
    """Locks an index as git does, or has it locked since a run that was killed, and takes what it is by then into READER."""
    at = open_folder(gitdir)
    try:
        file = os.open(b"index.lock", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=at)
        os.write(file, OUR_LOCK)
        os.close(file)
    except FileExistsError:
        opened = open_file(at, b"index.lock")
        if opened is None or os.read(opened[0], len(OUR_LOCK) + 1) != OUR_LOCK:
            end(3, "git is at work there, or was stopped at it")
    strange: List[str] = []
    if os.path.exists(os.path.join(reader, b"index")):
        os.unlink(os.path.join(reader, b"index"))
    take(at, b"index", reader, b"index", strange)
    if strange:
        os.unlink(b"index.lock", dir_fd=at)
        end(3, "its .git/index is no file, where git makes one")


def untracked(tree: bytes) -> None:
    """Prints a line in git's short format for each file of a work tree that is in none of the entries on stdin."""
    tracked = set()
    modules = set()
    for _, mode, _, _, path in entries():
        (modules if mode == "160000" else tracked).add(path)
    walk(open_folder(tree), b"", tracked, modules)


def walk(at: int, path: bytes, tracked: set, modules: set) -> None:
    for each in sorted(os.listdir(at)):
        name = os.fsencode(each)
        here = os.path.join(path, name)
        found = os.stat(name, dir_fd=at, follow_symlinks=False)
        if here == b".git" or here in tracked:
            continue
        if not stat.S_ISDIR(found.st_mode):
            print("?? " + shown(here))
            continue
        inside = os.open(name, FOLDER, dir_fd=at)
        if b".git" not in map(os.fsencode, os.listdir(inside)):
            walk(inside, here, tracked, modules)
        elif here not in modules:
            print(f"?? {shown(here)}/")
        os.close(inside)


def worktrees(gitdir: bytes) -> None:
    """Prints a line for each further work tree of a repository."""
    try:
        at = open_folder(os.path.join(gitdir, b"worktrees"))
    except OSError:
        return
    for each in sorted(os.listdir(at)):
        print("worktree " + shown(os.fsencode(each)))


CODE = os.fsencode(sys.argv[1])
VERBS = {
    each.__name__: each
    for each in (snapshot, compare, arriving, again, place, stamp, lock, untracked, worktrees)
}
try:
    VERBS[sys.argv[2]](*map(os.fsencode, sys.argv[3:]))
except OSError as problem:
    end(1, f"{shown(os.fsencode(problem.filename or b''))}: {problem.strerror}")
