"""
A checkout, and the repositories of ours that stand for its .git.

reader: shows what a .git holds: its refs, logs, index and objects, with a configuration of our own.
twin: has the commits that a checkout is moved between; whatever gets in is hashed on its way.
"""

from __future__ import annotations

import os
import re

from . import tree
from .git import Git, GitError, Repository
from .places import Place, discard, read_mark

# Nor does a reader take indexes of objects that could lie about them.
READER = "[core]\ncommitGraph = false\nmultiPackIndex = false\n[uploadpack]\nallowAnySHA1InWant = true\n"


class Mark:
    """
    FOLDER/.git/gpubox, which says what was put there, a line each: url, ref, name (the full name of a tag or branch), commit, and with
    (what it was furnished with: history, submodules, lfs). It is the notebook's word, good enough for what is the notebook's.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def field(self, name: str) -> str:
        found = re.search(rf"^{name}=([^\x00-\x1f\x7f]*)$", self._text, re.MULTILINE)
        return found[1] if found else ""

    def commit(self, name: str) -> str:
        """The same where it is a commit."""
        value = self.field(name)
        return value if re.fullmatch("[0-9a-f]{40}", value) else ""


class Checkout:
    """
    A repository of a checkout: its own, or that of a submodule.

    work: a folder of ours. tree: the folder of its files. gitdir: its git folder. path: of the files in the checkout, "" of its own.
    name: of the git folder in the checkout, such as ".git/modules/part".
    """

    def __init__(self, place: Place, git: Git, work: str, *, tree: str, gitdir: str, path: str = "", name: str = ".git") -> None:
        self.place = place
        self.git = git
        self.tree = tree
        self.gitdir = gitdir
        self.path = path
        self.name = name
        self.work = work
        # Where its reader and its twin are.
        self.folder = f"{work}/{name.replace('%', '%25').replace('/', '%2F')}"
        self.reader = Repository(git, f"{self.folder}/reader")
        self.twin = Repository(git, f"{self.folder}/twin")
        self.head: str | None = None
        self.settings: dict[str, str] = {}
        self.mark = Mark("")
        self._seeded: set[str] = set()

    @property
    def is_at(self) -> str:
        """Its head, for a message."""
        return self.head or "no commit"

    @property
    def is_clone(self) -> bool:
        """Whether it is one that is being made, where no notebook reaches: then its git folder is its own twin."""
        return self.twin.path == self.gitdir

    def submodule(self, path: str, name: str) -> Checkout:
        below = f"{self.path}/{path}" if self.path else path
        gitdir = f"{self.gitdir}/modules/{name}"
        files = f"{self.tree}/{path}"
        return Checkout(self.place, self.git, self.work, tree=files, gitdir=gitdir, path=below, name=f"{self.name}/modules/{name}")

    def clone(self, folder: str) -> Checkout:
        """The same, made in a folder of ours."""
        clone = Checkout(self.place, self.git, self.work, tree=folder, gitdir=f"{folder}/.git", path=self.path, name=self.name)
        clone.twin = Repository(self.git, clone.gitdir)
        return clone

    # --- reader -----------------------------------------------------------------------------------------------------

    def read(self) -> None:
        """Makes the reader of what the git folder holds now, and sets `head`, `settings` and `mark`. Raises tree.Unreadable."""
        reader = self.reader.path
        discard(reader)
        os.makedirs(self.folder, exist_ok=True)
        self.git.init(reader, bare=True)
        os.unlink(f"{reader}/HEAD")
        discard(f"{reader}/refs")
        with open(f"{reader}/config", "a", encoding="ascii") as file:
            file.write(READER)
        tree.snapshot(self.place.base, self.gitdir, reader)
        self.settings = self._their_settings()
        self.mark = Mark(read_mark(f"{reader}/gpubox") or "")
        if self.settings.get("extensions.objectformat") == "sha256" or self.settings.get("extensions.refstorage", "files") != "files":
            raise tree.Unreadable("its .git is in a format that gpubox does not know")
        self.head = self.reader.head()
        if self.head is None and not self.reader.succeeds("rev-parse", "--git-dir"):
            raise tree.Unreadable("its .git is no repository")

    def _their_settings(self) -> dict[str, str]:
        """What its own configuration has, as texts to compare and no more."""
        theirs = f"{self.reader.path}/theirs"
        if not os.path.exists(theirs):
            return {}
        try:
            return self.git.settings(theirs)
        except GitError:
            raise tree.Unreadable(self.git.said[0] if self.git.said else "its .git/config is none") from None

    # --- twin -------------------------------------------------------------------------------------------------------

    def make_twin(self, url: str | None = None) -> None:
        """Makes the twin anew, which fetches from this address."""
        discard(self.twin.path)
        self.git.init(self.twin.path, bare=True)
        if url is not None:
            self.twin.output("remote", "add", "origin", url)
        self._seeded = set()

    def seed(self, *commits: str | None) -> None:
        """
        Brings what the checkout has of these into its twin, with all of its history or none. It is fetched, as from any server, so that it
        is what its name says. What is fetched after this is as deep as the checkout, which is at the first of them.
        """
        depth = ["--depth", "1"] if self.reader.is_shallow() else []
        for commit in commits:
            if commit and self.reader.has(commit) and not self.twin.has(commit):
                fetch = ["-c", "protocol.file.allow=always", "fetch", "--quiet", "--no-tags", *depth]
                try:
                    self.twin.output(*fetch, self.reader.path, f"+{commit}:refs/gpubox/seeds/{commit}")
                except GitError:
                    # The commit may have come, and not all that it needs.
                    for pack in self._packs() - self._seeded:
                        os.unlink(f"{self.twin.path}/objects/pack/{pack}")
                self._seeded = self._packs()
        if commits[0] and self.twin.has(commits[0]):
            self.twin.output("update-ref", "--no-deref", "HEAD", commits[0])

    def _packs(self) -> set[str]:
        return set(os.listdir(f"{self.twin.path}/objects/pack"))

    def give(self) -> None:
        """Brings what the twin has fetched into the checkout's repository, where these are two."""
        if self.is_clone:
            return
        self._pack_loose()
        had = _lines(f"{self.reader.path}/shallow")
        shallow = self._weigh_shallow(had)
        new = [each for each in self._packs() - self._seeded if each.endswith((".pack", ".rev", ".idx"))]
        if new:
            tree.make_folders(self.place.base, self.gitdir, "objects/pack")
        # Git takes a pack for there once its index is.
        for each in sorted(new, key=lambda name: (name.endswith(".idx"), name)):
            self._give_pack(each)
        self._seeded.update(new)
        if shallow == had:
            return
        if shallow:
            self.put_text("".join(f"{each}\n" for each in sorted(shallow)), "shallow")
        else:
            tree.take_away(self.place.base, self.gitdir, "shallow", f"{self.work}/gone")

    def _pack_loose(self) -> None:
        """A server that knows nothing of git gives objects one by one."""
        objects = f"{self.twin.path}/objects"
        found = (folder + name for folder in os.listdir(objects) if len(folder) == 2 for name in os.listdir(f"{objects}/{folder}"))
        loose = [f"{each}\n" for each in found if re.fullmatch("[0-9a-f]{40}", each)]
        if loose:
            self.twin.output("pack-objects", "-q", f"{objects}/pack/pack", stdin="".join(loose).encode())

    def _give_pack(self, name: str) -> None:
        """A copy of a pack's file: what the twin has is not for the notebook to write to."""
        import shutil

        pack = f"{self.twin.path}/objects/pack/{name}"
        try:
            os.link(pack, f"{self.reader.path}/objects/pack/{name}")
        except OSError:
            # It is there, or the reader had no packs.
            pass
        copy = f"{self.work}/pack"
        shutil.copyfile(pack, copy)
        os.chmod(copy, 0o444)
        self.put(copy, "objects/pack", name)

    def _weigh_shallow(self, had: set[str]) -> set[str]:
        """Which commits are to be there without their history: as the checkout has it, but for what comes."""
        coming = _lines(f"{self.twin.path}/shallow")
        still = {each for each in had if each in coming or not self.twin.has(each)}
        return still | {each for each in coming if not self.reader.is_whole(each)}

    # --- what it holds ----------------------------------------------------------------------------------------------

    def look(self, repository: Repository, index: str, name: str) -> tree.Look:
        """
        Compares its files with an index, in a folder of ours of this name. Filters and line endings of a commit can make git call files
        modified that nobody touched: what has the very bytes is the same. Raises GitError.
        """
        folder = f"{self.folder}/{name}"
        files = f"{folder}/files"
        discard(folder)
        os.makedirs(files)
        entries = tree.entries_of(repository.output("ls-files", "-s", "-t", "-z", index=index))
        with tree.work_tree(self.place.base, self.tree) as found:
            look = tree.compare(found, entries, files)
        if look.other:
            look.note_modified(self._modified(repository, entries, folder, files))
        return look

    @staticmethod
    def _modified(repository: Repository, entries: list[tree.Entry], folder: str, files: str) -> list[bytes]:
        """
        Those of the files that git calls modified, by an index that knows of none yet: git would believe a size that was noted under other
        rules.
        """
        index = f"{folder}/index"
        lines = [f"{each.mode} {each.oid} {each.stage}\t".encode() + each.path + b"\0" for each in entries]
        repository.output("update-index", "-z", "--index-info", index=index, stdin=b"".join(lines))
        try:
            repository.output("update-index", "-q", "--refresh", index=index, tree=files)
        except GitError:
            # Some need to be updated.
            pass
        differ = ["diff-files", "-z", "--name-only", "--diff-filter=MTU", "--ignore-submodules=all"]
        return tree.listed(repository.output(*differ, index=index, tree=files))

    def look_at_index(self) -> tree.Look:
        """Compares its files with its own index. Raises GitError."""
        return self.look(self.reader, f"{self.reader.path}/index", "look")

    def staged(self) -> list[str]:
        """Git's lines for what in its index is not as it is in its commit. Raises GitError."""
        if self.head is None:
            return []
        differ = ["diff-index", "--cached", "--name-status", "--no-renames", "--ignore-submodules=all", "-z", "HEAD"]
        found = tree.listed(self.reader.output(*differ))
        return [f"{state.decode()}  {tree.shown(path)}" for state, path in zip(found[::2], found[1::2])]

    def is_populated(self) -> bool:
        """Whether the files of a submodule are there."""
        return os.path.isfile(f"{self.tree}/.git") and not self.place.is_linked(f"{self.tree}/.git")

    # --- writing into its git folder --------------------------------------------------------------------------------

    def put(self, file: str, below: str, name: str) -> None:
        """Gives a file of ours its place in a folder of its git folder."""
        tree.put(self.place.base, file, f"{self.gitdir}/{below}" if below else self.gitdir, name)

    def put_text(self, text: str, name: str, below: str = "") -> None:
        file = f"{self.work}/text"
        with open(file, "wb") as made:
            made.write(os.fsencode(text))
        self.put(file, below, name)


def _lines(path: str) -> set[str]:
    """The commits that a file of git's names, a line each."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return set(re.findall("^[0-9a-f]{40}$", file.read(), re.MULTILINE))
    except FileNotFoundError:
        return set()
