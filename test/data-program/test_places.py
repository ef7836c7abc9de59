from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
import unittest
from pathlib import Path
from unittest import mock

from gpubox_data import places
from gpubox_data.say import Failure
from scratch import Refusals, Scratch, unprivileged

needs_root = unittest.skipUnless(os.geteuid() == 0, "only root makes files of another user's")


class PlaceTest(Scratch, Refusals):
    """A test of the places of ROOT/data/oxford/pets."""

    def setUp(self) -> None:
        super().setUp()
        self.data = self.folder / "data"
        self.data.mkdir()
        self.place = places.Place(str(self.folder), "data", "oxford/pets")
        self.state = self.data / ".gpubox" / "oxford%2Fpets"

    def make_state(self) -> None:
        self.state.mkdir(parents=True)


class Names(unittest.TestCase):
    def test_where_everything_is(self) -> None:
        place = places.Place("/mnt/fastai", "data", "oxford/pets")
        self.assertEqual(place.base, "/mnt/fastai/data")
        self.assertEqual(place.target, "/mnt/fastai/data/oxford/pets")
        self.assertEqual(place.states, "/mnt/fastai/data/.gpubox")
        self.assertEqual(place.state, "/mnt/fastai/data/.gpubox/oxford%2Fpets")
        self.assertEqual(place.name, "pets")

    def test_no_two_folders_share_a_state(self) -> None:
        states = {places.Place("/", "data", folder).state for folder in ("a/b", "a%2Fb", "a%252Fb", "a", "a%", "a%25")}
        self.assertEqual(len(states), 6)


class Parent(PlaceTest):
    def test_it_is_not_made_by_a_look(self) -> None:
        self.assertIsNone(self.place.open_parent(make=False))
        self.assertEqual(list(self.data.iterdir()), [])

    def test_it_is_made_and_opened(self) -> None:
        for _ in range(2):
            at = self.place.open_parent(make=True)
            assert at is not None
            self.addCleanup(os.close, at)
            self.assertTrue(os.path.samestat(os.fstat(at), os.stat(self.data / "oxford")))

    def test_that_of_a_folder_right_below_data_is_data(self) -> None:
        at = places.Place(str(self.folder), "data", "pets").open_parent(make=False)
        assert at is not None
        self.addCleanup(os.close, at)
        self.assertTrue(os.path.samestat(os.fstat(at), os.stat(self.data)))

    def test_a_link_on_the_way_is_not_followed_wherever_it_leads(self) -> None:
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        (self.data / "cambridge").mkdir()
        for leads in (str(elsewhere), "cambridge", "nowhere", ".", "/"):
            with self.subTest(leads):
                (self.data / "oxford").symlink_to(leads)
                for make in (False, True):
                    with self.assertRaises(Failure) as raised:
                        self.place.open_parent(make)
                    self.refused(raised.exception, 3, f"{self.data}/oxford is a link, or no folder that can be gone to")
                    self.assertIn(f"mv '{self.data}/oxford' '{self.data}/oxford.mine'", raised.exception.lines[1])
                (self.data / "oxford").unlink()
        self.assertEqual(list(elsewhere.iterdir()) + list((self.data / "cambridge").iterdir()), [])

    def test_a_file_or_a_pipe_on_the_way_is_left_as_it_is(self) -> None:
        for make_it in (lambda: self.put("data/oxford", "mine"), lambda: os.mkfifo(self.data / "oxford")):
            make_it()
            with self.assertRaises(Failure) as raised:
                self.place.open_parent(make=True)
            self.refused(raised.exception, 3, "is a link, or no folder")
            os.unlink(self.data / "oxford")

    def test_what_becomes_of_the_way_is_nobody_s_concern_once_it_is_open(self) -> None:
        at = self.place.open_parent(make=True)
        assert at is not None
        self.addCleanup(os.close, at)
        (self.data / "oxford").rename(self.data / "moved")
        (self.data / "oxford").symlink_to(self.folder)
        os.mkdir("pets", dir_fd=at)
        self.assertTrue((self.data / "moved" / "pets").is_dir())
        self.assertFalse((self.folder / "pets").exists())

    def test_a_disk_that_is_gone(self) -> None:
        self.data.rmdir()
        with self.assertRaises(Failure) as raised:
            self.place.open_parent(make=True)
        self.refused(raised.exception, 1, f"cannot go to {self.data}")

    @unittest.skipUnless(os.path.isdir("/proc/self/fd"), "needs /proc")
    def test_no_descriptor_is_left_open(self) -> None:
        def count() -> int:
            return len(os.listdir("/proc/self/fd"))

        before = count()
        place = places.Place(str(self.folder), "data", "a/b/c/d")
        self.assertIsNone(place.open_parent(make=False))
        at = place.open_parent(make=True)
        assert at is not None
        os.close(at)
        (self.data / "a/b/c").rename(self.data / "c")
        (self.data / "a/b/c").symlink_to(self.data / "c")
        with self.assertRaises(Failure):
            place.open_parent(make=True)
        self.assertEqual(count(), before)


class Lock(PlaceTest):
    HOLD = """if True:
        import sys, time
        from gpubox_data.places import Place
        held = Place(sys.argv[1], "data", "oxford/pets").lock()
        print("held", flush=True)
        time.sleep(600)
    """

    def holder(self) -> subprocess.Popen[bytes]:
        """Another run that has the lock."""
        held = subprocess.Popen(
            [sys.executable, "-c", self.HOLD, str(self.folder)],
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": os.path.dirname(os.path.dirname(places.__file__)), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.addCleanup(held.wait)
        self.addCleanup(held.kill)
        assert held.stdout is not None
        self.addCleanup(held.stdout.close)
        self.assertEqual(held.stdout.readline(), b"held\n")
        return held

    def test_it_says_who_has_it_and_keeps_the_state_to_its_owner(self) -> None:
        held = self.place.lock()
        self.addCleanup(os.close, held)
        self.assertEqual((self.state / "lock").read_text("utf-8"), f"{os.getpid()}\n")
        self.assertEqual(stat.S_IMODE(self.state.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(self.state.parent.stat().st_mode), 0o755)
        self.assertEqual([each.name for each in self.state.iterdir()], ["lock"])

    def test_a_second_run_waits_for_the_first_and_is_told_for_whom(self) -> None:
        first = self.holder()
        said: list[str] = []

        def wait(_: float) -> None:
            first.send_signal(signal.SIGKILL)
            first.wait()

        with mock.patch.object(places, "say", said.append), mock.patch.object(time, "sleep", wait):
            held = self.place.lock()
        self.addCleanup(os.close, held)
        self.assertEqual(said, [f"waiting for the run that works on oxford/pets (pid {first.pid})"])
        self.assertEqual((self.state / "lock").read_text("utf-8"), f"{os.getpid()}\n")

    def test_what_a_run_starts_holds_it_as_well(self) -> None:
        held = self.place.lock()
        os.set_inheritable(held, True)
        with subprocess.Popen(["sleep", "600"], pass_fds=[held]) as child:
            os.close(held)
            again = os.open(self.state / "lock", os.O_RDWR)
            self.addCleanup(os.close, again)
            self.assertFalse(places.try_lock(again))
            child.kill()
            child.wait()
            self.assertTrue(places.try_lock(again))

    def test_what_another_made_in_its_place_is_refused(self) -> None:
        mine = self.put("mine", "mine")
        for at in (self.state.parent, self.state, self.state / "lock"):
            with self.subTest(at.name):
                at.parent.mkdir(parents=True, exist_ok=True)
                at.symlink_to(mine)
                with self.assertRaises(Failure) as raised:
                    self.place.lock()
                self.refused(raised.exception, 3, f"{at} was not put there by gpubox")
                self.assertEqual(raised.exception.lines[2], f"  and mend it:  rm -rf '{at}'")
                at.unlink()
        self.assertEqual(mine.read_text("utf-8"), "mine")

    def test_a_link_on_the_way_to_the_target_is_told_before_anything_is_done(self) -> None:
        (self.data / "oxford").symlink_to(self.folder)
        with self.assertRaises(Failure) as raised:
            self.place.lock()
        self.refused(raised.exception, 3, f"{self.data}/oxford is a link")

    def test_a_folder_that_may_not_be_written_to(self) -> None:
        unprivileged(self)
        os.chmod(self.folder, 0o755)
        # Made by root where root runs the tests.
        try:
            os.chmod(self.data, 0o555)
        except PermissionError:
            pass
        with self.assertRaises(Failure) as raised:
            self.place.lock()
        self.refused(raised.exception, 1, f"cannot make {self.data}/.gpubox")


class Intruder(PlaceTest):
    def test_none_where_there_is_nothing_and_among_files_and_folders_of_ours(self) -> None:
        self.assertIsNone(self.place.intruder())
        self.make_state()
        (self.state / "lock").touch()
        (self.state / "clone").mkdir()
        (self.state.parent / "%slot-1").touch()
        self.assertIsNone(self.place.intruder())

    def test_anything_but_a_file_or_a_folder(self) -> None:
        self.make_state()
        for name in ("part", "../%slot-1", "../%slots"):
            at = self.state / name
            for make in (lambda at=at: at.symlink_to("/dev/null"), lambda at=at: at.symlink_to("nowhere"), lambda at=at: os.mkfifo(at)):
                make()
                self.assertEqual(os.path.realpath(os.path.dirname(self.place.intruder() or "")), str(at.parent.resolve()))
                at.unlink()
        self.assertIsNone(self.place.intruder())

    def test_what_other_entries_have_is_not_looked_at(self) -> None:
        self.make_state()
        (self.state.parent / "cars").symlink_to("/")
        self.assertIsNone(self.place.intruder())

    @needs_root
    def test_another_user_s_file_is_one_unless_the_folder_is_theirs_as_well(self) -> None:
        self.make_state()
        part = self.state / "part"
        part.touch()
        os.chown(part, 65_534, 65_534)
        self.assertEqual(self.place.intruder(), str(part))
        self.assertEqual(places.intruder_command(str(part)), f"sudo chown -R 0:0 '{part}'")
        os.chown(self.state, 65_534, 65_534)
        self.assertEqual(self.place.intruder(), str(self.state))
        os.chown(self.state.parent, 65_534, 65_534)
        os.chown(self.data, 65_534, 65_534)
        self.assertIsNone(self.place.intruder())


class OwnFolder(Scratch, Refusals):
    def test_it_has_its_mode_also_where_an_earlier_version_made_it(self) -> None:
        at = self.folder / "state"
        for _ in range(2):
            places.own_folder(str(at), 0o700)
            self.assertEqual(stat.S_IMODE(at.stat().st_mode), 0o700)
            at.chmod(0o777)

    def test_a_file_or_a_link_in_its_place_is_refused(self) -> None:
        (self.folder / "link").symlink_to(self.folder)
        for at in (self.put("file"), self.folder / "link"):
            mode = at.stat().st_mode
            with self.assertRaises(Failure) as raised:
                places.own_folder(str(at), 0o700)
            self.refused(raised.exception, 3, f"{at} was not put there by gpubox")
            self.assertEqual(at.stat().st_mode, mode)


class ReadMark(Scratch):
    def read(self, name: str) -> str | None:
        """By its name in a folder that is open, and by its path: what is read is the same."""
        at = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, at)
        text = places.read_mark(str(self.folder / name))
        self.assertEqual(places.read_mark(name, at), text)
        return text

    def test_a_file_of_ours(self) -> None:
        self.put("mark", '{"sha256": "ab"}\n')
        self.assertEqual(self.read("mark"), '{"sha256": "ab"}\n')

    def test_bytes_that_are_no_text_come_back_as_they_were(self) -> None:
        (self.folder / "mark").write_bytes(b"caf\xe9\0!")
        self.assertEqual(self.read("mark"), "caf\udce9!")

    def test_nothing_where_there_is_no_file(self) -> None:
        self.assertIsNone(self.read("mark"))
        self.assertIsNone(self.read("no/mark"))
        self.put("file")
        self.assertIsNone(self.read("file/mark"))
        (self.folder / "mark").mkdir()
        self.assertIsNone(self.read("mark"))

    def test_a_link_is_not_followed(self) -> None:
        self.put("secret", "secret")
        for leads in ("secret", "/dev/zero", "mark", "nowhere"):
            (self.folder / "mark").symlink_to(leads)
            self.assertIsNone(self.read("mark"))
            (self.folder / "mark").unlink()

    def test_a_pipe_is_not_waited_for(self) -> None:
        os.mkfifo(self.folder / "mark")
        self.assertIsNone(self.read("mark"))

    @needs_root
    def test_a_file_without_an_end_is_no_file(self) -> None:
        try:
            # The device that is /dev/zero on Linux.
            os.mknod(self.folder / "mark", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        except PermissionError:
            self.skipTest("devices cannot be made here")
        self.assertIsNone(self.read("mark"))

    def test_of_a_file_that_is_too_long_the_beginning_is_read(self) -> None:
        with (self.folder / "mark").open("wb") as file:
            file.write(b"x" * 100_000)
            # A terabyte that takes no room.
            file.truncate(1 << 40)
        self.assertEqual(self.read("mark"), "x" * places.LARGEST_MARK)

    def test_a_file_that_may_not_be_read(self) -> None:
        unprivileged(self)
        self.put("mark", "mine").chmod(0)
        self.assertIsNone(self.read("mark"))

    @unittest.skipUnless(os.path.isdir("/proc/self/fd"), "needs /proc")
    def test_no_descriptor_is_left_open(self) -> None:
        os.mkfifo(self.folder / "pipe")
        self.put("mark")
        before = len(os.listdir("/proc/self/fd"))
        for name in ("pipe", "mark", "nothing", "."):
            places.read_mark(str(self.folder / name))
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


class WhatIsThere(Scratch):
    def test_of_what_kind_it_is(self) -> None:
        self.put("file")
        (self.folder / "folder").mkdir()
        for name in ("file", "folder", "nowhere"):
            (self.folder / f"{name}-link").symlink_to(name)
        os.mkfifo(self.folder / "pipe")
        found = {
            name: (places.exists(at), places.is_folder(at), places.is_file(at))
            for name in ("file", "folder", "file-link", "folder-link", "nowhere-link", "pipe", "nothing", "file/nothing")
            for at in (str(self.folder / name),)
        }
        there = (True, False, False)
        nothing = (False, False, False)
        self.assertEqual(
            found,
            {
                "file": (True, False, True),
                "folder": (True, True, False),
                "file-link": there,
                "folder-link": there,
                "nowhere-link": there,
                "pipe": there,
                "nothing": nothing,
                "file/nothing": nothing,
            },
        )

    def test_whether_a_link_is_on_the_way(self) -> None:
        place = places.Place(str(self.folder), "data", "oxford/pets")
        self.put("data/oxford/pets/a")
        (self.folder / "data/link").symlink_to("oxford")
        self.assertFalse(place.is_linked(place.target))
        self.assertFalse(place.is_linked(f"{place.base}/nothing/there"))
        for path in ("link", "link/pets", "link/pets/nothing"):
            self.assertTrue(place.is_linked(f"{place.base}/{path}"), path)


class Discard(Scratch):
    def test_all_of_a_folder_with_parts_that_nobody_may_write_to(self) -> None:
        unprivileged(self)
        self.put("clone/objects/pack/a")
        self.put("clone/closed/b")
        (self.folder / "clone/objects/pack").chmod(0o555)
        (self.folder / "clone/objects").chmod(0o555)
        (self.folder / "clone/closed").chmod(0)
        places.discard(str(self.folder / "clone"))
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_file_and_nothing(self) -> None:
        places.discard(str(self.put("part")))
        places.discard(str(self.folder / "part"))
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_link_and_not_what_it_leads_to(self) -> None:
        kept = self.put("mine/secret", "secret")
        kept.parent.chmod(0o750)
        for leads in ("mine", "mine/secret", "nowhere"):
            (self.folder / "part").symlink_to(leads)
            places.discard(str(self.folder / "part"))
        (self.folder / "clone").mkdir()
        (self.folder / "clone/link").symlink_to("../mine")
        places.discard(str(self.folder / "clone"))
        self.assertEqual(os.listdir(self.folder), ["mine"])
        self.assertEqual(kept.read_text("utf-8"), "secret")
        self.assertEqual(stat.S_IMODE(kept.parent.stat().st_mode), 0o750)

    def test_a_file_with_another_name_is_not_changed(self) -> None:
        other = self.put("object", "object")
        other.chmod(0o444)
        (self.folder / "clone").mkdir()
        os.link(other, self.folder / "clone/object")
        places.discard(str(self.folder / "clone"))
        self.assertEqual((other.read_text("utf-8"), stat.S_IMODE(other.stat().st_mode)), ("object", 0o444))


class Disk(Scratch):
    def test_what_it_has_left(self) -> None:
        self.assertGreater(places.free_bytes(str(self.folder)), 0)
        with mock.patch("os.statvfs", return_value=mock.Mock(f_bavail=3, f_frsize=4096, f_files=0, f_favail=0)):
            self.assertEqual(places.free_bytes("/"), 12_288)
            self.assertIsNone(places.free_inodes("/"))
        with mock.patch("os.statvfs", return_value=mock.Mock(f_files=10, f_favail=0)):
            self.assertEqual(places.free_inodes("/"), 0)

    def test_it_is_flushed_whole_where_the_system_cannot_flush_one(self) -> None:
        with mock.patch("ctypes.CDLL", return_value=object()), mock.patch("os.sync") as sync:
            places.flush(str(self.folder))
        sync.assert_called_once_with()

    @unittest.skipUnless(sys.platform == "linux", "only Linux flushes one disk")
    def test_no_other_disk_is_flushed_where_one_can_be(self) -> None:
        with mock.patch("os.sync") as sync:
            places.flush(str(self.folder))
        sync.assert_not_called()

    def test_files_that_are_there_are_removed(self) -> None:
        paths = [str(self.put("a")), str(Path(self.folder, "b"))]
        places.remove(*paths)
        self.assertEqual(os.listdir(self.folder), [])


if __name__ == "__main__":
    unittest.main()
