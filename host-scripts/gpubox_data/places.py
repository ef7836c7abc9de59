"""
The folders of an entry: where its files are, and where a command keeps its lock and what it has half made.

Code in a notebook has the person's rights in ROOT/code and ROOT/data, and can put a link to any file of the person's in the place of any
name there, at any time. So a folder is opened one name at a time, never through a link, and what is done in it goes by its descriptor. It
does not see the two .gpubox (components/workspace/container.ts), but a notebook of an earlier version did, and so does any other container
that has these folders.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

from .parameters import move_away, person
from .say import Failure, quoted, say

# Loading these takes as long as all that a run does which has nothing to do.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without waiting: a pipe in the place of a file would never be opened.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Of a small file of ours, in bytes.
LARGEST_MARK = 65536


class Place:
    """The places of an entry of `code` or `data`."""

    def __init__(self, root: str, kind: str, folder: str) -> None:
        self.root = root
        self.kind = kind
        self.folder = folder
        # ROOT/code or ROOT/data.
        self.base = f"{root}/{kind}"
        self.target = f"{self.base}/{folder}"
        self.states = f"{self.base}/.gpubox"
        # On the disk that the target is on, so that what is whole there gets its place by being renamed.
        self.state = f"{self.states}/{folder.replace('%', '%25').replace('/', '%2F')}"

    @property
    def name(self) -> str:
        """The last name of the target."""
        return self.folder.rpartition("/")[2]

    # --- the folder that the target is in ---------------------------------------------------------------------------

    def open_parent(self, make: bool) -> int | None:
        """
        A descriptor of the folder that the target is in; None where that is not there, and is not to be made.

        Raises Failure where a link, or something that is no folder, is on the way.
        """
        try:
            at = os.open(self.base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Failure(1, f"cannot go to {self.base}") from error
        way = self.base
        for part in self.folder.split("/")[:-1]:
            way = f"{way}/{part}"
            next_at = self._enter(at, part, way, make)
            os.close(at)
            if next_at is None:
                return None
            at = next_at
        return at

    @staticmethod
    def _enter(at: int, part: str, way: str, make: bool) -> int | None:
        try:
            os.stat(part, dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            if not make:
                return None
            try:
                os.mkdir(part, dir_fd=at)
            except FileExistsError:
                pass
        try:
            return os.open(part, FOLDER, dir_fd=at)
        except OSError as error:
            os.close(at)
            raise Failure(
                3,
                f"{way} is a link, or no folder that can be gone to, and nothing is put behind it",
                f"  move it away and run again:  {move_away(way)}",
                "  or give this entry another folder",
            ) from error

    # --- one run at a time ------------------------------------------------------------------------------------------

    def lock(self) -> int:
        """
        Makes the state folder and takes its lock, which the kernel gives back when the last process that holds the descriptor is gone,
        however that ended: nothing stale to detect. Waits for whoever has it. Returns the descriptor.
        """
        own_folder(self.states, 0o755)
        own_folder(self.state, 0o700)
        found = self.intruder()
        if found is not None:
            refuse_intruder(found)
        # A link on the way to the target is told before anything is fetched.
        parent = self.open_parent(make=False)
        if parent is not None:
            os.close(parent)
        path = f"{self.state}/lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        waited = 0
        while not try_lock(lock):
            if waited % 10 == 0:
                holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
                say(f"waiting for the run that works on {self.folder} (pid {holder})")
            time.sleep(1)
            waited += 1
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
        return lock

    def intruder(self) -> str | None:
        """The first thing in the place of the state folder that gpubox cannot have made."""
        owner = _owner(self.base)
        for path in (self.states, self.state):
            if is_strange(path, owner):
                return path
            owner = _owner(path)
        for folder in (self.states, self.state):
            for path in _listed(folder):
                ours = folder == self.state or os.path.basename(path).startswith("%")
                if ours and is_strange(path, _owner(folder)):
                    return path
        return None

    # --- what is there already --------------------------------------------------------------------------------------

    def is_linked(self, path: str) -> bool:
        """Whether a path, or a folder on the way to it from ROOT/KIND, is a link: what is behind it was not put there by us."""
        while path != self.base:
            if os.path.islink(path):
                return True
            path = os.path.dirname(path)
        return False


def try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _owner(path: str) -> int | None:
    try:
        return os.stat(path).st_uid
    except OSError:
        return None


def _listed(folder: str) -> Iterator[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        yield f"{folder}/{name}"


def is_strange(path: str, owner: int | None) -> bool:
    """
    Whether something is there that gpubox cannot have made, as what is written to it lands elsewhere: anything but a file or a folder, or
    another user's. Whoever the folder around it belongs to could replace all of it anyway.
    """
    try:
        found = os.lstat(path)
    except OSError:
        return False
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        return True
    return found.st_uid not in (os.getuid(), 0 if owner is None else owner)


def intruder_command(path: str) -> str:
    """
    The command that gets it out of the way. What another user made, the container runtime as root perhaps, is only taken over: to remove a
    folder would show a running notebook what takes its place.
    """
    found = os.lstat(path)
    if not stat.S_ISLNK(found.st_mode) and found.st_uid != os.getuid():
        return f"sudo chown -R {os.getuid()}:{os.getgid()} {quoted(path)}"
    return f"rm -rf {quoted(path)}"


def refuse_intruder(path: str) -> None:
    raise Failure(
        3,
        f"{path} was not put there by gpubox (a link, or another user's), and is left as it is",
        f"  look at it:  ls -ld {quoted(path)}",
        f"  and mend it:  {intruder_command(path)}",
    )


def own_folder(path: str, mode: int) -> None:
    """Makes a folder that gpubox keeps its things in, or sees that it is one."""
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        pass
    except OSError as error:
        is_denied = error.errno in (errno.EACCES, errno.EPERM)
        why = f"{person()} may not write to {os.path.dirname(path)}" if is_denied else error.strerror
        raise Failure(1, f"cannot make {path}: {why}") from error
    if is_strange(path, _owner(os.path.dirname(path))) or not os.path.isdir(path):
        refuse_intruder(path)
    try:
        # Those of earlier versions may be open to others.
        os.chmod(path, mode)
    except OSError:
        pass


# --- files ------------------------------------------------------------------------------------------------------------


def open_plain(name: str | bytes, at: int | None = None) -> tuple[int, os.stat_result] | None:
    """A plain file, open for reading; None where that is something else. Raises OSError where there is nothing, or it is not to be read."""
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


def open_file(name: str, at: int | None = None) -> tuple[int, os.stat_result] | None:
    """The same; None also where there is nothing, or it is not to be read."""
    try:
        return open_plain(name, at)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None


def read_mark(name: str, at: int | None = None, largest: int = LARGEST_MARK) -> str | None:
    """
    A small file of ours, as far as it still is one: a link, a pipe or a file without an end may be in its place, a pipe also from one
    moment to the next. None where it is no file.
    """
    opened = open_file(name, at)
    if opened is None:
        return None
    try:
        return os.read(opened[0], largest).replace(b"\0", b"").decode("utf-8", "surrogateescape")
    finally:
        os.close(opened[0])


def exists(name: str, at: int | None = None) -> bool:
    """Whether anything is there, a link that leads nowhere included."""
    try:
        os.stat(name, dir_fd=at, follow_symlinks=False)
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_folder(name: str, at: int | None = None) -> bool:
    """Whether a folder is there, and no link to one."""
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_file(name: str, at: int | None = None) -> bool:
    """Whether a plain file is there, and no link to one."""
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def remove(*paths: str) -> None:
    """Files, as far as they are there."""
    for path in paths:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass


def discard(path: str) -> None:
    """
    Removes all there is; of a link, the link. What a killed run left may have folders that nobody may write to. Files are removed and not
    written to: they may be the objects of a checkout under another name.
    """
    if not is_folder(path):
        remove(path)
        return
    import shutil

    try:
        shutil.rmtree(path)
        return
    except OSError:
        pass
    for folder in _folders_below(path):
        os.chmod(folder, 0o700)
    shutil.rmtree(path)


def _folders_below(path: str) -> Iterable[str]:
    """The folder and all in it, each before what is in it is asked for."""
    waiting: list[str] = [path]
    while waiting:
        folder = waiting.pop()
        yield folder
        with os.scandir(folder) as found:
            waiting.extend(each.path for each in found if each.is_dir(follow_symlinks=False))


def take_place(folder: str, parent: int, name: str) -> str | None:
    """
    Renames a folder to a name in another one, where nothing is there, or an empty folder. Gives why not, where it cannot: it follows the
    name of what is in the way.
    """
    if is_folder(name, parent):
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError:
            return "was filled in the meantime"
    if exists(name, parent):
        return "was made in the meantime"
    try:
        os.rename(folder, name, dst_dir_fd=parent)
    except OSError:
        if exists(name, parent):
            return "was made in the meantime"
        raise
    os.fsync(parent)
    return None


def flush(path: str) -> None:
    """Sees to it that what was written to this disk survives a power cut."""
    try:
        import ctypes

        at = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(at) == 0:
                return
        finally:
            os.close(at)
    except (ImportError, AttributeError, OSError):
        # macOS has no syncfs.
        pass
    os.sync()


def free_bytes(path: str) -> int:
    """Of the disk that a path is on, for whoever this runs as."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def free_inodes(path: str) -> int | None:
    """How many more files and folders the disk takes; None where it has no limit."""
    found = os.statvfs(path)
    return found.f_favail if found.f_files > 0 else None
