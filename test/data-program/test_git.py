from __future__ import annotations

import os
from unittest import mock

from gpubox_data.checkout import Mark
from gpubox_data.code import plain_url
from gpubox_data.git import Git, GitError, Repository, has_program, settings_of
from repositories import Repositories
from scratch import Scratch


class Settings(Scratch):
    def test_are_texts_of_any_kind(self) -> None:
        text = b"core.bare\0remote.origin.url\nhttps://host/x\0remote.origin.url\nlast\nof two lines\0user.name\n\xff\0"
        self.assertEqual(
            settings_of(text),
            {"core.bare": "", "remote.origin.url": "last\nof two lines", "user.name": os.fsdecode(b"\xff")},
        )

    def test_none_are_none(self) -> None:
        self.assertEqual(settings_of(b""), {})


class Programs(Scratch):
    def test_are_those_that_can_be_run(self) -> None:
        self.put("there").chmod(0o755)
        self.put("text")
        with mock.patch.dict(os.environ, PATH=f"/nowhere:{self.folder}"):
            self.assertTrue(has_program("there"))
            self.assertFalse(has_program("text"))
            self.assertFalse(has_program("gone"))


class Marks(Scratch):
    MARK = Mark(f"url=https://host/x\nref=v1=2\nname=\ncommit={'a1' * 20}\nwith= history lfs\n")

    def test_have_fields(self) -> None:
        self.assertEqual(self.MARK.field("url"), "https://host/x")
        self.assertEqual(self.MARK.field("ref"), "v1=2")
        self.assertEqual(self.MARK.field("name"), "")
        self.assertEqual(self.MARK.field("with"), " history lfs")
        self.assertEqual(self.MARK.field("other"), "")

    def test_a_field_is_no_part_of_another(self) -> None:
        self.assertEqual(Mark("x=url=1\nmyurl=2\n").field("url"), "")

    def test_of_two_the_first_counts(self) -> None:
        self.assertEqual(Mark("ref=a\nref=b\n").field("ref"), "a")

    def test_a_field_has_no_control_characters(self) -> None:
        self.assertEqual(Mark("ref=\x1b[2J\n").field("ref"), "")

    def test_a_commit_looks_like_one(self) -> None:
        self.assertEqual(self.MARK.commit("commit"), "a1" * 20)
        for value in ("", "a1", "A1" * 20, "--all", f"{'a1' * 20}x"):
            with self.subTest(value):
                self.assertEqual(Mark(f"commit={value}\n").commit("commit"), "")


class Urls(Scratch):
    def test_are_the_same_however_they_are_written(self) -> None:
        for url in ("https://host/x", "https://host/x/", "https://host/x.git", "https://host/x.git//"):
            with self.subTest(url):
                self.assertEqual(plain_url(url), "https://host/x")

    def test_differ_where_they_lead_elsewhere(self) -> None:
        self.assertEqual(plain_url("https://host/x.git.git"), "https://host/x.git")
        self.assertEqual(plain_url("https://host/xgit"), "https://host/xgit")


class Runs(Repositories):
    def test_nothing_of_the_callers_repository_is_taken(self) -> None:
        mine = {"GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere", "GIT_CONFIG_COUNT": "1", "SSH_ASKPASS": "/window"}
        with mock.patch.dict(os.environ, mine):
            git = Git(str(self.folder / "log"))
        self.assertEqual([name for name in mine if name in git.environment], [])
        self.assertEqual(git.environment["GIT_LFS_SKIP_SMUDGE"], "1")
        self.assertEqual(git.environment["GIT_TERMINAL_PROMPT"], "0")
        self.assertEqual(Repository(git, str(self.upstream / ".git")).head(), self.first)

    def test_what_it_says_is_there_where_it_fails(self) -> None:
        git = Git(str(self.folder / "log"))
        with self.assertRaises(GitError):
            git.output("no-such-command")
        self.assertIn("no-such-command", git.said[0])
        self.assertEqual(git.complaints, git.said)
        git.output("version")
        self.assertEqual(git.said, [])
        self.assertIn("no-such-command", git.complaints[0])

    def test_its_hooks_are_not_run(self) -> None:
        ran = self.folder / "ran"
        self.put("upstream/.git/hooks/post-checkout", f"#!/bin/sh\ntouch '{ran}'\n").chmod(0o755)
        repository = Repository(Git(str(self.folder / "log")), str(self.upstream / ".git"))
        repository.output("checkout", "--quiet", "--detach", self.first, tree=str(self.upstream))
        self.assertFalse(ran.exists())
        self.git(self.upstream, "checkout", "--quiet", "main")
        self.assertTrue(ran.exists())

    def test_it_is_fed_and_read(self) -> None:
        git = Git(str(self.folder / "log"))
        self.assertEqual(git.output("hash-object", "--stdin", stdin=b"x" * 1_000_000), b"8eb708f936a80a54e0daa13707cba9b938bf257b\n")

    def test_a_commit_is_there_whole_or_not(self) -> None:
        repository = Repository(Git(str(self.folder / "log")), str(self.upstream / ".git"))
        self.assertTrue(repository.has(self.first))
        self.assertTrue(repository.is_whole(self.first))
        self.assertFalse(repository.is_shallow())
        self.assertEqual(repository.commit_of("main"), self.first)
        tree = self.git(self.upstream, "rev-parse", "HEAD^{tree}")
        self.assertFalse(repository.has(tree))
        self.assertIsNone(repository.commit_of("HEAD^{tree}"))
        self.assertFalse(repository.is_whole("1" * 40))
