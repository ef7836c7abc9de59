from __future__ import annotations

import os
import subprocess
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from gpubox_data import list_own, ours, purge_data, retire
from gpubox_data.places import Place
from scratch import Scratch, unprivileged

HASH = "0123456789abcdef" * 4


class Removal(Scratch):
    """A test of the removal of the data set ROOT/data/pets, which has a few files and its marker."""

    def setUp(self) -> None:
        super().setUp()
        self.place = Place(str(self.folder), "data", "pets")
        self.set = self.folder / "data/pets"
        for name in ("train/a", "train/deep/b", "c"):
            self.put(f"data/pets/{name}", "ours")
        self.marker = self.put("data/pets/.gpubox.json", f'{{"sha256": "{HASH}"}}\n')
        self.settle()

    def settle(self) -> None:
        """Has the marker written after all that is there, and before whatever comes next."""
        now = time.time_ns()
        os.utime(self.marker, ns=(now, now))
        while self.put("later").stat().st_ctime_ns <= now:
            time.sleep(0.001)

    def mine(self, name: str) -> Path:
        """A file of the person's, which came later."""
        return self.put(f"data/pets/{name}", "mine")

    def open(self, path: Path) -> int:
        at = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, at)
        return at

    def purge(self) -> tuple[str, list[str]] | None:
        return purge_data.purge_data(self.open(self.set.parent), self.open(self.set), str(self.set))

    def files(self, folder: str = "data") -> set[str]:
        base = self.folder / folder
        return {str(each.relative_to(base)) for each in base.rglob("*") if each.is_symlink() or not each.is_dir()}


class Purge(Removal):
    def test_all_that_was_put_there_goes_but_the_marker_by_another_name(self) -> None:
        self.assertIsNone(self.purge())
        self.assertEqual(os.listdir(self.set), [ours.REMOVING])

    def test_it_goes_on_where_a_killed_run_ended(self) -> None:
        self.marker.rename(self.set / ours.REMOVING)
        (self.set / "c").unlink()
        self.mine("notes")
        self.assertEqual(self.purge(), ("with 1 files that you changed or added", ["./notes"]))
        self.assertEqual(self.files(), {"pets/notes"})

    def test_what_the_person_changed_added_or_moved_there_stays(self) -> None:
        old = self.put("old", "mine")
        os.utime(old, (0, 0))
        old.rename(self.set / "train/old")
        self.mine("c")
        self.mine("results/best.pth")
        (self.set / "link").symlink_to("/")
        kept = self.purge()
        assert kept is not None
        self.assertEqual(kept[0], "with 4 files that you changed or added")
        self.assertEqual(set(kept[1]), {"./train/old", "./c", "./results/best.pth", "./link"})
        self.assertEqual(self.files(), {"pets/train/old", "pets/c", "pets/results/best.pth", "pets/link"})

    def test_ten_of_many_are_named(self) -> None:
        for number in range(30):
            self.mine(f"notes-{number}")
        kept = self.purge()
        assert kept is not None
        self.assertEqual((kept[0], len(kept[1])), ("with 30 files that you changed or added", 10))

    def test_a_file_goes_with_all_of_its_names(self) -> None:
        os.link(self.set / "c", self.set / "train/another")
        self.settle()
        self.assertIsNone(self.purge())

    def test_the_second_name_that_the_person_gave_a_file_keeps_it(self) -> None:
        os.link(self.set / "c", self.folder / "kept")
        self.assertEqual(self.purge(), ("with 1 files that you changed or added", ["./c"]))
        self.assertEqual((self.folder / "kept").read_text("utf-8"), "ours")

    def test_nothing_goes_where_a_folder_may_not_be_written_to(self) -> None:
        with mock.patch("os.access", side_effect=lambda name, *_, **__: name != "deep"):
            kept = self.purge()
        assert kept is not None
        self.assertIn("may not write to some of its folders", kept[0])
        self.assertEqual(kept[1], ["./train/deep"])
        self.assertEqual(self.files(), {"pets/train/a", "pets/train/deep/b", "pets/c", "pets/.gpubox.json"})

    def test_the_archive_that_was_kept_goes_and_what_is_beside_it_stays(self) -> None:
        self.put("data/pets.archive/pets.zip", "ours")
        (self.folder / "data/pets.archive/link").symlink_to("/")
        self.put("data/pets.archive/older/thesis", "mine")
        self.settle()
        self.assertIsNone(self.purge())
        self.assertEqual(self.files("data/pets.archive"), {"link", "older/thesis"})

    def test_an_archive_that_is_a_link_is_not_looked_into(self) -> None:
        self.put("elsewhere/pets.zip", "mine")
        (self.folder / "data/pets.archive").symlink_to("../elsewhere")
        self.settle()
        self.assertIsNone(self.purge())
        self.assertEqual(self.files("elsewhere"), {"pets.zip"})

    def test_folders_without_an_end_are_kept_and_nothing_breaks(self) -> None:
        # Python before 3.13 cannot remove them.
        self.addCleanup(lambda: subprocess.run(["rm", "-rf", self.set], check=True))
        at = os.open(self.set, os.O_RDONLY)
        for _ in range(600):
            os.mkdir("d", dir_fd=at)
            below = os.open("d", os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        os.close(at)
        self.assertEqual(self.purge(), ("as something in it cannot be removed", []))
        self.assertEqual(sorted(os.listdir(self.set)), [ours.REMOVING, "d"])


class Races(Removal):
    """What a notebook does while files are removed."""

    def setUp(self) -> None:
        super().setUp()
        for name in ("a", "b", "deep/b"):
            self.put(f"mine/{name}", "mine")
        # So that it looks as if it came with the data set.
        self.settle()

    def racing(self, function: str, name: str, swap: Callable[[], None], calls: int = 1) -> mock._patch[Callable[..., object]]:
        """Does something right before such a function of os is called for this name, for the first or a later time."""
        real = getattr(os, function)
        left = [calls]

        def racing(called: str, *more: int, **options: int) -> object:
            if called == name:
                left[0] -= 1
                if left[0] == 0:
                    swap()
            return real(called, *more, **options)

        return mock.patch.object(os, function, racing)

    def swap(self, folder: str) -> Callable[[], None]:
        """Puts a link to what is the person's into the place of a folder."""
        at = self.folder / folder

        def swap() -> None:
            at.rename(self.folder / "moved")
            at.symlink_to(self.folder / "mine")

        return swap

    def test_a_link_that_takes_a_folder_s_place_leads_nowhere(self) -> None:
        # A folder is opened for a look, and again for the removal.
        for function, name, calls in (
            ("unlink", "a", 1),
            ("unlink", "b", 1),
            ("open", "train", 1),
            ("open", "train", 2),
            ("rmdir", "train", 1),
        ):
            with self.subTest(f"{function} {name}"), self.racing(function, name, self.swap("data/pets/train"), calls):
                self.purge()
            self.assertEqual(self.files("mine"), {"a", "b", "deep/b"})
            self.assertTrue((self.folder / "moved").is_dir())
            self.doCleanups()
            self.setUp()

    def test_a_link_on_the_way_to_the_data_set_leads_nowhere(self) -> None:
        with self.racing("unlink", "a", self.swap("data")):
            self.purge()
        self.assertEqual(self.files("mine"), {"a", "b", "deep/b"})
        self.assertEqual(self.files("moved"), {f"pets/{ours.REMOVING}"})

    def test_another_folder_in_its_place_is_not_taken_away(self) -> None:
        os.makedirs(self.place.state)
        at = self.open(self.set)
        self.set.rename(self.folder / "data/moved")
        self.put("data/pets/thesis", "mine")
        self.assertFalse(retire._take_away(self.place, self.open(self.folder / "data"), at, str(self.set)))
        self.assertEqual((self.set / "thesis").read_text("utf-8"), "mine")


class Ours(Removal):
    def test_a_data_set_and_its_versions(self) -> None:
        for name, sha256 in (
            ("pets-01234567", HASH),
            ("pets-89abcdef", f"89abcdef{HASH}"),
            # Another entry's, by its hash or by its name.
            ("pets-fedcba98", HASH),
            ("pets-0123456", HASH),
            ("pets-0123456G", HASH),
            ("pets-012345678", HASH),
            ("pets2-01234567", HASH),
        ):
            self.put(f"data/{name}/.gpubox.json", f'{{"url": "x", "sha256":"{sha256}"}}')
        (self.set.parent / "pets-00000000").symlink_to("pets-01234567")
        found = list(ours.each_of_ours(self.place))
        self.assertEqual([os.path.basename(each) for each in found], ["pets", "pets-01234567", "pets-89abcdef"])

    def test_nothing_without_a_marker_that_is_a_file(self) -> None:
        self.assertTrue(ours.is_ours(self.place, str(self.set)))
        self.marker.rename(self.set / "marker")
        self.assertFalse(ours.is_ours(self.place, str(self.set)))
        self.marker.symlink_to("marker")
        self.assertFalse(ours.is_ours(self.place, str(self.set)))
        (self.set / ours.REMOVING).touch()
        self.assertTrue(ours.is_ours(self.place, str(self.set)))

    def test_a_checkout(self) -> None:
        place = Place(str(self.folder), "code", "course")
        self.put("code/course/.git/HEAD")
        self.assertEqual(list(ours.each_of_ours(place)), [])
        self.put("code/course/.git/gpubox")
        self.put("code/course-01234567/.git/gpubox")
        self.assertEqual(list(ours.each_of_ours(place)), [place.target])
        (self.folder / "code/course/.git").rename(self.folder / "git")
        (self.folder / "code/course/.git").symlink_to(self.folder / "git")
        self.assertEqual(list(ours.each_of_ours(place)), [])

    def test_nothing_behind_a_link(self) -> None:
        (self.folder / "data/link").symlink_to(".")
        self.assertEqual(list(ours.each_of_ours(Place(str(self.folder), "data", "link/pets"))), [])


class DiskUsage(Scratch):
    def test_it_is_what_du_says(self) -> None:
        (self.folder / "set").mkdir()
        self.put("set/a", "x" * 100_000)
        self.put("set/deep/er/b", "x" * 5_000)
        os.link(self.folder / "set/a", self.folder / "set/deep/again")
        (self.folder / "set/link").symlink_to("/usr")
        os.mkfifo(self.folder / "set/pipe")
        with (self.folder / "set/sparse").open("wb") as file:
            file.truncate(1 << 40)
        with os.popen(f"du -sk '{self.folder}/set'") as du:
            told = int(du.read().split()[0])
        self.assertEqual(list_own.disk_usage(str(self.folder / "set")), told)

    def test_what_may_not_be_looked_at_counts_as_nothing(self) -> None:
        unprivileged(self)
        self.put("set/closed/a", "x" * 100_000)
        whole = list_own.disk_usage(str(self.folder / "set"))
        (self.folder / "set/closed").chmod(0)
        self.addCleanup((self.folder / "set/closed").chmod, 0o700)
        self.assertLess(list_own.disk_usage(str(self.folder / "set")), whole)


if __name__ == "__main__":
    unittest.main()
