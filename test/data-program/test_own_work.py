from __future__ import annotations

import os
from unittest import mock

from gpubox_data.own_work import why_kept
from repositories import Repositories


class Kept(Repositories):
    def setUp(self) -> None:
        super().setUp()
        self.check_out()

    def edit(self, path: str = "lesson.txt") -> None:
        self.put(f"code/course/{path}", "mine\n")

    def own_commit(self) -> None:
        self.edit()
        self.git(self.course, "commit", "--quiet", "--all", "--message", "mine")

    def kept_for(self, line: str) -> None:
        kept = why_kept(self.place)
        assert kept is not None
        self.assertEqual(kept[0], "with what only it has (above)")
        self.assertTrue(any(each.startswith(line) for each in kept[1]), kept[1])

    def test_nothing_is_lost_of_what_was_fetched(self) -> None:
        self.assertIsNone(why_kept(self.place))
        self.assertEqual(os.listdir(self.place.state), ["git.log"])

    def test_nor_of_what_was_fetched_since(self) -> None:
        self.commit({"new.txt": "two\n"})
        self.git(self.course, "fetch", "--quiet", "origin")
        self.assertIsNone(why_kept(self.place))

    def test_an_edit(self) -> None:
        self.edit()
        self.kept_for(" M lesson.txt")

    def test_a_file_that_is_not_there(self) -> None:
        (self.course / "run.sh").unlink()
        self.kept_for(" D run.sh")

    def test_another_mode(self) -> None:
        (self.course / "run.sh").chmod(0o755)
        self.kept_for(" M run.sh")

    def test_what_is_staged_alone(self) -> None:
        self.edit()
        self.git(self.course, "add", "lesson.txt")
        self.put("code/course/lesson.txt", "one\n")
        self.kept_for("M  lesson.txt")

    def test_a_file_that_git_does_not_know(self) -> None:
        self.edit("mine.txt")
        self.kept_for("?? mine.txt")

    def test_a_file_that_git_is_to_ignore(self) -> None:
        self.put("code/course/.git/info/exclude", "*.pth\n")
        self.edit("models/best.pth")
        self.kept_for("?? models/best.pth")

    def test_a_repository_in_it(self) -> None:
        self.git(self.course, "init", "--quiet", "inner")
        self.kept_for("?? inner/")

    def test_a_file_that_git_was_told_not_to_look_at(self) -> None:
        self.git(self.course, "update-index", "--assume-unchanged", "lesson.txt")
        self.kept_for("h lesson.txt")

    def test_a_stash(self) -> None:
        self.edit()
        self.git(self.course, "stash")
        self.kept_for("commit ")

    def test_a_commit_on_a_branch(self) -> None:
        self.git(self.course, "checkout", "--quiet", "-b", "mine")
        self.own_commit()
        self.git(self.course, "checkout", "--quiet", "--detach", self.first)
        self.kept_for("commit ")

    def test_a_commit_that_only_the_log_of_heads_names(self) -> None:
        self.own_commit()
        self.git(self.course, "checkout", "--quiet", "--detach", self.first)
        self.kept_for("commit ")

    def test_a_checkout_that_was_moved(self) -> None:
        second = self.commit({"new.txt": "two\n"})
        self.git(self.course, "fetch", "--quiet", "origin")
        self.git(self.course, "checkout", "--quiet", "--detach", second)
        self.kept_for(f"you moved it away from {self.first}: {self.course}")

    def test_a_further_work_tree(self) -> None:
        self.git(self.course, "worktree", "add", "--quiet", "--detach", str(self.folder / "second"))
        self.kept_for("worktree second")

    def test_what_git_complains_of(self) -> None:
        self.put("code/course/.git/refs/heads/broken", "1" * 40 + "\n")
        self.kept_for("fatal: bad object")

    def test_what_git_cannot_read(self) -> None:
        self.put("code/course/.git/HEAD", "mine\n")
        self.assertEqual(why_kept(self.place), ("as git cannot read it", ["its .git is no repository"]))

    def test_ten_lines_say_enough(self) -> None:
        for number in range(20):
            self.edit(f"mine-{number}")
        kept = why_kept(self.place)
        assert kept is not None
        self.assertEqual(len(kept[1]), 10)

    def test_where_there_is_no_git(self) -> None:
        with mock.patch.dict(os.environ, PATH="/nowhere"):
            kept = why_kept(self.place)
        self.assertEqual(kept, ("as git is not installed, which it takes to say what in it is yours", []))


class KeptForASubmodule(Repositories):
    def setUp(self) -> None:
        super().setUp()
        part = self.folder / "part"
        self.git(self.folder, "init", "--quiet", "--initial-branch", "main", str(part))
        self.put("part/part.txt", "part\n")
        self.git(part, "add", "--all")
        self.git(part, "commit", "--quiet", "--message", "part")
        self.git(self.upstream, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(part), "part")
        self.first = self.commit({})
        self.check_out()
        self.git(self.course, "-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init")
        # What came with the clone is not what `code` leaves.
        self.git(self.course / "part", "branch", "--quiet", "-D", "main")

    def test_nothing_is_lost_of_what_was_fetched(self) -> None:
        self.assertIsNone(why_kept(self.place))

    def test_an_edit(self) -> None:
        self.put("code/course/part/part.txt", "mine\n")
        self.assertEqual(why_kept(self.place), ("with what only it has (above)", [" M part.txt"]))

    def test_what_git_cannot_read(self) -> None:
        (self.course / ".git/modules/part/objects/info").mkdir(exist_ok=True)
        self.put("code/course/.git/modules/part/objects/info/alternates", "/nowhere\n")
        kept = why_kept(self.place)
        assert kept is not None
        self.assertIn(f"git cannot read {self.course}/part: it borrows objects of another repository", kept[1][0])
