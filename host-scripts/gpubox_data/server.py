"""The server of a repository: from a ref to a commit, what is fetched from it, and what is said where it gives nothing."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from .git import Git, GitError, Repository
from .parameters import person
from .say import Failure, Watch, quoted, say
from .work import Work

# An address of the server's own making leads to no folder of this machine.
FROM_SERVER = {"GIT_PROTOCOL_FROM_USER": "0"}
LOGIN = r"prompts disabled|could not read (Username|Password)|Authentication failed|(error:|HTTP) 40[13]"


class Found(NamedTuple):
    """
    What a ref is.

    name: its full name where it is a tag or branch, else "". commit: what it is at; None where that takes the commits themselves to know.
    """

    name: str
    commit: str | None


class Server:
    """Of the entry and, by addresses of its own, of its submodules: what repositories of ours fetch as their `origin`."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._url = work.wanted.url
        self._more = {"LC_ALL": "C", **_ssh(work.git)}

    def online(self, repository: Repository, *arguments: str, from_server: bool = False) -> bytes:
        """What a git prints that may talk to the server. Raises GitError."""
        more = {**self._more, **(FROM_SERVER if from_server else {})}
        with Watch("waiting for git"):
            return repository.output("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60", *arguments, more=more)

    # --- fetching ---------------------------------------------------------------------------------------------------

    def fetch(self, repository: Repository, what: str, from_server: bool = False) -> None:
        """A ref or commit; alone where that is wanted and the server can. Raises GitError."""
        fetch = ("fetch", "--quiet", "--no-recurse-submodules")
        if self._work.wanted.shallow and _may_be_shallow(repository):
            try:
                self.online(repository, *fetch, "--depth", "1", "origin", what, from_server=from_server)
                return
            except GitError:
                pass
        self.online(repository, *fetch, "origin", what, from_server=from_server)

    def fetch_all(self, repository: Repository, from_server: bool = False) -> None:
        """All the branches and tags of the server. Its tags are not mixed with the person's own. Raises GitError."""
        whole = ["--unshallow"] if repository.is_shallow() else []
        refs = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/gpubox-tags/*"]
        fetch = ["fetch", "--quiet", "--no-recurse-submodules", *whole, "origin", *refs]
        self.online(repository, *fetch, from_server=from_server)

    def fetch_commit(self, repository: Repository, commit: str, from_server: bool = False) -> None:
        """Not every server hands out a commit by its name; what it has on branches and tags, any server does. Raises GitError."""
        try:
            self.fetch(repository, commit, from_server)
        except GitError:
            self.fetch_all(repository, from_server)

    def deepen(self, repository: Repository, commit: str, from_server: bool = False) -> None:
        """Brings a repository that is at a commit its history, where that is wanted. Raises GitError."""
        if self._work.wanted.shallow or not repository.is_shallow():
            return
        fetch = ("fetch", "--quiet", "--no-recurse-submodules", "--unshallow", "origin", commit)
        try:
            self.online(repository, *fetch, from_server=from_server)
        except GitError:
            self.fetch_all(repository, from_server)

    # --- from a ref to a commit -------------------------------------------------------------------------------------

    def look_up(self, repository: Repository) -> Found:
        """What the ref that is wanted is now."""
        ref = self._work.wanted.ref
        if re.fullmatch("[0-9a-fA-F]{40}", ref):
            return Found("", ref.lower())
        say(f"looking for {ref} in {self._url}")
        names = [f"refs/tags/{ref}", f"refs/tags/{ref}^{{}}", f"refs/heads/{ref}"]
        try:
            lines = os.fsdecode(self.online(repository, "ls-remote", "origin", *names)).splitlines()
        except GitError:
            raise self.cannot_fetch(self._url) from None
        found = {name: commit for commit, _, name in (line.partition("\t") for line in lines)}
        for name in (names[0], names[2]):
            # Of an annotated tag the commit is in a line of its own.
            commit = found.get(f"{name}^{{}}") or found.get(name)
            if commit:
                return Found(name, commit)
        if not re.fullmatch("[0-9a-fA-F]{7,39}", ref):
            raise self._no_such_ref()
        return Found("", None)

    def obtain(self, repository: Repository, found: Found) -> str:
        """Brings what was looked up into a repository, and gives its commit: a branch may have moved on."""
        ref = self._work.wanted.ref
        if found.commit and repository.is_whole(found.commit):
            commit = repository.commit_of(found.commit)
        else:
            try:
                self._fetch_found(repository, found)
            except GitError:
                raise self.cannot_fetch(self._url) from None
            commit = repository.commit_of("FETCH_HEAD" if found.name else found.commit or ref)
        if commit:
            return commit
        if found.name:
            raise self._work.stop(1, f"ref: {found.name} of {self._url} is no commit")
        if found.commit:
            raise self._work.stop(1, f"ref: {self._url} has no commit {found.commit}")
        raise self._no_such_ref()

    def _fetch_found(self, repository: Repository, found: Found) -> None:
        if found.name:
            say(f"fetching {found.name} of {self._url}")
            self.fetch(repository, found.name)
        elif found.commit:
            say(f"fetching commit {found.commit} of {self._url}")
            self.fetch_commit(repository, found.commit)
        else:
            self.fetch_all(repository)

    def _no_such_ref(self) -> Failure:
        ref = self._work.wanted.ref
        has = f"  what it has:  git ls-remote {quoted(self._url)}"
        return self._work.stop(1, f"ref: {self._url} has no commit, tag or branch {ref}", has)

    # --- where it gives nothing -------------------------------------------------------------------------------------

    def cannot_fetch(self, what: str) -> Failure:
        self._work.show_git()
        here = os.uname().nodename
        by_ssh = bool(os.environ.get("SSH_CONNECTION"))
        if by_ssh:
            # What a person types on their own machine does not help this one.
            say(f"cannot fetch {what}; it is {here} that fetches it, so this is about what is there")
        else:
            say(f"cannot fetch {what}")
        look = f"git ls-remote {quoted(self._url)}"
        if self._said(LOGIN):
            return self._work.stop(
                1,
                "  it wants a login; type it once in your terminal, and git keeps it in memory for a day:",
                f"    git config --global credential.helper 'cache --timeout=86400' && {look}",
            )
        if self._said(r"Permission denied \("):
            return self._no_key(here, by_ssh)
        if self._said("Host key verification failed"):
            return self._work.stop(1, f"  ssh does not know this server yet; look at its key and accept it:  {look}")
        return self._work.stop(1, f"  what the machine says to that:  {look}")

    def _no_key(self, here: str, by_ssh: bool) -> Failure:
        if by_ssh:
            return self._work.stop(
                1,
                f"  it takes none of the keys of {person()} on {here}. Put one there, or lend it those of your own agent:",
                f"    `ForwardAgent yes` below the `Host` of {here} in your own ~/.ssh/config, and `ssh-add` on your own machine",
            )
        if os.environ.get("SSH_AUTH_SOCK"):
            return self._work.stop(1, "  it takes none of your keys; those that your ssh agent has:  ssh-add -l")
        return self._work.stop(
            1,
            "  it wants a key, and no ssh agent can be reached (SSH_AUTH_SOCK is not set):",
            '    eval "$(ssh-agent)" && ssh-add',
        )

    def _said(self, pattern: str) -> bool:
        return any(re.search(pattern, line) for line in self._work.git.said)


def _may_be_shallow(repository: Repository) -> bool:
    """What the person has of a repository's history is never cut off: only a new one becomes shallow."""
    return repository.is_shallow() or repository.head() is None


def _ssh(git: Git) -> dict[str, str]:
    """Has ssh ask nobody, and wait for no machine for long, where it is ssh that git uses."""
    if os.environ.get("GIT_SSH"):
        return {}
    ssh = os.environ.get("GIT_SSH_COMMAND")
    if ssh is None:
        try:
            ssh = os.fsdecode(git.output("-C", "/", "config", "core.sshCommand")).rstrip("\n")
        except GitError:
            ssh = "ssh"
    if ssh.partition(" ")[0].rpartition("/")[2] != "ssh":
        return {}
    return {"GIT_SSH_COMMAND": f"{ssh} -o BatchMode=yes -o ConnectTimeout=20"}
