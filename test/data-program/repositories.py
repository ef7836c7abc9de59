"""Repositories as tests need them: made by nobody in particular, with a git that has no configuration but theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
import unittest
from pathlib import Path
from unittest import mock

from gpubox_data.places import Place
from scratch import Scratch

PERSON = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "A"), ("EMAIL", "a@localhost"))}


@unittest.skipUnless(shutil.which("git"), "there is no git")
class Repositories(Scratch):
    """A test with `upstream`, a repository of one commit, and the place of ROOT/code/course, where nothing is yet."""

    def setUp(self) -> None:
        super().setUp()
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1", **PERSON}
        patched = mock.patch.dict(os.environ, environment, clear=True)
        patched.start()
        self.addCleanup(patched.stop)
        self.upstream = self.folder / "upstream"
        self.git(self.folder, "init", "--quiet", "--initial-branch", "main", str(self.upstream))
        self.first = self.commit({"lesson.txt": "one\n", "models/.gitkeep": "", "run.sh": "#!/bin/sh\n"})
        self.place = Place(str(self.folder), "code", "course")
        os.makedirs(self.place.state)
        self.course = Path(self.place.target)

    def git(self, folder: Path, *arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
        return done.stdout.rstrip("\n")

    def commit(self, files: dict[str, str]) -> str:
        """Of the upstream, with these files in it as well."""
        for path, text in files.items():
            self.put(f"upstream/{path}", text)
        self.git(self.upstream, "add", "--all")
        self.git(self.upstream, "commit", "--quiet", "--message", "a commit")
        return self.git(self.upstream, "rev-parse", "HEAD")

    def check_out(self) -> None:
        """As `code` leaves the upstream in the course's place."""
        self.git(self.folder, "clone", "--quiet", str(self.upstream), str(self.course))
        self.git(self.course, "checkout", "--quiet", "--detach", self.first)
        self.git(self.course, "branch", "--quiet", "-D", "main")
        self.put("code/course/.git/gpubox", f"url={self.upstream}\nref=main\nname=refs/heads/main\ncommit={self.first}\nwith=\n")
