from __future__ import annotations

import unittest

from gpubox_data.git import Git, GitError, Repository
from gpubox_data.gitmodules import absolute_url, is_safe, submodules_of
from repositories import Repositories
from scratch import Scratch


class Addresses(unittest.TestCase):
    def test_absolute_ones_stay(self) -> None:
        for url in ("https://host/part.git", "git@host:part.git", "ext::helper x", "/folder/part"):
            with self.subTest(url):
                self.assertEqual(absolute_url("https://host/course.git", url), url)

    def test_relative_ones_are_beside_the_repository(self) -> None:
        for base, url, expected in (
            ("https://host/a/course.git", "../part.git", "https://host/a/part.git"),
            ("https://host/a/course.git/", "../part.git", "https://host/a/part.git"),
            ("https://host/a/course.git", "./part.git", "https://host/a/course.git/part.git"),
            ("https://host/a/course.git", "../../b/part.git", "https://host/b/part.git"),
            ("https://host/a/course.git", ".././../part.git", "https://host/part.git"),
            ("git@host:a/course.git", "../part.git", "git@host:a/part.git"),
            ("git@host:a/course.git", "../../part.git", "git@host:part.git"),
            ("git@host:course.git", "../part.git", "git@host:part.git"),
            ("/folder/course", "../part", "/folder/part"),
        ):
            with self.subTest(f"{base} {url}"):
                self.assertEqual(absolute_url(base, url), expected)

    def test_none_is_above_the_top(self) -> None:
        for base, url in (
            ("https://host/course.git", "../../part.git"),
            ("git@host:course.git", "../../part.git"),
            ("course", "../part"),
        ):
            with self.subTest(f"{base} {url}"):
                self.assertIsNone(absolute_url(base, url))

    def test_what_git_would_not_take_is_none(self) -> None:
        for url in ("", "--upload-pack=x", "https://host/a\nb", "https://host/a\x7f"):
            with self.subTest(url):
                self.assertIsNone(absolute_url("https://host/course.git", url))


class Names(Scratch):
    def test_safe(self) -> None:
        for name in ("part", "libs/part", "a b", "..part", "teil.ü"):
            with self.subTest(name):
                self.assertTrue(is_safe(str(self.folder), name))

    def test_unsafe(self) -> None:
        for name in ("", "..", "../x", "a/../../x", "a/./b", "a//b", "/a", "a/", "-x", "a\nb"):
            with self.subTest(name):
                self.assertFalse(is_safe(str(self.folder), name))

    def test_not_inside_the_repository_of_another(self) -> None:
        self.put("modules/part/HEAD")
        self.assertTrue(is_safe(str(self.folder), "part"))
        self.assertFalse(is_safe(str(self.folder), "part/objects"))
        self.assertFalse(is_safe(str(self.folder), "part/a/b"))
        self.assertTrue(is_safe(str(self.folder), "parts/a"))


class Submodules(Repositories):
    def submodules(self, gitmodules: str, *paths: str) -> list[tuple[str, str, str, str]]:
        for path in paths:
            self.git(self.upstream, "update-index", "--add", "--cacheinfo", f"160000,{self.first},{path}")
        commit = self.commit({".gitmodules": gitmodules})
        repository = Repository(Git(str(self.folder / "log")), str(self.upstream / ".git"))
        found = submodules_of(repository, commit)
        self.assertEqual({each.commit for each in found}, {self.first} if found else set())
        return [(each.path, each.name, each.url, each.update) for each in found]

    def commit(self, files: dict[str, str]) -> str:
        # Those in the index alone would be taken for removed.
        for path, text in files.items():
            self.put(f"upstream/{path}", text)
            self.git(self.upstream, "add", path)
        self.git(self.upstream, "commit", "--quiet", "--message", "a commit")
        return self.git(self.upstream, "rev-parse", "HEAD")

    def test_have_what_gitmodules_says_of_their_path(self) -> None:
        text = '[submodule "A B"]\n\tpath = libs/part\n\turl = ../part.git\n\tupdate = none\n[submodule "gone"]\n\tpath = gone\n'
        self.assertEqual(self.submodules(text, "libs/part", "other"), [("libs/part", "A B", "../part.git", "none"), ("other", "", "", "")])

    def test_none_are_there_without_an_entry_in_the_commit(self) -> None:
        self.assertEqual(self.submodules('[submodule "a"]\n\tpath = a\n\turl = b\n'), [])

    def test_a_gitmodules_that_is_none_names_none(self) -> None:
        self.assertEqual(self.submodules("[submodule", "part"), [("part", "", "", "")])

    def test_a_path_of_two_lines_has_no_name(self) -> None:
        self.assertEqual(self.submodules('[submodule "a"]\n\tpath = "a\\nb"\n\turl = c\n', "a\nb"), [("a\nb", "", "", "")])

    def test_a_commit_that_is_not_there_cannot_be_read(self) -> None:
        repository = Repository(Git(str(self.folder / "log")), str(self.upstream / ".git"))
        with self.assertRaises(GitError):
            submodules_of(repository, "1" * 40)
