"""
Git on our own terms, for what works on a person's checkouts.

Whatever is below ROOT/code, .git included, can be written by code in a notebook at any moment. So no git of ours opens a checkout's .git
as its repository, or its files as a work tree: see docs/adr/0005-git-on-the-host.md. The repositories here are our own.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

# fsmonitor would start a daemon; hooks are the person's, not for our moves; a pack is kept as it comes: unpacked, it would be there in
# part after a kill, the commit first.
TERMS = {
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.unpackLimit": "1",
}
LFS_FILTER = {
    "filter.lfs.clean": "git-lfs clean -- %f",
    "filter.lfs.smudge": "git-lfs smudge -- %f",
    "filter.lfs.process": "git-lfs filter-process",
    "filter.lfs.required": "true",
}
# Of what a git says, in bytes.
LONGEST_LOG = 65536
# The number that the lock has for the shell, which knows those of one digit alone.
LOCK = 9
# Git does not have the lock: a daemon that it starts for credentials or ssh would keep it for as long as it lives. This shell has it for
# as long as git itself runs, so that the next run waits for a git that outlives a killed one.
HOLDING = f'"$@" {LOCK}>&-; exit $?'


class GitError(Exception):
    """A git of ours has failed; Git.said has its words."""


def has_program(name: str) -> bool:
    return any(os.access(f"{folder or '.'}/{name}", os.X_OK) for folder in os.environ.get("PATH", os.defpath).split(":"))


class Git:
    """
    How git is run.

    log: a file of ours for what a git says: not a pipe, whose end would be waited for as long as a daemon has it.

    said: lines of the last git that was asked to do something. complaints: all that gits have said so far.
    """

    def __init__(self, log: str) -> None:
        self.said: list[str] = []
        self.complaints: list[str] = []
        self._log = log
        self._prefix: list[str] = []
        self._passed: list[int] = []
        terms = {**TERMS, **LFS_FILTER} if has_program("git-lfs") else TERMS
        self.terms = [part for key, value in terms.items() for part in ("-c", f"{key}={value}")]
        # Nobody is there to answer: a login is the business of the person's agent and credential helper. What LFS holds is fetched where
        # that is asked for, not with every checkout on a machine that has git-lfs.
        self.environment = dict(os.environ, GIT_LFS_SKIP_SMUDGE="1", GIT_TERMINAL_PROMPT="0", GCM_INTERACTIVE="never")
        self.environment.pop("SSH_ASKPASS", None)
        # Nothing of our caller's repository (of a hook, say).
        for name in self._run(["rev-parse", "--local-env-vars"], subprocess.DEVNULL, b"", {})[1].decode().split():
            self.environment.pop(name, None)

    def hold(self, lock: int) -> None:
        """From now on the lock with this descriptor is held as long as a git runs."""
        os.dup2(lock, LOCK, inheritable=False)
        self._prefix = ["/bin/sh", "-c", HOLDING, "sh"]
        self._passed = [LOCK]

    def output(self, *arguments: str, stdin: bytes = b"", more: Mapping[str, str] | None = None) -> bytes:
        """What a git prints; `more` goes into its environment. Raises GitError."""
        with open(self._log, "wb") as log:
            status, printed = self._run(arguments, log.fileno(), stdin, more or {})
        with open(self._log, "rb") as log:
            self.said = log.read(LONGEST_LOG).decode("utf-8", "surrogateescape").splitlines()
        self.complaints.extend(self.said)
        if status != 0:
            raise GitError
        return printed

    def succeeds(self, *arguments: str) -> bool:
        """Whether a git says yes; nobody is interested in its words."""
        return self._run(arguments, subprocess.DEVNULL, b"", {})[0] == 0

    def _run(self, arguments: Sequence[str], log: int, stdin: bytes, more: Mapping[str, str]) -> tuple[int, bytes]:
        with subprocess.Popen(
            [*self._prefix, "git", *arguments],
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**self.environment, **more},
            pass_fds=self._passed,
        ) as process:
            printed, _ = process.communicate(stdin or None)
        return process.returncode, printed

    # --- files that are no repository's -----------------------------------------------------------------------------

    def init(self, path: str, bare: bool) -> None:
        """Makes a repository of ours, without what the person has new ones made of."""
        self.output("-C", "/", "init", "--quiet", *(["--bare"] if bare else []), "--template=", path)

    def settings(self, file: str) -> dict[str, str]:
        """What a configuration file has, as a text and no more. Raises GitError where it is none."""
        return settings_of(self.output("-C", "/", "config", "--no-includes", "--file", file, "--list", "-z"))

    def set(self, file: str, settings: Mapping[str, str]) -> None:
        for key, value in settings.items():
            self.output("-C", "/", "config", "--file", file, "--replace-all", key, value)


def settings_of(text: bytes) -> dict[str, str]:
    """What git config --list -z prints; of several values of a key the last one counts."""
    settings = {}
    for line in text.split(b"\0")[:-1]:
        key, _, value = line.partition(b"\n")
        settings[os.fsdecode(key)] = os.fsdecode(value)
    return settings


class Repository:
    """A repository of ours. `index`, where it is given, is a file to use as its index; `tree` a folder of ours to use as its work tree."""

    def __init__(self, git: Git, path: str) -> None:
        self.git = git
        self.path = path

    def output(
        self,
        *arguments: str,
        stdin: bytes = b"",
        index: str | None = None,
        tree: str | None = None,
        more: Mapping[str, str] | None = None,
    ) -> bytes:
        """What a git prints. Raises GitError."""
        at = [] if tree is None else [f"--work-tree={tree}", "-C", tree]
        environment = dict(more or {})
        if index is not None:
            environment["GIT_INDEX_FILE"] = index
        return self.git.output(f"--git-dir={self.path}", *self.git.terms, *at, *arguments, stdin=stdin, more=environment)

    def succeeds(self, *arguments: str) -> bool:
        return self.git.succeeds(f"--git-dir={self.path}", *self.git.terms, *arguments)

    def commit_of(self, name: str) -> str | None:
        """The commit that something is a name of."""
        try:
            return self.output("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").decode().strip()
        except GitError:
            return None

    def head(self) -> str | None:
        """The commit that it is at, whether that is there or not."""
        try:
            return self.output("rev-parse", "--verify", "--quiet", "HEAD").decode().strip()
        except GitError:
            return None

    def has(self, commit: str) -> bool:
        return self.succeeds("cat-file", "-e", f"{commit}^{{commit}}")

    def is_whole(self, commit: str) -> bool:
        """
        Whether a commit is there with its history, or as much of it as a shallow repository has: after a fetch that was killed, it may be
        there without.
        """
        return self.succeeds("rev-list", "--quiet", commit, "--")

    def is_shallow(self) -> bool:
        return self.output("rev-parse", "--is-shallow-repository").strip() == b"true"
