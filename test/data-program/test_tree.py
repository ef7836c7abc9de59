from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from gpubox_data import tree
from gpubox_data.say import Failure
from repositories import Repositories
from scratch import Refusals, Scratch


class Texts(Scratch):
    def test_a_path_has_one_line(self) -> None:
        self.assertEqual(tree.shown(b"a\nb\x1b[2J\xff"), "a?b?[2J\N{REPLACEMENT CHARACTER}")
        self.assertEqual(len(tree.shown(b"x" * 1000)), 200)

    def test_a_blob_has_the_name_that_git_gives_it(self) -> None:
        self.assertEqual(tree.blob(6, iter([b"one", b"\ntwo"[:3]])), hashlib.sha1(b"blob 6\0one\ntw").hexdigest())
        self.assertEqual(tree.blob(0, iter([])), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")

    def test_entries(self) -> None:
        self.assertEqual(
            tree.entries_of(b"H 100644 aa 0\ta b\0S 160000 bb 2\t\xff\ty\0"),
            [tree.Entry("H", "100644", "aa", "0", b"a b"), tree.Entry("S", "160000", "bb", "2", b"\xff\ty")],
        )
        self.assertEqual(tree.entries_of(b""), [])

    def test_moves(self) -> None:
        lines = b":000000 100644 0 b A\0new\0:100644 000000 a 0 D\0gone\0:100644 160000 a c T\0module\0:160000 120000 c d T\0link\0"
        new, gone, module, link = tree.moves_of(lines)
        self.assertEqual([each.path for each in (new, gone, module, link)], [b"new", b"gone", b"module", b"link"])
        self.assertEqual([each.is_file for each in (new, gone, module, link)], [True, False, False, True])
        self.assertEqual([each.was_there for each in (new, gone, module, link)], [False, True, True, False])
        self.assertEqual([each.is_module for each in (new, gone, module, link)], [False, False, True, False])
        self.assertEqual([each.was_module for each in (new, gone, module, link)], [False, False, False, True])
        self.assertEqual(gone.old, "a")

    def test_what_is_put_anew(self) -> None:
        (again,) = tree.moves_again(b"100644 blob a\tone\x00100755 blob b\ttwo\0", {b"two", b"three"})
        self.assertEqual((again.path, again.old, again.was_there, again.is_file), (b"two", "b", True, True))


class Folders(Scratch, Refusals):
    """What is below ROOT/code, `base`; `elsewhere` is the person's and is none of that."""

    def setUp(self) -> None:
        super().setUp()
        self.base = str(self.folder / "code")
        self.put("code/course/deep/file", "text")
        self.put("elsewhere/secret", "mine")

    def in_course(self, *parts: str) -> str:
        return "/".join((self.base, "course", *parts))

    def link(self, name: str) -> None:
        (self.folder / name).symlink_to(self.folder / "elsewhere")

    def test_are_opened_where_they_are_folders_all_the_way(self) -> None:
        for path in (self.base, self.in_course(), self.in_course("deep")):
            with self.subTest(path), tree.opened(self.base, path) as at:
                self.assertTrue(os.path.samestat(os.fstat(at), os.stat(path)))

    def test_are_not_opened_elsewhere(self) -> None:
        self.link("code/course/link")
        for path in ("link", "deep/file", "gone", "..", "../course", ".", "deep/../deep", ""):
            with self.subTest(path), self.assertRaises(OSError), tree.opened(self.base, self.in_course(path)):
                pass
        for path in (str(self.folder), f"{self.base}r", "/", ""):
            with self.subTest(path), self.assertRaises(OSError), tree.opened(self.base, path):
                pass

    def test_leave_no_descriptor_behind(self) -> None:
        self.link("code/course/link")
        before = os.listdir("/dev/fd")
        for path in ("deep", "link", "deep/file", "gone/deeper"):
            try:
                with tree.opened(self.base, self.in_course(path)):
                    pass
            except OSError:
                pass
        with tree.work_tree(self.base, self.in_course()) as files:
            files.look(b"deep/file")
            files.look(b"link/secret")
        self.assertEqual(os.listdir("/dev/fd"), before)

    def test_are_written_into_where_they_are(self) -> None:
        made = str(self.put("made", "new"))
        tree.put(self.base, made, self.in_course("deep"), "file")
        self.assertEqual((self.folder / "code/course/deep/file").read_text(), "new")
        tree.make_folders(self.base, self.in_course(), "deep/er/est")
        self.assertTrue(os.path.isdir(self.in_course("deep", "er", "est")))

    def test_are_not_written_into_behind_a_link(self) -> None:
        self.link("code/course/link")
        made = str(self.put("made", "new"))
        writes: list[Callable[[], None]] = [
            lambda: tree.put(self.base, made, self.in_course("link"), "secret"),
            lambda: tree.make_folders(self.base, self.in_course("link"), "new"),
            lambda: tree.make_folders(self.base, self.in_course(), "link/new"),
            lambda: tree.take_away(self.base, self.in_course("link"), "secret", str(self.folder / "gone")),
        ]
        for write in writes:
            with self.assertRaises(Failure) as refused:
                write()
            self.refused(refused.exception, 3, "behind a link")
        self.assertEqual(os.listdir(self.folder / "elsewhere"), ["secret"])

    def test_lose_what_is_taken_away(self) -> None:
        self.link("code/course/link")
        for name in ("link", "deep", "gone"):
            tree.take_away(self.base, self.in_course(), name, str(self.folder / "away"))
        self.assertEqual(os.listdir(self.in_course()), [])
        self.assertEqual(os.listdir(self.folder / "elsewhere"), ["secret"])
        self.assertFalse((self.folder / "away").exists())

    def test_have_files_that_are_copied(self) -> None:
        self.link("code/course/link")
        to = str(self.folder / "copy")
        self.assertTrue(tree.take_file(self.base, self.in_course("deep"), "file", to))
        self.assertEqual(Path(to).read_text(), "text")
        for name in ("link", "gone"):
            self.assertFalse(tree.take_file(self.base, self.in_course(), name, to), name)
            self.assertFalse(os.path.exists(to), name)

    def test_have_files_with_a_second_name(self) -> None:
        (self.folder / "code/course/deep/link").symlink_to(self.folder / "elsewhere/secret")
        to = os.fsencode(self.folder / "second")
        with tree.opened(self.base, self.in_course("deep")) as at:
            self.assertTrue(tree.second_name(at, b"file", to))
            self.assertTrue(os.path.samefile(to, self.in_course("deep", "file")))
            os.unlink(to)
            self.assertFalse(tree.second_name(at, b"link", to))
            self.assertFalse(os.path.lexists(to))

    def test_have_a_copy_where_there_can_be_no_second_name(self) -> None:
        to = os.fsencode(self.folder / "second")
        with tree.opened(self.base, self.in_course("deep")) as at, mock.patch("os.link", side_effect=OSError(18, "another disk")):
            self.assertTrue(tree.second_name(at, b"file", to))
        self.assertEqual(Path(os.fsdecode(to)).read_text(), "text")
        self.assertFalse(os.path.samefile(to, self.in_course("deep", "file")))

    def test_have_names(self) -> None:
        self.link("code/course/link")
        self.assertEqual(tree.names_in(self.base, self.in_course()), ["deep", "link"])
        for path in ("link", "gone"):
            self.assertEqual(tree.names_in(self.base, self.in_course(path)), [], path)


class Locks(Scratch):
    def setUp(self) -> None:
        super().setUp()
        self.base = str(self.folder / "code")
        self.gitdir = f"{self.base}/course/.git"
        self.put("code/course/.git/index", "an index")
        self.put("reader/index", "an old one")

    def lock(self) -> None:
        tree.lock_index(self.base, self.gitdir, str(self.folder / "reader"))

    def test_take_the_index_as_it_is_then(self) -> None:
        self.lock()
        self.assertEqual((self.folder / "reader/index").read_text(), "an index")
        self.assertTrue(os.path.exists(f"{self.gitdir}/index.lock"))
        tree.unlock_index(self.base, self.gitdir)
        self.assertEqual(os.listdir(self.gitdir), ["index"])
        tree.unlock_index(self.base, self.gitdir)

    def test_of_a_killed_run_are_taken_over(self) -> None:
        self.lock()
        self.lock()

    def test_of_git_are_left_alone(self) -> None:
        for text in ("", "gpubox", "gpubox\nmore"):
            self.put("code/course/.git/index.lock", text)
            with self.subTest(text), self.assertRaisesRegex(tree.Locked, "git is at work there"):
                self.lock()

    def test_are_not_taken_where_the_index_is_no_file(self) -> None:
        os.unlink(f"{self.gitdir}/index")
        os.mkfifo(f"{self.gitdir}/index")
        with self.assertRaisesRegex(tree.Locked, "no file, where git makes one"):
            self.lock()
        self.assertEqual(os.listdir(self.gitdir), ["index"])

    def test_an_index_that_is_not_there_is_none(self) -> None:
        os.unlink(f"{self.gitdir}/index")
        self.lock()
        self.assertEqual(os.listdir(self.folder / "reader"), [])


class Snapshots(Repositories):
    def snapshot(self) -> Path:
        reader = self.folder / "reader"
        reader.mkdir()
        tree.snapshot(self.place.base, f"{self.course}/.git", str(reader))
        return reader

    def setUp(self) -> None:
        super().setUp()
        self.check_out()

    def test_have_what_git_holds_and_nothing_that_it_obeys(self) -> None:
        for name in ("hooks/post-checkout", "info/attributes", "commondir", "config.worktree"):
            self.put(f"code/course/.git/{name}", "x")
        reader = self.snapshot()
        self.assertEqual(
            sorted(os.listdir(reader)), sorted(["HEAD", "index", "packed-refs", "refs", "logs", "gpubox", "theirs", "objects"])
        )
        self.assertEqual((reader / "theirs").read_text(), (self.course / ".git/config").read_text())
        self.assertFalse(os.path.samefile(reader / "HEAD", self.course / ".git/HEAD"))

    def test_of_what_is_strange_are_refused(self) -> None:
        def link(name: str) -> None:
            path = self.course / ".git" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.symlink_to("/nowhere")

        for name, words in (
            ("objects/info/alternates", "borrows objects"),
            ("refs/heads/link", "links where git makes none: refs/heads/link"),
            ("config", "links where git makes none: config"),
            ("objects/ab/cd", "links where git makes none: objects/ab/cd"),
        ):
            with self.subTest(name):
                subprocess.run(["rm", "-rf", self.course, self.folder / "reader"], check=True)
                self.check_out()
                if "alternates" in name:
                    self.put(f"code/course/.git/{name}")
                else:
                    link(name)
                with self.assertRaisesRegex(tree.Unreadable, words):
                    self.snapshot()


class Stamps(Repositories):
    def index(self) -> bytes:
        return (self.upstream / ".git/index").read_bytes()

    def test_have_git_know_files_that_it_has_not_looked_at(self) -> None:
        # An index that knows of no file.
        (self.upstream / ".git/index").unlink()
        self.git(self.upstream, "read-tree", "HEAD")
        self.git(self.upstream, "update-index", "--index-version", "2")
        before = subprocess.run(["git", "-C", self.upstream, "diff-files", "--name-only"], capture_output=True, check=True).stdout
        self.assertEqual(before.splitlines(), [b"lesson.txt", b"models/.gitkeep", b"run.sh"])
        stats = {name: tree.signature(os.lstat(self.upstream / os.fsdecode(name))) for name in (b"lesson.txt", b"run.sh")}
        tree.stamp(str(self.upstream / ".git/index"), stats)
        self.assertEqual(self.git(self.upstream, "diff-files", "--name-only"), "models/.gitkeep")
        self.assertEqual(self.git(self.upstream, "fsck"), "")

    def test_go_around_what_is_longer_in_version_3(self) -> None:
        self.put("upstream/later.txt")
        self.git(self.upstream, "add", "--intent-to-add", "later.txt")
        self.git(self.upstream, "update-index", "--index-version", "3")
        index = self.index()
        self.assertEqual(index[4:8], b"\0\0\0\3")
        (self.upstream / ".git/index").write_bytes(tree.stamped(index, {b"run.sh": (1, 2, 3, 4242, 5, 6, 7)}))
        self.assertEqual(self.git(self.upstream, "ls-files").split(), ["later.txt", "lesson.txt", "models/.gitkeep", "run.sh"])
        inodes = [line.split()[-1] for line in self.git(self.upstream, "ls-files", "--debug").splitlines() if "ino:" in line]
        self.assertEqual([each == "4242" for each in inodes], [False, False, False, True])

    def test_without_any_an_index_stays(self) -> None:
        self.git(self.upstream, "update-index", "--index-version", "2")
        index = self.index()
        self.assertEqual(tree.stamped(index, {}), index)

    def test_nothing_else_is_stamped(self) -> None:
        for index in (b"", b"x" * 100, b"DIRC\0\0\0\4" + bytes(100)):
            with self.assertRaises(ValueError):
                tree.stamped(index, {})


class Moves(Repositories):
    """A move of the course's files to a second commit, of which `new` has the files."""

    def setUp(self) -> None:
        super().setUp()
        self.check_out()
        self.put("upstream/new/deep.txt", "new\n")
        (self.upstream / "models/.gitkeep").unlink()
        second = self.commit({"lesson.txt": "two\n"})
        self.new = self.folder / "new"
        self.git(self.folder, "clone", "--quiet", str(self.upstream), str(self.new))
        changes = ["diff-tree", "-r", "-z", "--raw", "--no-abbrev", self.first, second]
        self.moves = tree.moves_of(subprocess.run(["git", "-C", self.upstream, *changes], capture_output=True, check=True).stdout)
        self.entries = subprocess.run(["git", "-C", self.course, "ls-files", "-s", "-t", "-z"], capture_output=True, check=True).stdout

    def look(self) -> tree.Look:
        with tree.work_tree(self.place.base, self.place.target) as files:
            second_names = self.folder / "second names"
            second_names.mkdir()
            return tree.compare(files, tree.entries_of(self.entries), str(second_names))

    def carry_out(self, look: tree.Look, done: tree.Look | None = None) -> tree.Placing:
        with tree.work_tree(self.place.base, self.place.target) as files:
            if done is None:
                tree.refuse_what_is_in_the_way(files, self.moves, str(self.new))
            placing = tree.Placing(files, str(self.new), look, done)
            placing.run(self.moves)
            return placing

    def files(self) -> list[str]:
        return sorted(str(each.relative_to(self.course)) for each in self.course.rglob("[!.]*") if ".git/" not in str(each))

    def test_find_nothing_where_nothing_was_touched(self) -> None:
        look = self.look()
        self.assertEqual((look.lines, look.other), ([], {}))
        self.assertEqual(sorted(look.unchanged()), [b"lesson.txt", b"models/.gitkeep", b"run.sh"])

    def test_bring_what_comes_and_remove_what_goes(self) -> None:
        placing = self.carry_out(self.look())
        self.assertEqual(placing.stays, [])
        self.assertEqual(sorted(placing.stats), [b"lesson.txt", b"new/deep.txt", b"run.sh"])
        self.assertEqual((self.course / "lesson.txt").read_text(), "two\n")
        # With the folder that nothing is left in.
        self.assertEqual(self.files(), ["lesson.txt", "new", "new/deep.txt", "run.sh"])

    def test_leave_what_is_edited_meanwhile(self) -> None:
        look = self.look()
        self.put("code/course/lesson.txt", "mine\n")
        self.put("code/course/models/.gitkeep", "mine\n")
        placing = self.carry_out(look)
        self.assertEqual(sorted(placing.stays), ["lesson.txt", "models/.gitkeep"])
        self.assertEqual((self.course / "lesson.txt").read_text(), "mine\n")
        self.assertNotIn(b"lesson.txt", placing.stats)

    def test_show_git_what_is_not_the_very_bytes(self) -> None:
        (self.course / "lesson.txt").write_bytes(b"one\r\n")
        look = self.look()
        self.assertEqual((list(look.other), look.lines), ([b"lesson.txt"], []))
        self.assertEqual((self.folder / "second names/lesson.txt").read_bytes(), b"one\r\n")
        self.assertIn(b"lesson.txt", look.unchanged())
        look.note_modified([b"lesson.txt"])
        self.assertNotIn(b"lesson.txt", look.unchanged())
        self.assertEqual(look.lines, [" M lesson.txt"])

    def test_say_what_is_gone_and_what_is_something_else(self) -> None:
        (self.course / "lesson.txt").unlink()
        (self.course / "run.sh").unlink()
        (self.course / "run.sh").symlink_to("/etc/passwd")
        self.assertEqual(self.look().lines, [" D lesson.txt", " T run.sh"])

    def test_do_not_begin_where_something_is_in_the_way(self) -> None:
        for path, expected in (("new/deep.txt", "new/deep.txt"), ("new", "new"), ("new/deep.txt/mine", "new/deep.txt/mine")):
            with self.subTest(path):
                look = self.look()
                (self.folder / "second names").rmdir()
                self.put(f"code/course/{path}", "mine\n")
                with self.assertRaises(tree.InTheWay) as found:
                    self.carry_out(look)
                self.assertEqual(found.exception.paths, [expected])
                self.assertEqual((self.course / "lesson.txt").read_text(), "one\n")
                subprocess.run(["rm", "-r", self.course / "new"], check=True)

    def test_put_a_folder_in_the_place_of_a_file_and_a_file_in_that_of_a_folder(self) -> None:
        look = self.look()
        (self.new / "lesson.txt").unlink()
        for path in ("lesson.txt/deep", "models"):
            file = self.new / path
            file.parent.mkdir(exist_ok=True)
            file.write_text("new\n")
        old = {entry.path: entry.oid for entry in look.entries}
        self.moves = [
            tree.Move(f":100644 000000 {old[b'lesson.txt']} 0 D".encode(), b"lesson.txt"),
            tree.Move(b":000000 100644 0 1 A", b"lesson.txt/deep"),
            tree.Move(b":000000 100644 0 1 A", b"models"),
            tree.Move(f":100644 000000 {old[b'models/.gitkeep']} 0 D".encode(), b"models/.gitkeep"),
        ]
        self.assertEqual(self.carry_out(look).stays, [])
        self.assertEqual(self.files(), ["lesson.txt", "lesson.txt/deep", "models", "run.sh"])

    def test_take_the_same_file_for_none_in_the_way(self) -> None:
        self.put("code/course/new/deep.txt", "new\n")
        self.assertEqual(self.carry_out(self.look()).stays, [])

    def test_go_on_from_where_a_run_was_killed(self) -> None:
        look = self.look()
        self.put("code/course/lesson.txt", "two\n")
        self.put("code/course/new/deep.txt", "mine\n")
        placing = self.carry_out(look, tree.Look())
        self.assertEqual(placing.stays, ["new/deep.txt"])
        self.assertEqual(self.files(), ["lesson.txt", "new", "new/deep.txt", "run.sh"])

    def test_do_not_follow_a_link_that_takes_a_folders_place(self) -> None:
        look = self.look()
        elsewhere = self.folder / "elsewhere"
        (elsewhere / "models").mkdir(parents=True)
        (elsewhere / "models/.gitkeep").write_text("")
        subprocess.run(["rm", "-r", self.course / "models"], check=True)
        (self.course / "models").symlink_to(elsewhere / "models")
        self.carry_out(look)
        self.assertTrue((elsewhere / "models/.gitkeep").exists())
        self.assertEqual(os.readlink(self.course / "models"), str(elsewhere / "models"))


class Untracked(Repositories):
    def test_is_what_no_entry_names(self) -> None:
        for path in ("lesson.txt", "mine.txt", "deep/mine", ".git/config", "sub/.git", "own/.git"):
            self.put(f"code/course/{path}")
        (self.course / "link").symlink_to("/")
        entries = [tree.Entry("H", mode, "a", "0", path) for mode, path in (("100644", b"lesson.txt"), ("160000", b"sub"))]
        with tree.opened(self.place.base, self.place.target) as at:
            self.assertEqual(tree.untracked(at, entries), ["?? deep/mine", "?? link", "?? mine.txt", "?? own/"])
